"""The air as it is: frames, octet by octet, from stations and access points to whoever listens.

`Air` is told the time and never waits, so that a benchmark runs minutes of it in a second; `LiveAir` lets a
world's clock move it.
"""

from qiot.sim.air.access_point import AirAccessPoint, Manners
from qiot.sim.air.ciphers import Cipher, Protection, protection_of
from qiot.sim.air.medium import Air
from qiot.sim.air.packets import BROADCAST, Packet, group_address, udp_packet
from qiot.sim.air.receiver import DEAF, Bursts, Emission, Heard, Link, Receiver
from qiot.sim.air.recording import Recorder
from qiot.sim.air.station import AirStation, Habits
from qiot.sim.air.traffic import House, Traffic, keep_house_busy, keep_station_busy, neighbours

__all__ = [
    "BROADCAST",
    "DEAF",
    "Air",
    "AirAccessPoint",
    "AirStation",
    "Bursts",
    "Cipher",
    "Emission",
    "Habits",
    "Heard",
    "House",
    "Link",
    "Manners",
    "Packet",
    "Protection",
    "Receiver",
    "Recorder",
    "Traffic",
    "group_address",
    "keep_house_busy",
    "keep_station_busy",
    "neighbours",
    "protection_of",
    "udp_packet",
]
