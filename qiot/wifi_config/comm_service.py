"""The command service on UDP 8266 (contract section 4), and how its answers are repeated.

The first copy goes out at once, two more follow after 0.1 and 0.3 s, and only then does the access point go
away: a phone that lost all three sends again after 2 s and is answered again, for as long as the port is
open. The C SDK spaces its three copies by 1 s and spends 5 s on them.
"""

from __future__ import annotations

from typing import Final, Literal

from qiot.hal.contract import Udp
from qiot.protocols.lan.app_message import AppMessageDevice
from qiot.wifi_config.drivers.udp import UdpListener

__all__ = ["COMMAND_PORT", "REPEATS", "ProtoVersion", "command_service"]

COMMAND_PORT: Final = 8266
REPEATS: Final = (0.0, 0.1, 0.3)
"""Seconds after which the copies of an answer go out."""

ProtoVersion = Literal["2.0", "3.0"]


def command_service(
    udp: Udp,
    *,
    product_id: str,
    device_name: str,
    host: str,
    port: int,
    proto_version: ProtoVersion,
    broadcast: str,
) -> UdpListener:
    """The listener that speaks Tencent's app messages; it serves SoftAP, and every method after the join."""
    codec = AppMessageDevice(
        product_id=product_id,
        device_name=device_name,
        method="soft_ap",
        proto_version=proto_version,
        repeats=REPEATS,
        broadcast=broadcast,
        port_name="command",
    )
    return UdpListener(udp, codec, door="command", method="soft_ap", host=host, port=port)
