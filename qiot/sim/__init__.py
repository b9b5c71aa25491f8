"""The simulated world: what mock radios and simulated phones live in, in memory."""

from qiot.sim.clock import Clock, LoopClock
from qiot.sim.faults import Fault, Faults
from qiot.sim.offers import ScriptedOffer
from qiot.sim.phone import Phone
from qiot.sim.station import Delays, Station
from qiot.sim.wifi import AccessPoint, HomeNetwork
from qiot.sim.world import World

__all__ = [
    "AccessPoint",
    "Clock",
    "Delays",
    "Fault",
    "Faults",
    "HomeNetwork",
    "LoopClock",
    "Phone",
    "ScriptedOffer",
    "Station",
    "World",
]
