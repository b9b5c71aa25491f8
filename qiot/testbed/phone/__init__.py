"""The phone of the testbed: it provisions a device as Tencent's mini program does, on the real wire."""

from qiot.testbed.phone.log_query import LogPhone
from qiot.testbed.phone.soft_ap import PhoneResult, SoftApPhone, TokenPhone

__all__ = ["LogPhone", "PhoneResult", "SoftApPhone", "TokenPhone"]
