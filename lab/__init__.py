"""The lab: real Linux Wi-Fi, Bluetooth and USB software on simulated radios in a virtual machine."""
