"""What happened in the local cloud, as records that tests can wait for and people can read."""

from __future__ import annotations

import asyncio
import collections
import enum
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from qiot.testbed.cloud.jsontext import load_object

__all__ = ["Journal", "Kind", "Record", "masked", "shown"]

_KEEP: Final = 10_000
"""Records that are kept; older ones are dropped."""

_SECRET_KEYS: Final = frozenset(
    {
        "accesstoken",
        "clientcert",
        "clientkey",
        "devicesecret",
        "password",
        "payload",
        "productsecret",
        "psk",
        "pw",
        "secret",
        "signature",
        "token",
        "tokens",
    }
)


class Kind(enum.StrEnum):
    """What a record is about."""

    DYNREG = "dynreg"
    APP = "app"
    HTTP = "http"
    TLS = "tls"
    CONNECT = "connect"
    DISCONNECT = "disconnect"
    SUBSCRIBE = "subscribe"
    PUBLISH = "publish"
    SEND = "send"
    BIND = "bind"
    FAULT = "fault"
    MODE = "mode"
    ERROR = "error"


@attrs.frozen
class Record:
    """One thing that happened.

    Attributes:
        seq: Counts records from 1.
        t: Seconds since the cloud was made, monotonic.
        kind: What it is about.
        text: What happened, in a few words.
        device: "productId/deviceName", where it concerns a device.
        code: The number that went onto the wire: CONNACK code, HTTP status, the platform's code. 0 is good.
        detail: More facts, with secrets masked.
    """

    seq: int
    t: float
    kind: Kind
    text: str
    device: str = ""
    code: int | None = None
    detail: Mapping[str, Any] = attrs.field(factory=dict, hash=False)

    def as_dict(self) -> dict[str, Any]:
        """The record as one flat JSON object; `event` holds the kind."""
        fields = {"event": self.kind.value, "seq": self.seq, "t": round(self.t, 6), "text": self.text}
        if self.device:
            fields["device"] = self.device
        if self.code is not None:
            fields["code"] = self.code
        return fields | {name: value for name, value in self.detail.items() if name not in fields}

    def __str__(self) -> str:
        code = "" if self.code is None else f" ({self.code})"
        facts = "".join(f" {name}={value}" for name, value in self.detail.items())
        device = f" {self.device}" if self.device else ""
        line = f"{self.t:9.3f} {self.kind:<10}{device} {self.text}{code}{facts}"
        # Much of it comes from outside: no control character may reach a terminal.
        return "".join(letter if letter.isprintable() else "?" for letter in line)


class Journal:
    """Collects the records of one cloud.

    Args:
        on_record: Called with every record as it happens, on the event loop; it must not raise or block.
    """

    def __init__(self, on_record: Callable[[Record], None] | None = None) -> None:
        self._on_record = on_record
        self._start = time.monotonic()
        self._count = itertools.count(1)
        self._records: collections.deque[Record] = collections.deque(maxlen=_KEEP)
        self._waiting: list[tuple[Callable[[Record], bool], asyncio.Future[Record]]] = []

    @property
    def records(self) -> Sequence[Record]:
        """The newest 10000 records, oldest first."""
        return tuple(self._records)

    def note(
        self, kind: Kind, text: str, /, *, device: str = "", code: int | None = None, **detail: object
    ) -> Record:
        """Write down that something happened. `detail` must not hold secrets (see `masked`)."""
        t = time.monotonic() - self._start
        record = Record(next(self._count), t, kind, text, device, code, detail)
        self._records.append(record)
        for predicate, future in self._waiting:
            if not future.done() and predicate(record):
                future.set_result(record)
        if self._on_record is not None:
            self._on_record(record)
        return record

    async def wait_for(
        self, predicate: Callable[[Record], bool], *, timeout: float = 10.0, since: int = 0
    ) -> Record:
        """Return the first record after number `since` that fits, at once where it is there already.

        Raises:
            TimeoutError: None came within `timeout` seconds.
        """
        for record in self._records:
            if record.seq > since and predicate(record):
                return record
        future = asyncio.get_running_loop().create_future()
        entry = (predicate, future)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(timeout):
                result: Record = await future
                return result
        finally:
            self._waiting.remove(entry)


def masked(value: Any) -> Any:
    """A copy of JSON data with the values of secret keys replaced by stars."""
    if isinstance(value, Mapping):
        return {
            key: "***" if str(key).lower() in _SECRET_KEYS else masked(item) for key, item in value.items()
        }
    if isinstance(value, list):
        return [masked(item) for item in value]
    return value


def shown(payload: bytes) -> object:
    """A message for a record: its JSON object with secrets masked, else only its size."""
    try:
        return masked(load_object(payload))
    except ValueError:
        return f"{len(payload)} octets that are no JSON object"
