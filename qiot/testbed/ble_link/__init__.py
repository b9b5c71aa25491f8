"""The phone's end of a Bluetooth link: centrals on real and simulated adapters, and a codec's runner."""

from qiot.testbed.ble_link.advertisement import Advertisement, Wanted
from qiot.testbed.ble_link.central import Central, LinkError, Notified
from qiot.testbed.ble_link.runner import CodecRunner

__all__ = ["Advertisement", "Central", "CodecRunner", "LinkError", "Notified", "Wanted"]
