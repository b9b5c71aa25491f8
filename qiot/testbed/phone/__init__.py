"""The phone of the testbed: it provisions a device as Tencent's mini program does, on the real wire.

Phones that send through the air are in `air_phone`; `air` has their sender, which needs no socket.
"""

from qiot.testbed.phone.air import AirSender
from qiot.testbed.phone.log_query import LogPhone
from qiot.testbed.phone.soft_ap import PhoneResult, SoftApPhone, TokenPhone

__all__ = ["AirSender", "LogPhone", "PhoneResult", "SoftApPhone", "TokenPhone"]
