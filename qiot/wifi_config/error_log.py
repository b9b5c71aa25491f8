"""The C SDK's error log: numbers, texts, the 8-byte items, and what is said to which phone.

This is the edge where typed reasons become the numbers that Tencent's apps and consoles know
(contract sections 3, 6 and 16).
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Mapping
from typing import Final

import attrs

from qiot.errors import StorageError
from qiot.hal.contract import Slot, Storage
from qiot.log import get_logger
from qiot.model import Failure, Peer, Reason, Step
from qiot.protocols.lan.app_message import error_record

__all__ = ["CAPACITY", "MAGIC", "ErrorItem", "ErrorLog", "c_sdk_numbers"]

log = get_logger()

MAGIC: Final = 0xF00DBEEF
CAPACITY: Final = 16
_HEADER: Final = struct.Struct("<II")
_ITEM: Final = struct.Struct("<BBHi")
_CURRENT: Final = 0

TEXTS: Final[tuple[str, ...]] = (
    "Everything OK!",
    "MQTT connect error!",
    "APP command error!",
    "WIFI boarding stop!",
    "RTOS task error!",
    "RTOS queue error!",
    "WIFI STA init error!",
    "WIFI AP init error!",
    "WIFI start error!",
    "WIFI config error!",
    "WIFI connect error!",
    "WIFI disconnect error!",
    "WIFI AP STA error!",
    "ESP smartconfig start error!",
    "ESP smartconfig data error!",
    "SRV socket open error!",
    "SRV socket bind error!",
    "SRV socket listen error!",
    "SRV socket fcntl error!",
    "SRV socket accept error!",
    "SRV socket recv error!",
    "SRV socket select error!",
    "SRV socket send error!",
    "MQTT Token send error!",
    "MQTT Token reply error!",
)

_FAILURE: Final = -1001
_NO_TOKEN: Final = -1002

_FIXED: Final[Mapping[Reason, tuple[int, int | None]]] = {
    Reason.BAD_MESSAGE: (2, 201),
    Reason.BAD_FIELD: (2, 204),
    Reason.STOPPED: (3, 101),
    Reason.TIMEOUT: (3, 103),
    Reason.PORT_BUSY: (16, None),
    Reason.NO_PERMISSION: (16, None),
    Reason.MEDIUM: (16, None),
    Reason.GRANT_TIMEOUT: (23, _NO_TOKEN),
    Reason.TOKEN_SEND: (23, None),
    Reason.TOKEN_REFUSED: (24, None),
    Reason.TOKEN_MALFORMED: (24, 201),
    Reason.TOKEN_NO_REPLY: (24, -111),
}
"""Id and sub id whatever the step; None takes the failure's own code (contract sections 3 and 16)."""

_BY_STEP: Final[Mapping[Step, Mapping[Reason, int]]] = {
    Step.JOINING: {
        Reason.NO_SUCH_AP: 201,
        Reason.WRONG_PASSWORD: 202,
        Reason.ASSOCIATION_REFUSED: 203,
        Reason.HANDSHAKE_TIMEOUT: 204,
        Reason.DHCP: 210,
        Reason.JOIN_TIMEOUT: 211,
        Reason.UNSUPPORTED_SECURITY: 212,
        Reason.JOIN_OTHER: 213,
        Reason.NO_SAVED_NETWORK: 213,
    },
    Step.REGISTERING: {
        Reason.DNS: -6,
        Reason.CLOUD_MALFORMED: -7,
        Reason.TCP: -8,
        Reason.CLOUD_TIMEOUT: -11,
        Reason.TLS: -703,
    },
    Step.CONNECTING: {
        Reason.CLOUD_TIMEOUT: -111,
        Reason.DNS: -602,
        Reason.TCP: -603,
        Reason.MQTT_LOST: -608,
        Reason.TLS: -703,
    },
}
"""Sub ids of a step; what stands in none of the tables is -1001, or the cloud's own code."""

_CONNACK_BASE: Final = -112
"""CONNACK 1 … 5 are -113 … -117 (contract section 16)."""


def c_sdk_numbers(failure: Failure, method: str) -> tuple[int, int]:
    """The C SDK's error id and sub id of a failure.

    Args:
        failure: What failed.
        method: The method that was at work: a failed join is error 12 after SoftAP and 10 after the others.
    """
    reason, step = failure.reason, failure.step
    code = _FAILURE if failure.code is None else failure.code
    if reason is Reason.MQTT_REFUSED and failure.code is not None:
        return 1, _CONNACK_BASE - failure.code
    if reason in _FIXED:
        error_id, sub_id = _FIXED[reason]
        return error_id, code if sub_id is None else sub_id
    if step is Step.JOINING:
        return (12 if method == "soft_ap" else 10), _BY_STEP[step].get(reason, 213)
    if step in _BY_STEP:
        return 1, _BY_STEP[step].get(reason, code)
    if step in (Step.AWAITING_GRANT, Step.BINDING):
        return 23, -111 if reason is Reason.CLOUD_TIMEOUT else _FAILURE
    return (7 if method == "soft_ap" else 8), code


