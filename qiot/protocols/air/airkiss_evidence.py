"""What is known of one AirKiss datum: symbols of its fields and sequences, gathered over rounds.

Fields are nibbles that say their own place. Sequences are four octets under seven bits of checksum; their
symbols may come from different rounds. Seven bits are few: a symbol counts where nothing else can have been
sent, or when it comes again; and once anything was heard that does not belong here, only when it comes again.

Without the magic field, the total length is found by the numbers of the frames from an index to the next
prefix field. Other frames in between make that longer, never shorter, and a total that is too long leaves an
octet that never comes. One that is too short would leave out an octet that was heard.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

import attrs

from qiot.model import SSID_MAX
from qiot.protocols.air.airkiss import SEQUENCE_OCTETS, ZERO_TOTAL, sequence_checksum
from qiot.protocols.air.crc import crc8

__all__ = ["SEQUENCES_MAX", "Evidence", "Shape"]

SEQUENCES_MAX: Final = (80 + 1 + SSID_MAX + SEQUENCE_OCTETS - 1) // SEQUENCE_OCTETS
"""For a password of 64 octets, encrypted, the random byte and an SSID of 32."""
CHECKSUM: Final = -2
"""Slot of a sequence's first symbol; the octets are in slots 0 to 3."""
_HEADERS: Final = 2
_KEEP: Final = 3
BELIEVED: Final = 2
"""Weight from which a value is believed: once where nothing else can have been sent, or twice."""
_QUARRELS: Final = 4
_ROUNDS: Final = 2
"""How often the shortest length of a round has to be heard; and more often than any other."""
_ROUND_LENGTHS: Final = 32


@attrs.define
class _Vote:
    """How far a value is believed, and the last frame that told it, with its share."""

    weight: int
    hearing: tuple[int, int]
    last: int


