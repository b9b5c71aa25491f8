"""ESP-TOUCH v2, both sides: the vendor's lengths with every option, losses, restarts, look-alikes."""

from __future__ import annotations

import itertools
import random

import pytest

from qiot.errors import ProtocolError
from qiot.model import AckRecipe, Credentials, Reason, Secret, SsidClue
from qiot.protocols.air.casts import Cast
from qiot.protocols.air.crc import crc8
from qiot.protocols.air.esptouch_v2 import EspTouchV2, block_of, planes_of
from qiot.protocols.air.esptouch_v2_decoder import EspTouchV2Decoder
from qiot.protocols.air.observation import Direction
from qiot.protocols.air.results import ESPTOUCH_V2
from qiot.protocols.air.tracker import Tracker
from tests.protocols.air.channel import ACCESS_POINT, Channel, merged
from tests.protocols.air.support import first, results, sent, vector, vectors

KEY = Secret(bytes(range(16)))
SSIDS = [b"", b"x", "Büro 会议室".encode(), "会议室".encode("gbk"), bytes(range(32))]
PASSWORDS = [b"", b"12345678", b"pass1234word", "pässword".encode(), b"\xff" * 64]


def encoder(ssid: bytes = b"MyHome-2G", password: bytes = b"pass1234word", **options: object) -> EspTouchV2:
    options = {"bssid": ACCESS_POINT, "randomness": random.Random(1).randbytes, **options}
    return EspTouchV2(ssid, Secret(password), **options)


def with_key(key: Secret | None) -> Tracker:
    return Tracker(lambda: (EspTouchV2Decoder(key),))


def encoder_of(given: dict[str, object]) -> EspTouchV2:
    return EspTouchV2(
        bytes.fromhex(given["ssid_hex"]),
        Secret(bytes.fromhex(given["password_hex"])),
        bytes.fromhex(given["bssid"]),
        random.Random(1).randbytes,
        reserved=bytes.fromhex(given["reserved_hex"]),
        key=None if given["aes_key"] is None else Secret(bytes.fromhex(given["aes_key"])),
        security=given["security_ver"],
        port_mark=given["app_port_mark"],
    )


# --- the phone's side --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", vectors("esptouch-v2"))
def test_a_round_is_the_vendors(name: str) -> None:
    """All but what depends on the padding and the IV."""
    case = vector(name)
    lengths = encoder_of(case["input"]).lengths()
    assert len(lengths) == len(case["lengths"])
    fixed = set(range(len(lengths))) - set(case["random_dependent_indexes"])
    assert [lengths[index] for index in sorted(fixed)] == [case["lengths"][index] for index in sorted(fixed)]


def test_planes_and_blocks_are_each_others_inverse() -> None:
    block = random.Random(2).randbytes(6)
    assert block_of([length & 0x3F for length in planes_of(block)]) == block


def test_the_pacing_is_the_vendors() -> None:
    phone = encoder(presync=1.0)
    casts = list(phone.casts())
    assert [cast.length for cast in casts[:10]] == [1048] * 10
    assert casts[1].t - casts[0].t == pytest.approx(0.1)
    size = len(phone.lengths())
    assert casts[11].t - casts[10].t == pytest.approx(0.015)
    assert casts[10 + size].t - casts[10 + size - 1].t == pytest.approx(0.03)  # a pause after each round
    assert casts[-1].t - casts[-2].t == pytest.approx(0.1)
    assert 89 < casts[-1].t - casts[10].t < 90 + size * 0.1
    first_round, second = casts[10 : 10 + size], casts[10 + size : 10 + 2 * size]
    assert [cast.length for cast in first_round] == [cast.length for cast in second]
    assert {cast.part for cast in first_round} == {"sync", "count", "sequence", "data"}
    assert (casts[0].port, casts[0].payload) == (7001, bytes(1048))


@pytest.mark.parametrize(
    "wrong",
    [
        {"ssid": b"x" * 33},
        {"password": b"x" * 65},
        {"reserved": b"x" * 65},
        {"bssid": b""},
        {"key": Secret(b"short")},
        {"key": KEY, "security": 3},
        {"port_mark": 4},
    ],
)
def test_what_cannot_be_sent_is_said(wrong: dict[str, object]) -> None:
    with pytest.raises(ProtocolError) as caught:
        encoder(**wrong)
    assert caught.value.reason is Reason.BAD_FIELD


# --- the device's side -------------------------------------------------------------------------------------


@pytest.mark.parametrize("overhead", [36, 44, 52, 54, 56, 60])
@pytest.mark.parametrize("name", vectors("esptouch-v2"))
def test_the_vendors_lengths_are_decoded(name: str, overhead: int) -> None:
    case = vector(name)
    given = case["input"]
    key = None if given["aes_key"] is None else Secret(bytes.fromhex(given["aes_key"]))
    heard = Channel(random.Random(0), overhead=overhead).carry(sent(case["lengths"] * 3, 0.015))
    result, _ = first(heard, with_key(key))
    assert result.protocol == ESPTOUCH_V2
    assert result.credentials.ssid == bytes.fromhex(given["ssid_hex"])
    assert result.credentials.password == Secret(bytes.fromhex(given["password_hex"]))
    assert result.reserved == bytes.fromhex(given["reserved_hex"])
    mark = given["app_port_mark"]
    assert result.ack == AckRecipe(ESPTOUCH_V2, 18266 + 10000 * mark, bytes((mark,)))
    assert result.fields["security"] == (given["security_ver"] if key else 0)
    assert result.fields["bssid_crc"] == crc8(bytes.fromhex(given["bssid"]))