@attrs.frozen
class ErrorItem:
    """One entry.

    Attributes:
        error_id: 0 to 24.
        sub_id: Signed 32 bit.
        peer: Whom it concerns; None for everybody.
        previous: It is of an earlier run or try: the phone only reports it and goes on.
    """

    error_id: int
    sub_id: int
    peer: Peer | None = None
    previous: bool = False

    @property
    def text(self) -> str:
        """The C SDK's text of the error id."""
        return TEXTS[self.error_id] if 0 <= self.error_id < len(TEXTS) else "unknown error!"

    def record(self) -> bytes:
        """The datagram that tells it to a phone."""
        return error_record(self.text, self.error_id, self.sub_id, previous=self.previous)


class ErrorLog:
    """The newest 16 errors: told once to the phone that they concern, saved when a run fails.

    Args:
        storage: Where they survive the process, or None.
    """

    def __init__(self, storage: Storage | None) -> None:
        self._storage = storage
        self._run: deque[ErrorItem] = deque(maxlen=CAPACITY)
        self._unsaid: deque[ErrorItem] = deque(maxlen=CAPACITY)

    def note(self, failure: Failure, method: str, peer: Peer | None = None) -> ErrorItem:
        """Keep a failure; the same one twice in a row for the same peer is kept once."""
        item = ErrorItem(*c_sdk_numbers(failure, method), peer)
        if not self._run or self._run[-1] != item:
            _add(self._run, item)
        if item not in self._unsaid:
            _add(self._unsaid, item)
        return item

    def take(self, peer: Peer) -> list[bytes]:
        """The records that `peer` has to be told now; each is given out once."""
        lines = self.peek(peer)
        others = (item for item in self._unsaid if item.peer not in (None, peer))
        self._unsaid = deque(others, maxlen=CAPACITY)
        return lines

    def peek(self, peer: Peer) -> list[bytes]:
        """The same, for a peer that may not hear it: they stay to be told."""
        return [item.record() for item in self._unsaid if item.peer in (None, peer)]

    def begin_try(self) -> None:
        """A phone tries anew: what was not told yet is history now, and must not abort its new try."""
        self._unsaid = deque((attrs.evolve(item, previous=True) for item in self._unsaid), maxlen=CAPACITY)

    async def load(self) -> None:
        """Take in what an earlier run saved, as previous errors; a damaged image is reported and dropped."""
        if self._storage is None:
            return
        try:
            image = await self._storage.load(Slot.ERRORS)
        except StorageError as error:
            log.warning(f"error log not readable: {error}")
            return
        if image is None:
            return
        items = _parse(image)
        if items is None:
            log.warning(f"error log is damaged ({len(image)} bytes) and was dropped")
            await self._forget()
            return
        self._unsaid.extend(items)

    async def save(self) -> None:
        """Save this run's errors for the next; a failed save is a warning, never a second failure."""
        if self._storage is None or not self._run:
            return
        image = _HEADER.pack(MAGIC, len(self._run)) + b"".join(
            _ITEM.pack(_CURRENT, 0, item.error_id, item.sub_id) for item in self._run
        )
        try:
            await self._storage.save(Slot.ERRORS, image)
        except StorageError as error:
            log.warning(f"error log not saved: {error}")

    async def settle(self) -> None:
        """The run succeeded: forget what was saved, unless nobody has been told of it yet."""
        if not any(item.previous for item in self._unsaid):
            await self._forget()

    async def _forget(self) -> None:
        if self._storage is None:
            return
        try:
            await self._storage.erase(Slot.ERRORS)
        except StorageError as error:
            log.warning(f"error log not erased: {error}")


def _add(items: deque[ErrorItem], item: ErrorItem) -> None:
    """Keep the newest; what strangers sent wrong never pushes out what the owner has to know."""
    if len(items) == CAPACITY:
        of_strangers = next((each for each in items if each.peer is not None), None)
        if of_strangers is not None:
            items.remove(of_strangers)
        elif item.peer is not None:
            return
    items.append(item)


def _parse(image: bytes) -> list[ErrorItem] | None:
    """Items of a saved image, or None where it is none (contract section 6)."""
    if len(image) < _HEADER.size:
        return None
    magic, count = _HEADER.unpack_from(image)
    if magic != MAGIC or count > CAPACITY or len(image) < _HEADER.size + count * _ITEM.size:
        return None
    items = _ITEM.iter_unpack(image[_HEADER.size : _HEADER.size + count * _ITEM.size])
    return [ErrorItem(error_id, sub_id, previous=True) for _, _, error_id, sub_id in items]
