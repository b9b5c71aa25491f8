"""ESP-TOUCH v1, the phone's side, and the tables that both sides share.

Source: Espressif's public Android encoder as written down in the specification: a guide code of four lengths
for two seconds, then the datum for four, three lengths for each octet, 8 ms apart.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address
from typing import Final

import attrs

from qiot.errors import ProtocolError
from qiot.model import SSID_MAX, Reason, Secret
from qiot.protocols.air.casts import ANYBODY, Cast, Symbol, paced
from qiot.protocols.air.crc import crc8

__all__ = [
    "ACK_PORT",
    "BSSID_SIZE",
    "GUIDE",
    "HEADER",
    "LENGTH_BASE",
    "MIDDLE",
    "ORDERS",
    "PASSWORD_MAX",
    "PORT",
    "EspTouch",
    "after_header_order",
    "code_lengths",
    "espressif_order",
    "every_fifth_order",
    "following_codes",
    "octet_of_first",
    "octet_of_third",
    "plain_order",
]

PORT: Final = 7001
ACK_PORT: Final = 18266
GUIDE: Final = (515, 514, 513, 512)
LENGTH_BASE: Final = 40
MIDDLE: Final = 0x100
"""Marks the middle length of a code, which carries the index."""
HEADER: Final = 9
"""Total length, password length, two checksums, XOR, and the phone's IPv4 address."""
PASSWORD_MAX: Final = 64
BSSID_SIZE: Final = 6
INTERVAL: Final = 0.008
GUIDE_TIME: Final = 2.0
DATA_TIME: Final = 4.0
SEND_TIME: Final = 45.0
_GROUP: Final = 3
_FOLLOWING_MIN: Final = 4
"""Codes whose followers were heard before a known order is looked for."""
_MULTICAST_GROUPS: Final = 100


def code_lengths(index: int, octet: int) -> tuple[int, int, int]:
    """The three payload lengths that carry an octet at an index, 0 to 127."""
    crc = crc8((octet, index))
    return (
        LENGTH_BASE + (crc & 0xF0 | octet >> 4),
        LENGTH_BASE + (MIDDLE | index),
        LENGTH_BASE + ((crc & 0x0F) << 4 | octet & 0x0F),
    )


@functools.cache
def octet_of_first(index: int) -> bytes:
    """For every value of a code's first length, less 40: the one octet that has it at this index.

    The checksum's bits make up for the nibble that the third length carries: the map is one to one.
    """
    row = bytearray(256)
    for octet in range(256):
        row[code_lengths(index, octet)[0] - LENGTH_BASE] = octet
    return bytes(row)


@functools.cache
def octet_of_third(index: int) -> bytes:
    """The same for a code's third length."""
    row = bytearray(256)
    for octet in range(256):
        row[code_lengths(index, octet)[2] - LENGTH_BASE] = octet
    return bytes(row)


def _interleaved(total: int, first: int, step: int) -> list[int]:
    """Indexes in order, those of the BSSID put in at every `step`th place from `first` on."""
    order = list(range(total))
    for count in range(BSSID_SIZE):
        order.insert(min(first + count * step, len(order)), total + count)
    return order


def espressif_order(total: int) -> list[int]:
    """The indexes in the order Espressif's encoders send them: three others between two of the BSSID's."""
    return _interleaved(total, 5, 4)


def every_fifth_order(total: int) -> list[int]:
    """The order of some encoders in Python: four others between two of the BSSID's."""
    return _interleaved(total, 5, 5)


def after_header_order(total: int) -> list[int]:
    """The order of some encoders in Go: the BSSID's six right after index 5."""
    return _interleaved(total, 6, 1)


def plain_order(total: int) -> list[int]:
    """Index by index, the BSSID's last."""
    return list(range(total + BSSID_SIZE))


ORDERS: Final = (espressif_order, every_fifth_order, after_header_order, plain_order)
"""The orders that encoders are known to use. A receiver may use them to place what it heard, and need not."""


def following_codes(total: int, heard: dict[int, int]) -> dict[int, int]:
    """What follows what in the known orders that agree with all that was heard, as far as they agree."""
    if len(heard) < _FOLLOWING_MIN:
        return {}
    fitting = []
    for order_of in ORDERS:
        order = order_of(total)
        following = dict(zip(order, order[1:] + order[:1], strict=True))
        if all(following.get(one) == other for one, other in heard.items()):
            fitting.append(following)
    if not fitting:
        return {}
    return {
        one: other for one, other in fitting[0].items() if all(order.get(one) == other for order in fitting)
    }


