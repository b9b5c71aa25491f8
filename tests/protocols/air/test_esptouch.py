"""ESP-TOUCH v1, both sides: the vendor's lengths, other encoders' orders, losses, starts in the middle."""

from __future__ import annotations

import itertools
import random

import attrs
import pytest

from qiot.errors import ProtocolError
from qiot.model import AckRecipe, Credentials, Reason, Secret, SsidClue
from qiot.protocols.air.calibration import OVERHEADS
from qiot.protocols.air.crc import crc8
from qiot.protocols.air.esptouch import (
    ORDERS,
    EspTouch,
    code_lengths,
    espressif_order,
    octet_of_first,
    octet_of_third,
)
from qiot.protocols.air.observation import Direction
from qiot.protocols.air.results import ESPTOUCH
from qiot.protocols.air.tracker import Tracker
from tests.protocols.air.channel import ACCESS_POINT, Channel, merged
from tests.protocols.air.support import first, in_rounds, results, sent, vector, vectors

SSIDS = [
    b"MyHome-2G",
    "Büro 会议室".encode(),
    "会议室".encode("gbk"),
    b"x",
    bytes(range(0x80, 0xA0)),
]


def encoder(ssid: bytes = b"MyHome-2G", password: bytes = b"pass1234word", **options: object) -> EspTouch:
    options = {"bssid": ACCESS_POINT, "ip": "192.168.1.100", **options}
    return EspTouch(ssid, Secret(password), **options)


def encoder_of(name: str) -> EspTouch:
    given = vector(name)["input"]
    return EspTouch(
        bytes.fromhex(given["ssid_hex"]),
        Secret(bytes.fromhex(given["password_hex"])),
        bytes.fromhex(given["bssid"]),
        given["ip"],
    )


# --- the phone's side --------------------------------------------------------------------------------------


def test_crc_of_the_catalogue() -> None:
    assert crc8(b"123456789") == 0xA1


@pytest.mark.parametrize("name", vectors("esptouch-v1"))
def test_the_datum_is_the_vendors(name: str) -> None:
    assert encoder_of(name).lengths() == vector(name)["datum"]


def test_a_round_is_the_guide_and_the_datum() -> None:
    round_ = list(encoder().round())
    assert [cast.length for cast in round_[:4]] == [515, 514, 513, 512]
    assert [cast.length for cast in round_[4:]] == encoder().lengths()
    assert {(cast.to, cast.port, cast.fill) for cast in round_} == {("255.255.255.255", 7001, ord("1"))}
    assert [cast.part for cast in round_[3:5]] == ["guide", "data"]
    assert round_[5].payload == b"1" * round_[5].length


def test_the_pacing_is_the_vendors() -> None:
    casts = list(encoder().casts())
    assert casts[-1].t == pytest.approx(45, abs=0.05)
    assert casts[1].t - casts[0].t == pytest.approx(0.008)
    parts = [(part, len(list(run))) for part, run in itertools.groupby(casts, key=lambda cast: cast.part)]
    assert parts[:3] == [("guide", 252), ("data", 501), ("guide", 252)]
    data = [cast.length for cast in casts if cast.part == "data"]
    assert data == list(itertools.islice(itertools.cycle(encoder().lengths()), len(data)))


def test_multicast_takes_a_new_group_for_every_burst() -> None:
    casts = itertools.islice(encoder(multicast=True).casts(), 252 + 303)
    groups = [(to, len(list(run))) for to, run in itertools.groupby(casts, key=lambda cast: cast.to)]
    assert groups[:2] == [("234.1.1.1", 4), ("234.2.2.2", 4)]
    assert groups[63:65] == [("234.64.64.64", 3), ("234.65.65.65", 3)]
    assert ("234.100.100.100", 3) in groups
    assert groups[100][0] == "234.1.1.1"


def test_either_half_tells_the_octet() -> None:
    for index, octet in itertools.product((0, 4, 77, 127), range(256)):
        one, _, three = code_lengths(index, octet)
        assert octet_of_first(index)[one - 40] == octet_of_third(index)[three - 40] == octet


