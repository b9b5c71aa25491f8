"""Linux: sockets and files of the host."""

from qiot.hal.linux.platform import LinuxPlatform

__all__ = ["LinuxPlatform"]