@attrs.frozen
class EspTouch:
    """One datum of ESP-TOUCH v1 and how it is sent.

    Attributes:
        ssid: 1 to 32 octets.
        password: 0 to 64 octets; empty for an open network.
        bssid: Six octets.
        ip: The phone's IPv4 address.
        ssid_in_datum: False as senders before 2016 did for visible networks: the SSID's octets are left out.
        multicast: Send to 234.n.n.n, a new one for each group, instead of broadcasting.
        broadcast: Where to broadcast to; iOS uses the subnet's own address.
        order: Gives the order of the indexes 0 to total + 5; encoders differ, receivers need not care.

    Raises:
        ProtocolError: BAD_FIELD: a field is too long, or no address.
    """

    ssid: bytes = attrs.field()
    password: Secret = attrs.field()
    bssid: bytes = attrs.field()
    ip: str = attrs.field()
    ssid_in_datum: bool = True
    multicast: bool = False
    broadcast: str = ANYBODY
    order: Callable[[int], Sequence[int]] = espressif_order

    def __attrs_post_init__(self) -> None:
        if not 0 < len(self.ssid) <= SSID_MAX:
            raise ProtocolError(f"an SSID has 1 to {SSID_MAX} octets", reason=Reason.BAD_FIELD)
        if len(self.password) > PASSWORD_MAX:
            raise ProtocolError(f"a password has at most {PASSWORD_MAX} octets", reason=Reason.BAD_FIELD)
        if len(self.bssid) != BSSID_SIZE:
            raise ProtocolError("a BSSID has six octets", reason=Reason.BAD_FIELD)
        try:
            IPv4Address(self.ip)
        except ValueError:
            raise ProtocolError(f"{self.ip!r} is no IPv4 address", reason=Reason.BAD_FIELD) from None

    @property
    def token(self) -> int:
        """The first octet of the acknowledgement: the datum's total length."""
        return (HEADER + len(self.ssid) + len(self.password)) & 0xFF

    def octets(self) -> dict[int, int]:
        """The datum: octets by index."""
        password = self.password.reveal()
        total = HEADER + len(password) + len(self.ssid)
        head = bytes((total, len(password), crc8(self.ssid), crc8(self.bssid)))
        rest = IPv4Address(self.ip).packed + password + self.ssid
        xor = 0
        for octet in head + rest:
            xor ^= octet
        table = head + bytes((xor,)) + rest
        if not self.ssid_in_datum:
            table = table[: HEADER + len(password)]
        return dict(enumerate(table + self.bssid))

    def lengths(self) -> list[int]:
        """The datum's payload lengths in the order they are sent."""
        octets = self.octets()
        return [
            length
            for index in self.order(len(octets) - BSSID_SIZE)
            for length in code_lengths(index, octets[index])
        ]

    def round(self) -> Iterator[Cast]:
        """The guide code and the datum, once."""
        guide, data = self._groups()
        groups = itertools.chain([guide], data)
        return paced(itertools.chain.from_iterable(groups), interval=INTERVAL, port=PORT, fill=ord("1"))

    def casts(self) -> Iterator[Cast]:
        """Two seconds of guide code and four of datum, for 45 seconds; the datum goes on where it stopped."""
        return paced(self._forever(), interval=INTERVAL, port=PORT, fill=ord("1"))

    def _groups(self) -> tuple[list[Symbol], Iterator[list[Symbol]]]:
        lengths = self.lengths()
        guide = [Symbol(length, "guide", self._to(0)) for length in GUIDE]
        data = (
            [
                Symbol(length, "data", self._to(1 + start // _GROUP))
                for length in lengths[start : start + _GROUP]
            ]
            for start in range(0, len(lengths), _GROUP)
        )
        return guide, data

    def _to(self, count: int) -> str:
        group = 1 + count % _MULTICAST_GROUPS
        return f"234.{group}.{group}.{group}" if self.multicast else self.broadcast

    def _forever(self) -> Iterator[Symbol]:
        lengths = self.lengths()
        codes = itertools.cycle([lengths[start : start + _GROUP] for start in range(0, len(lengths), _GROUP)])
        guides = round(GUIDE_TIME / INTERVAL) // len(GUIDE) + 1
        groups = round(DATA_TIME / INTERVAL) // _GROUP + 1
        burst = itertools.count()
        left = round(SEND_TIME / INTERVAL)
        while left > 0:
            for group, part in itertools.chain(
                itertools.repeat((GUIDE, "guide"), guides),
                ((code, "data") for code in itertools.islice(codes, groups)),
            ):
                to = self._to(next(burst))
                left -= len(group)
                for length in group:
                    yield Symbol(length, part, to)
                if left <= 0:
                    return