@pytest.mark.parametrize(
    "wrong",
    [{"ssid": b""}, {"ssid": b"x" * 33}, {"password": b"x" * 65}, {"bssid": b"12345"}, {"ip": "1.2.3"}],
)
def test_what_cannot_be_sent_is_said(wrong: dict[str, object]) -> None:
    with pytest.raises(ProtocolError) as caught:
        encoder(**wrong)
    assert caught.value.reason is Reason.BAD_FIELD


# --- the device's side -------------------------------------------------------------------------------------


@pytest.mark.parametrize("overhead", [36, 44, 52, 54, 56, 60])
@pytest.mark.parametrize("name", vectors("esptouch-v1"))
def test_the_vendors_lengths_are_decoded(name: str, overhead: int) -> None:
    case = vector(name)
    lengths = in_rounds(case["guide"], 60, case["datum"], 2)
    result, _ = first(Channel(random.Random(0), overhead=overhead).carry(sent(lengths, 0.008)))
    given = case["input"]
    assert result.protocol == ESPTOUCH
    assert result.credentials == Credentials(
        bytes.fromhex(given["ssid_hex"]),
        Secret(bytes.fromhex(given["password_hex"])),
        bytes.fromhex(given["bssid"]),
    )
    assert result.ip == given["ip"]
    assert result.ack == AckRecipe(ESPTOUCH, 18266, bytes((encoder_of(name).token,)))
    assert result.complete
    assert result.channel == 6


@pytest.mark.parametrize("password", [b"", b"12345678", b"\xff" * 64])
@pytest.mark.parametrize("ssid", SSIDS)
def test_any_octets_go_through(ssid: bytes, password: bytes) -> None:
    phone = encoder(ssid, password)
    result, _ = first(Channel(random.Random(1), loss=0.2, others=5).carry(phone.casts()))
    assert result.credentials == Credentials(ssid, Secret(password), ACCESS_POINT)


@pytest.mark.parametrize("order", [*ORDERS, lambda total: espressif_order(total)[::-1]])
@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_the_order_of_the_codes_does_not_matter(order: object, loss: float) -> None:
    phone = encoder(order=order)
    result, _ = first(Channel(random.Random(2), loss=loss).carry(phone.casts()))
    assert result.credentials.password == Secret(b"pass1234word")
    assert result.complete


def test_multicast_is_decoded() -> None:
    phone = encoder(multicast=True)
    result, _ = first(Channel(random.Random(3), loss=0.2).carry(phone.casts()))
    assert result.credentials.ssid == b"MyHome-2G"


def test_the_bssid_of_another_access_point_comes_from_the_datum() -> None:
    other = bytes.fromhex("0a1b2c3d4e5f")
    result, _ = first(Channel(random.Random(4), loss=0.1).carry(encoder(bssid=other).casts()))
    assert result.credentials.bssid == other
    assert result.complete


def test_a_datum_without_the_bssid_is_no_reason_to_wait_for_ever() -> None:
    def without_bssid(total: int) -> list[int]:
        return list(range(total))

    phone = encoder(order=without_bssid, bssid=b"\x01\x02\x03\x04\x05\x06")
    result, _ = first(Channel(random.Random(4)).carry(phone.casts()))
    assert result.credentials.bssid is None
    assert not result.complete


@pytest.mark.parametrize("overhead", OVERHEADS)
@pytest.mark.parametrize("skip", [300, 411, 555])
def test_a_start_in_the_middle_does_not_wait_for_the_guide(skip: int, overhead: int) -> None:
    casts = itertools.islice(encoder().casts(), skip, 753)
    result, time = first(Channel(random.Random(5), loss=0.1, overhead=overhead).carry(casts))
    assert result.credentials == Credentials(b"MyHome-2G", Secret(b"pass1234word"), ACCESS_POINT)
    assert time < 753 * 0.008


