"""thing.network: packets, signs and advertisements, by the vendor's printed values where there are any."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qiot.errors import ConfigurationError, ProtocolError
from qiot.model import Secret
from qiot.protocols.ble.thing_advertising import (
    BLE_ONLY,
    Capability,
    Flag,
    advertising,
    scan_response,
    state_flags,
    thing_profile,
)
from qiot.protocols.ble.thing_frames import (
    CHUNK_MAX,
    Assembler,
    Code,
    FrameError,
    chunk_size,
    frames,
)
from qiot.protocols.ble.thing_sign import information_sign, sign
from tests.protocols.ble.pair import vector

VECTORS = vector("thing_sign_and_frames")


# --- signs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", VECTORS["sign"], ids=lambda case: f"{case['alg']} {case['content'][5:13]}")
def test_the_vendor_s_signs(case):
    uuid, _, ts = case["content"].removeprefix("uuid=").partition(",ts=")
    method = {"hmac-sha1": "hmacSha1", "hmac-sha256": "hmacSha256"}[case["alg"]]
    assert sign(uuid, int(ts), Secret(case["key"]), method) == case["expected"]


def test_the_sign_of_the_device_information_is_over_the_next_second():
    secret = Secret("bd2625eb1fa0499ea60aadd09ae0a184")
    expected = "b1dd387b1e7ec0b4804990775ffca0fe15186e2b"
    assert information_sign("rn01b55A74fa0c16", 1721192794, secret) == expected


def test_an_unknown_sign_method_is_refused():
    with pytest.raises(ConfigurationError):
        sign("u", 1, Secret("s"), "md5")


# --- packets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", VECTORS["frames_computed"], ids=lambda case: case["json"][:12])
def test_packets_of_the_field_table(case):
    message = b"A" * 300 if case["json"] == "300 x 'A'" else case["json"].encode()
    expected = [bytes.fromhex(frame) for frame in case["frames"]]
    assert frames(message) == expected
    parts = Assembler()
    assert [parts.feed(frame) for frame in expected] == [None] * (len(expected) - 1) + [message]


@given(st.binary(max_size=2000), st.integers(20, 517))
def test_any_message_at_any_mtu(message, mtu):
    made = frames(message, chunk_size(mtu))
    assert all(len(frame) <= min(128, mtu - 3) for frame in made)
    parts = Assembler()
    read = [parts.feed(frame) for frame in made]
    assert read == [None] * (len(made) - 1) + [message]


def test_every_length_around_the_packet_s_edges_at_every_mtu():
    octets = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(16))
    for mtu in range(20, 518):
        chunk = chunk_size(mtu)
        for length in {0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk - 1, 2 * chunk, 2 * chunk + 1, 300}:
            parts = Assembler()
            assert [parts.feed(frame) for frame in frames(octets[:length], chunk)][-1] == octets[:length]


def test_a_vendor_s_packet_is_never_longer_than_128_octets():
    assert chunk_size(131) == chunk_size(517) == CHUNK_MAX
    assert chunk_size(130) == CHUNK_MAX - 1
    assert max(map(len, frames(b"x" * 500))) == 128


def test_a_message_that_no_packet_can_count_is_refused():
    assert len(frames(b"x" * 65535)) == 556
    with pytest.raises(ProtocolError):
        frames(b"x" * 65536)


MADE = frames(b"".join(b"%04d" % number for number in range(120)))  # five packets
OTHER = frames(b'{"type":"thing.network.getwifis"}')


def codes(packets, parts=None):
    """Status codes and messages in the order in which they come."""
    parts = parts or Assembler()
    seen = []
    for packet in packets:
        try:
            message = parts.feed(packet)
        except FrameError as error:
            seen.append(error.status)
        else:
            if message is not None:
                seen.append(message)
    return seen


def changed(packet, at, value):
    return packet[:at] + bytes([value]) + packet[at + 1 :]


def summed(packet, **octets):
    """With octets replaced, and the checksum right again."""
    for at, value in octets.items():
        packet = changed(packet, int(at[1:]), value)
    return packet[:-1] + bytes([sum(packet[1:-1]) & 0xFF])


@pytest.mark.parametrize(
    ("packets", "expected"),
    [
        pytest.param(MADE[1:], [Code.NUMBER], id="first lost"),
        pytest.param([MADE[0], *MADE[2:]], [Code.NUMBER], id="second lost"),
        pytest.param([MADE[0], MADE[1], MADE[1], *MADE[2:]], [Code.NUMBER], id="doubled"),
        pytest.param([MADE[0], MADE[2], MADE[1], *MADE[3:]], [Code.NUMBER], id="swapped"),
        pytest.param([MADE[0], changed(MADE[1], 20, 0), *MADE[2:]], [Code.CHECKSUM], id="damaged"),
        pytest.param([MADE[0], MADE[1][:-1], *MADE[2:]], [Code.LENGTH], id="cut"),
        pytest.param([MADE[0], b"\xfe" + MADE[1][1:], *MADE[2:]], [Code.HEAD], id="wrong head"),
        pytest.param([MADE[0], summed(MADE[1], _1=3), *MADE[2:]], [Code.HEAD], id="wrong type"),
        pytest.param([MADE[0], summed(MADE[1], _7=1), *MADE[2:]], [Code.LENGTH], id="another total"),
        pytest.param([MADE[0], summed(MADE[1], _5=9), *MADE[2:]], [Code.LENGTH], id="another count"),
        pytest.param([summed(OTHER[0], _5=0)], [Code.NUMBER], id="no packets"),
        pytest.param([summed(OTHER[0], _7=200)], [Code.LENGTH], id="less than it says"),
        pytest.param([summed(OTHER[0], _7=3)], [Code.LENGTH], id="more than it says"),
        pytest.param([summed(MADE[0], _6=255)], [Code.BUFFER], id="too long"),
        pytest.param([b""], [Code.HEAD], id="nothing"),
        pytest.param([b"\xff\1\0\0\0\1\0\0\0"], [Code.HEAD], id="shorter than a packet"),
    ],
)
def test_a_broken_message_gives_its_code_once_and_the_next_is_taken(packets, expected):
    parts = Assembler()
    assert codes(packets, parts) == expected
    assert codes(OTHER, parts) == [b'{"type":"thing.network.getwifis"}']


def test_a_message_that_is_cut_short_is_said_with_the_next():
    assert codes([*MADE[:2], *OTHER]) == [OTHER[0][9:-1]]
    assert codes([*MADE[:2], *MADE])[0] is Code.NUMBER
    assert codes([*MADE[:2], *MADE])[1] == b"".join(b"%04d" % number for number in range(120))


def test_octets_after_the_checksum_do_not_matter():
    assert codes([OTHER[0] + b"\0\0"]) == [OTHER[0][9:-1]]


def test_the_assembler_never_keeps_more_than_its_limit():
    parts = Assembler(256)
    assert codes(frames(b"x" * 257), parts)[0] is Code.BUFFER
    assert codes(frames(b"x" * 256), parts) == [b"x" * 256]
    greedy = [summed(frames(b"x" * 118)[0], _3=number, _5=255) for number in range(255)]
    assert codes(greedy, parts) == [Code.LENGTH]
    assert len(parts._parts) == 0


@given(st.lists(st.binary(max_size=140) | st.sampled_from([*MADE, *OTHER])))
def test_any_packets(packets):
    parts = Assembler(512)
    for each in codes(packets, parts):
        assert isinstance(each, Code | bytes)
    assert len(parts._parts) <= 512


# --- advertisements ----------------------------------------------------------------------------------------


def test_the_vendor_s_advertisement():
    expected = bytes.fromhex(VECTORS["adv_vendor_examples"]["adv"])
    assert advertising("BpMF3mqUFrhst7", generation="old") == expected


def test_the_vendor_s_scan_response():
    """protco_docs, bluetooth/ble.md: 03 09 5259, 19 FF 0000 D1 04 00 0001 00 and the id."""
    expected = bytes.fromhex("0309525919ff0000d10400000100726e3031373233613835373737443641")
    assert (
        scan_response(
            b"rn01723a85777D6A",
            flags=0xD1,
            protocol=BLE_ONLY,
            encrypt=0,
            capability=Capability.REGISTERS_BY_BLE,
        )
        == expected
    )


def test_both_generations_of_the_advertisement():
    assert advertising("fFMes8ka", generation="old")[7:] == bytes.fromhex("0c1601a100") + b"fFMes8ka"
    assert advertising("short", generation="old")[7:] == bytes.fromhex("0c1601a100") + b"short\0\0\0"
    assert advertising("sEF4ljjdH8mo")[7:] == bytes.fromhex("101601a100") + b"sEF4ljjdH8mo"
    assert advertising("key", by_product_key=True)[-4:] == b"\1key"


def test_the_new_scan_response():
    assert scan_response(b"rn01b55A74fa0c16", flags=0).hex() == (
        "03095259" + "19ff0000" + "000302" + "0005" + "00" + b"rn01b55A74fa0c16".hex()
    )
    assert scan_response(bytes(6), by_mac=True)[-7:] == b"\1" + bytes(6)
    assert scan_response(b"i" * 19, name="")[0] == 28


@pytest.mark.parametrize(
    ("state", "flags"),
    [
        ((True, False, False), 0x00),
        ((False, False, False), 0x80),
        ((False, True, True), 0xE0),
        ((False, True, False), 0xC0),
        ((True, True, True), 0x60),
    ],
)
def test_flags_by_state(state, flags):
    provisioning, bound, connected = state
    assert state_flags(provisioning=provisioning, bound=bound, wifi_connected=connected) == flags
    wanting = state_flags(provisioning=provisioning, bound=bound, wifi_connected=connected, wanted=True)
    assert wanting == flags | Flag.CONNECTION_WANTED


@pytest.mark.parametrize("length", range(1, 40))
def test_nothing_over_31_octets_is_advertised(length):
    for make in (
        lambda: advertising("p" * length),
        lambda: advertising("p" * length, generation="old"),
        lambda: scan_response(b"i" * length),
        lambda: scan_response(b"i" * length, name=""),
        lambda: scan_response(b"i", name="n" * length),
    ):
        try:
            assert len(make()) <= 31
        except ConfigurationError:
            assert length > 16


def test_a_product_id_is_ascii():
    for wrong in ("", "é"):
        with pytest.raises(ConfigurationError):
            advertising(wrong)
    with pytest.raises(ConfigurationError):
        scan_response(b"")


def test_the_service():
    profile = thing_profile(advertising("pid"), scan_response(b"id"))
    assert profile.service == "1910"
    assert profile.characteristics["2b11"] == {"write", "write-without-response"}
    assert profile.characteristics["2b10"] == {"notify"}


def test_the_document_has_every_code():
    text = (Path(__file__).parents[3] / "docs" / "thing_network.md").read_text()
    table = text[text.index("## Codes") : text.index("## Styles")]
    assert [int(number) for number in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == list(Code)