def test_one_round_that_came_whole_is_enough_once_the_next_begins() -> None:
    lengths = vector("esptouch-v2-1-plain")["lengths"]
    result, time = first(Channel(random.Random(0)).carry(sent(lengths * 2, 0.015)))
    assert result.credentials.password == Secret(b"pass1234word")
    assert time <= len(lengths) * 0.015


@pytest.mark.parametrize("reserved", [b"", b"token-0123456789", b"\x80\x00\xff"])
@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("ssid", SSIDS)
def test_any_octets_go_through(ssid: bytes, password: bytes, reserved: bytes) -> None:
    phone = encoder(ssid, password, reserved=reserved)
    result, _ = first(Channel(random.Random(1), loss=0.2, others=5).carry(phone.casts()))
    clue = None if ssid else SsidClue(0, 0, crc8(ACCESS_POINT))
    assert result.credentials == Credentials(ssid or None, Secret(password), ACCESS_POINT, clue=clue)
    assert result.reserved == reserved
    assert result.complete is bool(ssid)


@pytest.mark.parametrize("security", [1, 2])
@pytest.mark.parametrize("password", PASSWORDS)
def test_keys_go_through(password: bytes, security: int) -> None:
    phone = encoder(password=password, reserved=b"uid=42", key=KEY, security=security, port_mark=2)
    heard = list(Channel(random.Random(1), loss=0.2).carry(phone.casts()))
    result, _ = first(heard, with_key(KEY))
    assert result.credentials.password == Secret(password)
    assert (result.reserved, result.fields["port_mark"]) == (b"uid=42", 2)
    for key, reason in ((None, "key is needed"), (Secret(bytes(16)), "with this key")):
        tracker = with_key(key)
        assert not results(heard, tracker)
        assert reason in tracker.progress()[0].text


def test_a_key_with_nothing_to_encrypt_encrypts_nothing() -> None:
    result, _ = first(Channel(random.Random(1)).carry(encoder(password=b"", key=KEY).casts()))
    assert result.fields["security"] == 0


def test_a_start_in_the_middle_needs_no_more_than_a_round() -> None:
    casts = itertools.islice(encoder().casts(), 30, None)
    result, time = first(Channel(random.Random(3)).carry(casts))
    assert result.credentials.password == Secret(b"pass1234word")
    assert time < (30 + 2 * 56) * 0.016


def test_a_capture_without_sequence_numbers_is_decoded() -> None:
    result, _ = first(Channel(random.Random(7), loss=0.1, numbered=False).carry(encoder().casts()))
    assert result.credentials == Credentials(b"MyHome-2G", Secret(b"pass1234word"), ACCESS_POINT)


@pytest.mark.parametrize("cut", [20, 55, 56, 57, 80, 111, 112])
def test_a_phone_that_starts_over_is_heard_again(cut: int) -> None:
    wrong, right = encoder(password=b"pass1234work"), encoder(password=b"qass1234word")
    lengths = [cast.length for cast in itertools.islice(wrong.casts(), cut)]
    lengths += [cast.length for cast in itertools.islice(right.casts(), 900)]
    for seed in range(10):
        heard = Channel(random.Random(seed), loss=0.3).carry(sent(lengths, 0.015))
        passwords = [result.credentials.password.reveal() for result in results(heard)]
        assert passwords[-1] == b"qass1234word"
        assert set(passwords) <= {b"pass1234work", b"qass1234word"}


def test_other_broadcasts_of_the_phone_are_never_taken_for_data() -> None:
    """Their lengths are symbols, too; a checksum of six bits alone would let some of them through."""
    phone = encoder()
    for seed in range(30):
        randomness = random.Random(seed)
        casts = list(itertools.islice(phone.casts(), 400))
        for _ in range(40):
            at = randomness.random() * casts[-1].t
            casts.append(Cast(at, "255.255.255.255", 9, randomness.randrange(1124), "look-alike"))
        casts.sort(key=lambda cast: cast.t)
        for result in results(Channel(randomness, loss=0.3).carry(casts)):
            assert result.credentials == Credentials(b"MyHome-2G", Secret(b"pass1234word"), ACCESS_POINT)


def test_both_halves_of_the_way_add_up() -> None:
    casts = list(encoder().casts())
    heard = merged(
        Channel(random.Random(1), loss=0.5).carry(casts),
        Channel(
            random.Random(2), loss=0.5, overhead=56, others=10, start=0.003, direction=Direction.FROM_AP
        ).carry(casts),
    )
    assert first(heard)[0].credentials.password == Secret(b"pass1234word")


def test_progress_says_what_is_missing() -> None:
    tracker = Tracker()
    results(Channel(random.Random(10)).carry(itertools.islice(encoder().casts(), 12 + 23)), tracker)
    (progress,) = tracker.progress()
    assert progress.protocol == ESPTOUCH_V2
    assert progress.overhead == (52,)
    assert progress.need == 5 * 8
    assert progress.have == 24
    assert progress.missing == ("sequence 2", "sequence 3")
    assert "head known" in progress.text
