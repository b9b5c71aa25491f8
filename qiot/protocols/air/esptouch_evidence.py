"""What is known of one ESP-TOUCH v1 datum: halves of codes, gathered over rounds and over both directions.

Each octet travels in two lengths; either alone gives it, if only its index is known, and both together carry
a checksum of eight bits. The datum is believed when every octet is known, their XOR is 0 and the SSID's CRC
fits; an old datum, which leaves out the SSID, only when every octet came twice with its own checksum.
"""

from __future__ import annotations

from typing import Final

import attrs

from qiot.model import SSID_MAX
from qiot.protocols.air.crc import crc8
from qiot.protocols.air.esptouch import (
    BSSID_SIZE,
    HEADER,
    PASSWORD_MAX,
    following_codes,
    octet_of_first,
    octet_of_third,
)

__all__ = ["Datum", "Evidence"]

_TOTAL, _PASSWORD_LENGTH, _SSID_CRC, _BSSID_CRC = range(4)
_IP: Final = 5
_KEEP: Final = 3
"""Values kept for one half: the right one, and what a mistake may have put beside it."""
_QUARRELS: Final = 3
_SAME_FRAME: Final = 0.35
"""Seconds; the same length within them may be the same frame, or its copy from the access point, which may
wait for the third beacon where stations sleep; less than the shortest datum takes."""
_VERIFIED_SHARE: Final = 0.5
"""So much of a datum has both halves of its codes before the rest is believed on one half each."""
_ROUNDS_WITHOUT_SSID: Final = 3
_MARKS_WITHOUT_SSID: Final = 8
_ROUNDS_WITHOUT_BSSID: Final = 2


@attrs.frozen
class Datum:
    """A datum that its checksums stand for.

    Attributes:
        ssid: None where an old sender left it out.
        ssid_length: Octets.
        ssid_crc: CRC-8 of the SSID.
        password: In the clear.
        bssid: None where it did not come or its CRC is wrong.
        bssid_crc: CRC-8 of the BSSID.
        ip: Four octets.
        total: The first octet; the acknowledgement begins with it.
    """

    ssid: bytes | None
    ssid_length: int
    ssid_crc: int
    password: bytes = attrs.field(repr=False)
    bssid: bytes | None
    bssid_crc: int
    ip: bytes
    total: int


@attrs.define
class _Code:
    """One index: the values of both lengths with the time they were heard last, and the octet, if known.

    Attributes:
        first: Values of the first length.
        third: Values of the third one.
        twice: Which values were heard at two times: of the third length or not, and the value.
        octet: The octet.
        verified: Both lengths say so.
        marks: How often the middle length was heard.
    """

    first: dict[int, float] = attrs.field(factory=dict)
    third: dict[int, float] = attrs.field(factory=dict)
    twice: set[tuple[bool, int]] = attrs.field(factory=set)
    octet: int | None = None
    verified: bool = False
    marks: int = 0


