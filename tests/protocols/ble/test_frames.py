"""Frames, checksums, fragments: every length, every MTU, and what goes wrong on the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qiot.errors import ProtocolError
from qiot.protocols.ble.frame_link import FrameLink
from qiot.protocols.ble.frames import (
    Bit,
    ErrorCode,
    Frame,
    Reassembler,
    crc16,
    cut,
    device_room,
    encode,
    parse,
    unseal,
)
from tests.protocols.ble.pair import vector

MTUS = range(20, 518)
SSID = 0x09


def test_the_checksum_is_genibus():
    mini = vector("blufi_crypto_mini")["crc16"]
    assert crc16(mini[0]["input_ascii"].encode()) == int(mini[0]["value"], 16)
    frame = parse(bytes.fromhex(mini[1]["frame"]), exact=True)
    assert unseal(frame, None) == b"\x03"


@pytest.mark.parametrize("mtu", MTUS)
def test_a_device_s_frames_fit_the_mtu_for_every_length(mtu):
    room = device_room(mtu)
    if mtu == 23:
        assert room == 12
    for length in {0, 1, room - 1, room, room + 1, 2 * room, 2 * room + 1, 300, 1024}:
        message = bytes(number % 251 for number in range(length))
        out, back = FrameLink(strict=True, exact=True), FrameLink(strict=True, exact=True)
        frames = out.put(SSID, message, Bit.FROM_DEVICE | Bit.CHECKSUM, room)
        assert all(len(frame) <= mtu - 3 for frame in frames)
        taken = [back.take(frame) for frame in frames]
        assert [each.message for each in taken] == [None] * (len(frames) - 1) + [message]
        assert len(frames) == max(1, -(-length // room))


@given(st.binary(max_size=3000), st.sampled_from(MTUS), st.sampled_from([0, 2]), st.booleans())
def test_cutting_and_putting_together(message, mtu, stretch, checksum):
    room = max(1, min(mtu - 4, 255) - 8)
    out, back = FrameLink(strict=True, exact=True), FrameLink(strict=True, exact=True)
    frames = out.put(SSID, message, Bit.CHECKSUM if checksum else 0, room, stretch=stretch)
    *rest, last = [back.take(frame) for frame in frames]
    assert [each.message for each in rest] == [None] * len(rest)
    assert (last.message, last.lost) == (message, None)


def test_the_last_frame_of_a_phone_takes_two_octets_more():
    assert list(cut(bytes(16), 14, stretch=2)) == [(False, bytes(16))]
    assert list(cut(bytes(17), 14, stretch=2)) == [(True, b"\x11\0" + bytes(14)), (False, bytes(3))]


def test_numbers_go_round():
    out, back = FrameLink(strict=True, exact=True), FrameLink(strict=True, exact=True)
    for _ in range(600):
        assert back.take(out.put(SSID, b"x", 0, 12)[0]).message == b"x"


@pytest.mark.parametrize(
    ("octets", "exact", "code"),
    [
        (b"", True, ErrorCode.DATA_FORMAT),
        (b"\x1c\0\0", True, ErrorCode.DATA_FORMAT),
        (b"\x1c\0\0\1", True, ErrorCode.DATA_FORMAT),
        (b"\x1c\0\0\0\0", True, ErrorCode.DATA_FORMAT),
        (b"\x1c\2\0\0\0", False, ErrorCode.DATA_FORMAT),
        (b"\x1c\2\0\0\0\0", False, ErrorCode.CHECKSUM),
        (b"\x09\1\0\1x", False, ErrorCode.DECRYPT),
        (b"\x09\0\1\1x", False, ErrorCode.SEQUENCE),
        (b"\x09\x10\0\1x", False, ErrorCode.DATA_FORMAT),
        (b"\x09\x10\0\2\0\0", False, ErrorCode.DATA_FORMAT),
        (b"\x09\x10\0\4\1\0xx", False, ErrorCode.DATA_FORMAT),
        (b"\x09\x10\0\3\xff\xffx", False, ErrorCode.NO_MEMORY),
    ],
)
def test_bad_frames(octets, exact, code):
    link = FrameLink(strict=True, exact=exact)
    assert refusal(link, octets) == code


def refusal(link: FrameLink, octets: bytes) -> int | None:
    """The code that a value is refused with, in either way."""
    try:
        lost = link.take(octets).lost
    except ProtocolError as error:
        return error.code
    return None if lost is None else lost.code


def test_octets_behind_a_frame_are_passed_over_where_that_is_wanted():
    assert FrameLink(strict=False, exact=False).take(b"\x1c\0\0\0\0").message == b""


def frames_of(message: bytes, first: int = 0, type_: int = SSID) -> list[bytes]:
    link = FrameLink(strict=True, exact=True)
    for _ in range(first):
        link.put(0, b"", 0, 12)
    return link.put(type_, message, Bit.CHECKSUM, 4)


def damaged(frame: bytes) -> bytes:
    return frame[:-3] + bytes((frame[-3] ^ 0x40,)) + frame[-2:]


@pytest.mark.parametrize("hit", range(4))
def test_a_damaged_fragment_costs_its_message_and_nothing_of_it_passes(hit):
    """The tail of a password must never pass for a password."""
    link = FrameLink(strict=True, exact=True)
    frames = frames_of(b"0123456789abcdef")
    assert len(frames) == 4
    frames[hit] = damaged(frames[hit])
    found, codes = [], []
    for frame in frames:
        try:
            found.append(link.take(frame).message)
        except ProtocolError as error:
            codes.append(error.code)
    assert codes == [ErrorCode.CHECKSUM]
    assert found == [None] * 3
    again = [link.take(frame).message for frame in frames_of(b"0123456789abcdef", first=4)]
    assert again[-1] == b"0123456789abcdef"


@pytest.mark.parametrize("lost", range(3))
def test_without_strict_numbers_a_lost_fragment_costs_its_message(lost):
    link = FrameLink(strict=False, exact=False)
    frames = frames_of(b"0123456789abcdef")
    del frames[lost]
    taken = [link.take(frame) for frame in frames]
    messages = [each.message for each in taken if each.message is not None]
    if lost == 0:
        # Nothing says that there was a first one; the count of what is left makes the rest a message.
        assert messages == [b"456789abcdef"]
    else:
        assert messages == []
        assert [each.lost.code for each in taken if each.lost] == [ErrorCode.DATA_FORMAT]
    assert [link.take(frame).message for frame in frames_of(b"hello", first=4)][-1] == b"hello"


def test_a_copy_of_the_last_frame_is_left_out_where_numbers_are_not_strict():
    link = FrameLink(strict=False, exact=False)
    frames = frames_of(b"0123456789abcdef")
    messages = [taken.message for frame in frames for taken in (link.take(frame), link.take(frame))]
    assert messages == [None] * 6 + [b"0123456789abcdef", None]


def test_a_sender_that_begins_again_is_understood():
    parts = Reassembler()
    first = Frame(SSID, Bit.MORE, 0, b"\x06\0abc")
    assert parts.feed(first, first.data) == (None, None)
    message, lost = parts.feed(first, first.data)
    assert message is None
    assert lost is not None
    assert lost.code == ErrorCode.MESSAGE_STATE
    last = Frame(SSID, 0, 2, b"def")
    assert parts.feed(last, last.data) == (b"abcdef", None)


def test_another_message_ends_one_that_was_never_finished():
    parts = Reassembler()
    first, other = Frame(SSID, Bit.MORE, 0, b"\x06\0abc"), Frame(0x0D, 0, 1, b"secret")
    parts.feed(first, first.data)
    message, lost = parts.feed(other, other.data)
    assert message == b"secret"
    assert lost is not None
    assert lost.code == ErrorCode.MESSAGE_STATE
    assert parts.held == 0


def test_an_ack_may_come_between_fragments():
    parts = Reassembler()
    for frame in (Frame(SSID, Bit.MORE, 0, b"\x06\0abc"), Frame(0, 0, 1, b"\0")):
        parts.feed(frame, frame.data)
    last = Frame(SSID, 0, 2, b"def")
    assert parts.feed(last, last.data) == (b"abcdef", None)


def test_what_is_held_is_bounded():
    parts = Reassembler(100)
    for number in range(1000):
        left = 100 if number % 3 else 101
        frame = Frame(number % 7 << 2 | 1, Bit.MORE, 0, left.to_bytes(2, "little") + bytes(60))
        parts.feed(frame, frame.data)
        assert parts.held <= 100


def test_too_much_for_one_frame_or_one_message():
    with pytest.raises(ProtocolError, match="do not fit"):
        encode(SSID, 0, 0, bytes(256))
    with pytest.raises(ProtocolError, match="at most 65535"):
        list(cut(bytes(65536), 100))