@pytest.mark.parametrize("ssid", SSIDS)
def test_an_old_datum_gives_a_clue_to_the_ssid(ssid: bytes) -> None:
    phone = encoder(ssid, ssid_in_datum=False)
    result, _ = first(Channel(random.Random(6), loss=0.1).carry(phone.casts()))
    assert result.credentials == Credentials(
        None,
        Secret(b"pass1234word"),
        ACCESS_POINT,
        clue=SsidClue(len(ssid), crc8(ssid), crc8(ACCESS_POINT)),
    )
    assert not result.complete


def test_both_directions_are_faster_than_one() -> None:
    def time(seed: int, *directions: Direction) -> float:
        randomness = random.Random(seed)
        heard = [
            Channel(
                randomness,
                loss=0.4,
                direction=direction,
                overhead=52 if direction is Direction.TO_AP else 56,
                others=10,
                sequence=randomness.randrange(4096),
                start=0.002 if direction is Direction.FROM_AP else 0,
            ).carry(itertools.islice(encoder().casts(), 2500))
            for direction in directions
        ]
        return first(merged(*heard))[1]

    seeds = range(7)
    both = sorted(time(seed, Direction.TO_AP, Direction.FROM_AP) for seed in seeds)
    one = sorted(time(seed, Direction.TO_AP) for seed in seeds)
    assert both[3] < one[3]


def test_a_capture_without_sequence_numbers_is_decoded() -> None:
    result, _ = first(Channel(random.Random(7), loss=0.1, numbered=False).carry(encoder().casts()))
    assert result.credentials.password == Secret(b"pass1234word")


def test_duplicates_and_late_frames_do_no_harm() -> None:
    heard = list(Channel(random.Random(8), loss=0.2, retries=0.3).carry(encoder().casts()))
    for index in range(0, len(heard) - 1, 7):
        heard[index], heard[index + 1] = heard[index + 1], heard[index]
    assert first(heard)[0].credentials.password == Secret(b"pass1234word")


def test_the_same_datum_is_told_once() -> None:
    assert len(results(Channel(random.Random(9), loss=0.1).carry(encoder().casts()))) == 1


def test_a_phone_that_starts_over_is_heard_again() -> None:
    wrong, right = encoder(password=b"pass1234work"), encoder(password=b"pass1234word")
    for cut in (350, 700, 1200):
        before = itertools.islice(wrong.casts(), cut)
        lengths = [cast.length for cast in (*before, *itertools.islice(right.casts(), 2500))]
        passwords = [
            result.credentials.password.reveal()
            for result in results(Channel(random.Random(cut), loss=0.2).carry(sent(lengths, 0.008)))
        ]
        assert passwords[-1] == b"pass1234word"
        assert set(passwords) <= {b"pass1234work", b"pass1234word"}


@pytest.mark.parametrize("seed", range(4))
def test_frames_of_wrong_lengths_are_no_new_datum(seed: int) -> None:
    """A tenth of what is heard is longer than it was sent; the rest is enough."""
    randomness = random.Random(seed)
    heard = [
        attrs.evolve(seen, length=seen.length + randomness.randrange(1, 300))
        if randomness.random() < 0.1
        else seen
        for seen in Channel(randomness, others=5).carry(encoder().casts())
    ]
    result, time = first(heard)
    assert result.credentials == Credentials(b"MyHome-2G", Secret(b"pass1234word"), ACCESS_POINT)
    assert time < 18


def test_progress_says_what_is_missing() -> None:
    tracker = Tracker()
    casts = list(itertools.islice(encoder().casts(), 252 + 60))
    results(Channel(random.Random(10)).carry(casts), tracker)
    (progress,) = tracker.progress()
    assert progress.protocol == ESPTOUCH
    assert progress.overhead == (52,)
    assert progress.directions == {Direction.TO_AP}
    assert 0.3 < progress.weight < 1
    assert progress.have == 20
    assert progress.need == 36
    assert progress.missing[0] == "octet 16"
    assert "guide heard" in progress.text
