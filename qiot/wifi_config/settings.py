"""What a caller may change about a session, with the C SDK's values where it has one."""

from __future__ import annotations

import attrs

from qiot.hal.contract import SoftApSpec
from qiot.model import Secret, Step
from qiot.wifi_config.comm_service import COMMAND_PORT, ProtoVersion

__all__ = ["Settings"]


def _access_point() -> SoftApSpec:
    return SoftApSpec(ssid=b"qcloud-softap", password=Secret("12345678"))


@attrs.frozen
class Settings:
    """Options of a session; all times are seconds.

    Attributes:
        access_point: The access point for provisioning (contract section 1).
        udp_host: Local address of the command service.
        udp_port: Its port.
        proto_version: "3.0" adds the state and address broadcasts and `pairTime` (contract section 14).
        broadcast: Where version 3.0 broadcasts to.
        goal: BOUND, or JOINED where there is no cloud.
        timeout: For the whole run (the C SDK's 1500 polls of 200 ms).
        join_timeout: For one join, address included.
        answer_within: With access point and station together, the phone is answered after the join, but never
            later than this: it gives up after about 10 s.
        grant_timeout: How long a joined and connected device waits for a token.
        retry_window: After the cloud failed, how long a phone may start again before the run fails.
        turn: How long one turn listens where methods have to take turns; a phone that is there gets longer.
        tries: Tries of registration and of connecting within one attempt.
        back_off: Pause before the second try; it doubles.
        barrier: Longest wait for reports before a medium goes away.
        grace: How long the doors stay open after the bind, for a phone that lost its answer.
    """

    access_point: SoftApSpec = attrs.field(factory=_access_point)
    udp_host: str = "0.0.0.0"  # noqa: S104 - a provisioning device serves whoever is in its access point
    udp_port: int = COMMAND_PORT
    proto_version: ProtoVersion = "2.0"
    broadcast: str = "255.255.255.255"
    goal: Step = Step.BOUND
    timeout: float = 300.0
    join_timeout: float = 30.0
    answer_within: float = 6.0
    grant_timeout: float = 20.0
    retry_window: float = 30.0
    turn: float = 30.0
    tries: int = 3
    back_off: float = 1.0
    barrier: float = 1.0
    grace: float = 5.0