@attrs.frozen
class Shape:
    """What the magic and the prefix field say.

    Attributes:
        total: Octets of password field, random byte and SSID.
        ssid_crc: CRC-8 of the SSID, or None where the total is that of the rounds.
        password: Octets of the password field, or None where the prefix is not known yet.
    """

    total: int
    ssid_crc: int | None
    password: int | None

    @property
    def sequences(self) -> int:
        """How many sequences there are."""
        return -(-self.total // SEQUENCE_OCTETS)

    def octets_of(self, index: int) -> int:
        """How many octets a sequence has: four, the last one the rest."""
        return min(SEQUENCE_OCTETS, self.total - SEQUENCE_OCTETS * index)


class Evidence:
    """Everything heard of one datum since a guide code."""

    def __init__(self) -> None:
        self._magic: tuple[dict[int, int], ...] = ({}, {}, {}, {})
        self._prefix: tuple[dict[int, int], ...] = ({}, {}, {}, {})
        self._rounds: dict[int, int] = {}
        self._slots: dict[tuple[int, int], dict[int, _Vote]] = {}
        self._sequences: dict[int, bytes | None] = {}
        self._shape: Shape | None = None
        self._shape_is_new = False
        self.wrong_checksums = 0
        self.quarrels = 0
        self._absorbed = False
        self._is_split = False
        self._doubt = False

    @property
    def doubt(self) -> bool:
        """Something was heard that does not belong here: everything has to be heard twice from now on."""
        return self._doubt

    @doubt.setter
    def doubt(self, doubt: bool) -> None:
        if doubt and not self._doubt:
            self._doubt = True
            self._sequences.clear()

    @property
    def is_empty(self) -> bool:
        """No data yet."""
        return not self._slots

    @property
    def is_quarrelling(self) -> bool:
        """So many places had two values that it is likely another datum by now.

        Where something from before a guide code was taken over, one place is enough: the phone may have
        started over with the same random byte.
        """
        return self.quarrels >= _QUARRELS or (self._absorbed and self._is_split)

    # --- what comes in -------------------------------------------------------------------------------------

    def magic(self, place: int, nibble: int) -> None:
        """A symbol of the magic field, at place 0 to 3."""
        value = 0 if place == 0 and nibble == ZERO_TOTAL else nibble
        self._vote(self._magic[place], value)

    def prefix(self, place: int, nibble: int) -> None:
        """A symbol of the prefix field, at place 0 to 3."""
        self._vote(self._prefix[place], nibble)

    def round(self, symbols: int) -> None:
        """So many symbols of sequences seem to come from one prefix field to the next."""
        if symbols in self._rounds or len(self._rounds) < _ROUND_LENGTHS:
            self._vote(self._rounds, symbols)

    def _vote(self, votes: dict[int, int], value: int) -> None:
        votes[value] = votes.get(value, 0) + 1
        self._shape_is_new = True

    def symbol(self, index: int, slot: int, value: int, hearing: tuple[int, int], weight: int) -> None:
        """An octet of a sequence, in slot 0 to 3, or its checksum.

        Args:
            index: Which sequence.
            slot: 0 to 3, or `CHECKSUM`.
            value: The octet.
            hearing: Which frame told it; its weight counts once.
            weight: 2 where nothing else can have been sent there, else 1.
        """
        votes = self._slots.setdefault((index, slot), {})
        vote = votes.get(value)
        if vote is None:
            if votes:
                self.doubt = True
                self.quarrels += weight >= BELIEVED and any(
                    known.weight >= BELIEVED for known in votes.values()
                )
                if len(votes) >= _KEEP:
                    del votes[min(votes, key=lambda known: votes[known].weight)]
            votes[value] = _Vote(weight, hearing, weight)
        elif vote.hearing == hearing:
            vote.weight += max(0, weight - vote.last)
            vote.last = max(weight, vote.last)
        else:
            vote.weight += weight
            vote.hearing, vote.last = hearing, weight
        self._is_split |= len(votes) > 1 and sum(vote.weight >= BELIEVED for vote in votes.values()) > 1
        self._sequences.pop(index, None)

    def _values(self, index: int, slot: int, weight: int) -> list[int]:
        """The values of a slot that are believed so much."""
        votes = self._slots.get((index, slot), {})
        return [value for value, vote in votes.items() if vote.weight >= weight]

    # --- what it amounts to --------------------------------------------------------------------------------

    def shape(self) -> Shape | None:
        """What the fields say, as far as their checksum and one another allow it."""
        if self._shape_is_new:
            self._shape_is_new = False
            shape = self._find_shape()
            if shape != self._shape:
                self._shape = shape
                self._sequences.clear()
        return self._shape

    def _find_shape(self) -> Shape | None:
        if all(self._magic):
            total, crc = _octet(self._magic[:2]), _octet(self._magic[2:])
        else:
            total, crc = self._total_of_rounds(), None
        if not 1 < total <= SEQUENCES_MAX * SEQUENCE_OCTETS:
            return None
        password = None
        # Two prefix fields are those of two data, which without a magic field cannot be told apart.
        if all(self._prefix) and (crc is not None or all(len(votes) == 1 for votes in self._prefix)):
            length = _octet(self._prefix[:2])
            if crc8((length,)) == _octet(self._prefix[2:]) and 1 <= total - 1 - length <= SSID_MAX:
                password = length
        return Shape(total, crc, password)

    def _total_of_rounds(self) -> int:
        """The total length that the rounds have, or 0; the shortest one is without others' frames."""
        if not self._rounds:
            return 0
        symbols = min(self._rounds)
        count = self._rounds[symbols]
        if count < _ROUNDS or any(other >= count for size, other in self._rounds.items() if size != symbols):
            return 0
        whole, rest = divmod(symbols, _HEADERS + SEQUENCE_OCTETS)
        if not rest:
            return whole * SEQUENCE_OCTETS
        return whole * SEQUENCE_OCTETS + rest - _HEADERS if rest > _HEADERS else 0

    @property
    def wrong_prefix(self) -> bool:
        """All of the prefix field was heard, and its checksum or length cannot be."""
        shape = self.shape()
        return shape is not None and shape.password is None and all(self._prefix)

    def sequence(self, index: int) -> bytes | None:
        """The octets of a sequence, where its checksum fits."""
        shape = self.shape()
        if shape is None:
            return None
        if index not in self._sequences:
            self._sequences[index] = self._find_sequence(index, shape.octets_of(index))
        return self._sequences[index]

    def _find_sequence(self, index: int, count: int) -> bytes | None:
        unsure = self.doubt or self._shape is None or self._shape.ssid_crc is None
        weight = 2 * BELIEVED if unsure else BELIEVED
        slots = [self._values(index, slot, weight) for slot in range(count)]
        checksums = self._values(index, CHECKSUM, weight)
        if not checksums or not all(slots):
            return None
        fitting = [
            bytes(octets)
            for octets in itertools.product(*slots)
            if sequence_checksum(index, bytes(octets)) in checksums
        ]
        self.wrong_checksums += not fitting
        return fitting[0] if len(fitting) == 1 else None

    def sequences(self) -> dict[int, bytes]:
        """All sequences whose checksums fit."""
        shape = self.shape()
        if shape is None:
            return {}
        found = {index: self.sequence(index) for index in range(shape.sequences)}
        return {index: octets for index, octets in found.items() if octets is not None}

    def octets(self) -> bytes | None:
        """All octets, where every sequence is there, and nothing was heard beyond the last one."""
        shape, sequences = self.shape(), self.sequences()
        if shape is None or len(sequences) < shape.sequences:
            return None
        if shape.ssid_crc is None and self._last_octet() != shape.total - 1:
            return None
        return b"".join(sequences[index] for index in range(shape.sequences))

    def _last_octet(self) -> int:
        """The last octet of all that were heard."""
        return max((SEQUENCE_OCTETS * index + slot for index, slot in self._slots if slot >= 0), default=-1)

    def known(self) -> int:
        """How many symbols of sequences are known."""
        return len(self._slots)

    # --- the same datum as before the guide code? ----------------------------------------------------------

    def contradicts(self, earlier: Evidence) -> bool:
        """Something is not as it was heard earlier."""
        shape, before = self.shape(), earlier.shape()
        if shape is not None and before is not None:
            if shape.total != before.total:
                return True
            if None not in (shape.ssid_crc, before.ssid_crc) and shape.ssid_crc != before.ssid_crc:
                return True
            if None not in (shape.password, before.password) and shape.password != before.password:
                return True
        return any(
            (mine := self._values(*slot, BELIEVED))
            and (other := earlier._values(*slot, BELIEVED))
            and set(mine).isdisjoint(other)
            for slot in self._slots.keys() & earlier._slots.keys()
        )

    def continues(self, earlier: Evidence) -> bool:
        """The random byte, or the checksum of the sequence that holds it, is as it was."""
        shape = self.shape() or earlier.shape()
        if shape is None or shape.password is None:
            return False
        index, slot = divmod(shape.password, SEQUENCE_OCTETS)
        return any(
            not set(self._values(*key, BELIEVED)).isdisjoint(earlier._values(*key, BELIEVED))
            for key in ((index, slot), (index, CHECKSUM))
        )

    def absorb(self, earlier: Evidence) -> None:
        """Take over what was heard earlier."""
        for slot, votes in earlier._slots.items():
            mine = self._slots.setdefault(slot, {})
            for value, vote in votes.items():
                if value in mine:
                    mine[value].weight += vote.weight
                elif len(mine) < _KEEP:
                    mine[value] = vote
        self._absorbed = True
        self.doubt |= earlier.doubt
        for mine_votes, heard in zip(
            self._magic + self._prefix, earlier._magic + earlier._prefix, strict=True
        ):
            for value, count in heard.items():
                mine_votes[value] = mine_votes.get(value, 0) + count
        self._sequences.clear()
        self._shape_is_new = True
        self.wrong_checksums += earlier.wrong_checksums


def _octet(nibbles: Sequence[dict[int, int]]) -> int:
    """The high and the low nibble that came most often."""
    high, low = (max(votes, key=votes.__getitem__) for votes in nibbles)
    return high << 4 | low
