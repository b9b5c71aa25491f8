"""Station and access point by NetworkManager, over its D-Bus interface."""

from qiot.hal.linux.networkmanager.access_point import NetworkManagerAccessPoint
from qiot.hal.linux.networkmanager.station import NetworkManagerStation

__all__ = ["NetworkManagerAccessPoint", "NetworkManagerStation"]
