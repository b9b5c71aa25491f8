"""The module's numbers as reasons.

`<err,sub>` of a provisioning that failed are the C SDK's error id and sub id (contract section 3); those of
CWJAP are ESP-AT's own (ESP-AT user guide, AT+CWJAP).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from qiot.model import Failure, Reason, Step

__all__ = ["join_reason", "provisioning_failure"]

_JOIN: Final[Mapping[int, Reason]] = {
    1: Reason.JOIN_TIMEOUT,
    2: Reason.WRONG_PASSWORD,
    3: Reason.NO_SUCH_AP,
    4: Reason.JOIN_OTHER,
}
_WIFI_IDS: Final = frozenset(range(6, 13))
"""Ids of Wi-Fi: WIFI STA init error to WIFI AP STA error."""
_WIFI_SUBS: Final[Mapping[int, Reason]] = {
    2: Reason.HANDSHAKE_TIMEOUT,  # authentication expired (IEEE 802.11, table 9-49), as in a public log
    15: Reason.WRONG_PASSWORD,
    201: Reason.NO_SUCH_AP,
    202: Reason.WRONG_PASSWORD,
    203: Reason.ASSOCIATION_REFUSED,
    204: Reason.HANDSHAKE_TIMEOUT,
}
_OTHERS: Final[Mapping[int, tuple[Step, Reason]]] = {
    1: (Step.CONNECTING, Reason.MQTT_REFUSED),
    2: (Step.LISTENING, Reason.BAD_MESSAGE),
    13: (Step.LISTENING, Reason.PLATFORM),
    14: (Step.LISTENING, Reason.BAD_MESSAGE),
    23: (Step.BINDING, Reason.TOKEN_SEND),
    24: (Step.BINDING, Reason.TOKEN_REFUSED),
}
_PAIR: Final = re.compile(r"(-?\d+)\s*,\s*(-?\d+)")


def join_reason(code: int | None) -> Reason:
    """Why AT+CWJAP failed."""
    return Reason.JOIN_OTHER if code is None else _JOIN.get(code, Reason.JOIN_OTHER)


def provisioning_failure(text: str) -> Failure:
    """What stands behind WIFI_CONNECT_FAILED, as a failure of the step that it tells of."""
    pair = _PAIR.search(text)
    if pair is None:
        return Failure(Step.JOINING, Reason.JOIN_OTHER, text=f"the module says: {text or 'nothing more'}")
    number, sub = int(pair[1]), int(pair[2])
    said = f"the module says ({number}, {sub})"
    if number in _WIFI_IDS:
        return Failure(Step.JOINING, _WIFI_SUBS.get(sub, Reason.JOIN_OTHER), code=sub, text=said)
    step, reason = _OTHERS.get(number, (Step.JOINING, Reason.PLATFORM))
    return Failure(step, reason, code=sub, text=said)