class Evidence:
    """Everything heard of one phone's datum."""

    def __init__(self) -> None:
        self._codes: dict[int, _Code] = {}
        self._heard_following: dict[int, int] = {}
        self._guess: dict[int, int] = {}
        self._guessed_for: tuple[int | None, int] = (None, 0)
        self.boundary = -1.0
        self.wrong_checksums = 0
        self.marks = 0
        self.generation = 0
        self._quarrels = 0
        self._quarrels_since = self.boundary
        self._bssid_wait: int | None = None

    # --- what comes in -------------------------------------------------------------------------------------

    def mark(self, index: int) -> None:
        """A middle length was heard."""
        self._code(index).marks += 1
        self.marks += 1

    def follow(self, index: int, after: int) -> bool:
        """The code of `index` came right after the one of `after`; True where that is news."""
        if self._heard_following.get(after) == index:
            return False
        self._heard_following[after] = index
        return True

    def following(self, index: int) -> int | None:
        """The code that comes after this one: as it was heard, else as a known order has it that fits."""
        heard = self._heard_following.get(index)
        if heard is not None:
            return heard
        shape = self.shape()
        size = (None if shape is None else shape[0], len(self._heard_following))
        if size != self._guessed_for:
            self._guessed_for = size
            self._guess = {} if shape is None else following_codes(shape[0], self._heard_following)
        return self._guess.get(index)

    def agrees(self, index: int, value: int, *, is_third: bool) -> bool:
        """False where both lengths of a code are known and this is another one."""
        code = self._codes.get(index)
        if code is None or not code.verified:
            return True
        return (octet_of_third if is_third else octet_of_first)(index)[value] == code.octet

    def first(self, index: int, value: int, now: float) -> None:
        """The first length of a code, less 40."""
        self._half(index, value, now, is_third=False)

    def third(self, index: int, value: int, now: float) -> None:
        """The third length of a code, less 40."""
        self._half(index, value, now, is_third=True)

    def forget(self, before: float) -> None:
        """Forget what was heard before a time."""
        for index, code in list(self._codes.items()):
            code.twice.clear()
            for half in (code.first, code.third):
                for value in [value for value, time in half.items() if time < before]:
                    del half[value]
            self._judge(index, code)
            code.marks = 0
            if not code.first and not code.third:
                del self._codes[index]
        self._heard_following.clear()
        self._guessed_for = (None, 0)
        self._guess = {}
        self.generation += 1
        self.marks = 0
        self._quarrels = 0
        self._bssid_wait = None

    def _code(self, index: int) -> _Code:
        code = self._codes.get(index)
        if code is None:
            code = self._codes[index] = _Code()
        return code

    def _half(self, index: int, value: int, now: float, *, is_third: bool) -> None:
        code = self._code(index)
        half = code.third if is_third else code.first
        heard = half.pop(value, None)
        quarrel = heard is None and bool(half)
        half[value] = now if heard is None else max(now, heard)
        if heard is not None:
            if abs(heard - now) > _SAME_FRAME:
                code.twice.add((is_third, value))
            return
        if len(half) > _KEEP:
            del half[next(iter(half))]
        before = code.octet if code.verified else None
        self._judge(index, code)
        if quarrel:
            reversed_ = code.verified and before is not None and before != code.octet
            self._quarrel(now, reversed_=reversed_)

    def _quarrel(self, now: float, *, reversed_: bool) -> None:
        """Two values for one place: the phone may have started over with another datum, or it is a mistake.

        A phone that starts over sends its guide first: what was heard before that is forgotten. Without a
        guide in between only a whole code says so, one that was another before and whose checksum fits.
        """
        if self._quarrels_since != self.boundary:
            self._quarrels, self._quarrels_since = 0, self.boundary
        self._quarrels += 1
        if not reversed_ and self._quarrels < _QUARRELS:
            return
        if self._older_than(self.boundary):
            self.forget(self.boundary)
        elif reversed_:
            self.forget(now)

    def _older_than(self, time: float) -> bool:
        halves = (half for code in self._codes.values() for half in (code.first, code.third))
        return any(heard < time for half in halves for heard in half.values())

    def _judge(self, index: int, code: _Code) -> None:
        """Find the octet: the newest pair that agrees, else the only half there is."""
        newest = -1.0
        code.octet, code.verified = None, False
        first, third = octet_of_first(index), octet_of_third(index)
        for one, heard in code.first.items():
            for other, heard_too in code.third.items():
                if first[one] == third[other] and min(heard, heard_too) > newest:
                    newest = min(heard, heard_too)
                    code.octet, code.verified = first[one], True
        if code.verified:
            return
        if code.first and code.third:
            self.wrong_checksums += 1
        elif len(code.first) == 1:
            code.octet = first[next(iter(code.first))]
        elif len(code.third) == 1:
            code.octet = third[next(iter(code.third))]

    # --- what it amounts to --------------------------------------------------------------------------------

    def octet(self, index: int) -> int | None:
        """The octet at an index, as far as known."""
        code = self._codes.get(index)
        return None if code is None else code.octet

    def _is_verified(self, index: int) -> bool:
        code = self._codes.get(index)
        return code is not None and code.verified

    def _is_settled(self, index: int) -> bool:
        """Verified, each half heard more than once, and never anything else."""
        code = self._codes[index]
        return code.verified and len(code.first) == len(code.third) == 1 and len(code.twice) == 2  # noqa: PLR2004

    def shape(self) -> tuple[int, int] | None:
        """Total and password length, where both are known and possible."""
        total, password = self.octet(_TOTAL), self.octet(_PASSWORD_LENGTH)
        if total is None or password is None or password > PASSWORD_MAX:
            return None
        return (total, password) if 0 < total - HEADER - password <= SSID_MAX else None

    def known(self) -> int:
        """How many octets are known."""
        return sum(code.octet is not None for code in self._codes.values())

    def missing(self) -> list[int]:
        """Indexes that are not known, of the datum without the BSSID; empty where its size is unknown."""
        shape = self.shape()
        return [] if shape is None else [index for index in range(shape[0]) if self.octet(index) is None]

    def datum(self, heard_bssid: bytes) -> Datum | None:
        """The datum, if it is complete. `heard_bssid`: the access point that the phone speaks through."""
        shape = self.shape()
        if shape is None:
            return None
        return self._whole(*shape, heard_bssid) or self._without_ssid(*shape)

    def _run(self, start: int, stop: int) -> bytes | None:
        octets = bytearray()
        for index in range(start, stop):
            octet = self.octet(index)
            if octet is None:
                return None
            octets.append(octet)
        return bytes(octets)

    def _whole(self, total: int, password_length: int, heard_bssid: bytes) -> Datum | None:
        octets = self._run(0, total)
        if octets is None:
            return None
        xor = 0
        for octet in octets:
            xor ^= octet
        ssid = octets[HEADER + password_length :]
        if xor or crc8(ssid) != octets[_SSID_CRC]:
            return None
        if sum(self._is_verified(index) for index in range(total)) < _VERIFIED_SHARE * total:
            return None
        bssid, settled = self._bssid(total, octets[_BSSID_CRC], heard_bssid)
        return _datum(octets, password_length, ssid, bssid) if settled else None

    def _bssid(self, start: int, crc: int, heard: bytes) -> tuple[bytes | None, bool]:
        """The BSSID, and whether there is no use in waiting for more of it."""
        sent = [self.octet(index) for index in range(start, start + BSSID_SIZE)]
        whole = self._run(start, start + BSSID_SIZE)
        if whole is not None:
            return (whole if crc8(whole) == crc else None), True
        if crc8(heard) == crc and all(octet in (None, real) for octet, real in zip(sent, heard, strict=True)):
            return heard, True
        if self._bssid_wait is None:
            self._bssid_wait = self.marks
        waited = self.marks - self._bssid_wait
        return None, waited > _ROUNDS_WITHOUT_BSSID * (start + BSSID_SIZE)

    def _without_ssid(self, total: int, password_length: int) -> Datum | None:
        """An old datum: no SSID, and the BSSID where it would begin."""
        start = HEADER + password_length
        stop = start + BSSID_SIZE
        if any(code.marks for index, code in self._codes.items() if index >= stop):
            return None
        rounds = self.marks / stop
        if rounds < _ROUNDS_WITHOUT_SSID or rounds * (total - start) < _MARKS_WITHOUT_SSID:
            return None  # it may only have been lost so far
        octets = self._run(0, stop)
        if octets is None or not all(self._is_settled(index) for index in range(stop)):
            return None
        if crc8(octets[start:]) != octets[_BSSID_CRC]:
            return None
        return _datum(octets[:start], password_length, None, octets[start:])


def _datum(octets: bytes, password_length: int, ssid: bytes | None, bssid: bytes | None) -> Datum:
    return Datum(
        ssid=ssid,
        ssid_length=octets[_TOTAL] - HEADER - password_length,
        ssid_crc=octets[_SSID_CRC],
        password=octets[HEADER : HEADER + password_length],
        bssid=bssid,
        bssid_crc=octets[_BSSID_CRC],
        ip=octets[_IP:HEADER],
        total=octets[_TOTAL],
    )
