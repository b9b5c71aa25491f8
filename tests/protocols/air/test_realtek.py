"""Realtek Simple Config, both sides: the vendor's packets of all patterns, PINs, losses."""

from __future__ import annotations

import itertools
import random

import attrs
import pytest

from qiot.errors import ProtocolError
from qiot.model import AckRecipe, Credentials, Reason, Secret
from qiot.protocols.air.casts import Cast
from qiot.protocols.air.realtek import (
    DEFAULT_PIN,
    SALT_OF_LENGTHS,
    Profile,
    RealtekSimpleConfig,
    parse_profile,
    unwrap,
)
from qiot.protocols.air.realtek_decoder import RealtekDecoder
from qiot.protocols.air.results import REALTEK
from qiot.protocols.air.tracker import Tracker
from tests.protocols.air.channel import PHONE, Channel
from tests.protocols.air.support import first, results, vector, vectors

PIN = Secret(b"12345678")
IP = "192.168.1.100"


def encoder(ssid: bytes = b"MyHome-2G", password: bytes = b"pass1234word", **options: object) -> object:
    options = {"ip": IP, "mac": PHONE, "randomness": random.Random(1).randbytes, **options}
    return RealtekSimpleConfig(ssid, Secret(password), **options)


def encoder_of(name: str) -> RealtekSimpleConfig:
    case = vector(name)
    given, packets = case["input"], case["packets"]
    pattern = int(name.split("-p")[1][0])
    salt = bytes(4) if pattern == 4 else bytes(int(to.split(".")[3]) - 48 for to, _, _ in packets[5:9])
    return RealtekSimpleConfig(
        bytes.fromhex(given["ssid_hex"]),
        Secret(bytes.fromhex(given["password_hex"])),
        given["phone_ip"],
        bytes.fromhex(given["phone_mac"]),
        lambda count: salt[:count],
        pattern=pattern,
        pin=Secret(given["pin"]),
        plain=given["flag"] == 0x10,
    )


def with_pin(pin: Secret | None) -> Tracker:
    return Tracker(lambda: (RealtekDecoder(pin),))


# --- the phone's side --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", vectors("realtek"))
def test_a_round_is_the_vendors(name: str) -> None:
    assert [[cast.to, cast.port, cast.length] for cast in encoder_of(name).round()] == vector(name)["packets"]


@pytest.mark.parametrize("name", vectors("realtek"))
def test_the_profile_is_the_vendors(name: str) -> None:
    plain = bytes.fromhex(vector(name)["intermediate"]["plain_hex"])
    phone = encoder_of(name)
    assert plain.startswith(phone.profile())
    assert parse_profile(plain) == Profile(phone.ssid, phone.password.reveal(), phone.ip)


def test_the_wrap_tells_a_wrong_key() -> None:
    wrapped = bytes.fromhex(vector("realtek-simpleconfig-1-p4")["intermediate"]["crypt_hex"])
    assert unwrap(wrapped, PHONE, DEFAULT_PIN, SALT_OF_LENGTHS) is not None
    assert unwrap(wrapped, PHONE, b"12345678", SALT_OF_LENGTHS) is None
    assert unwrap(wrapped, PHONE[::-1], DEFAULT_PIN, SALT_OF_LENGTHS) is None
    assert unwrap(wrapped[:-1], PHONE, DEFAULT_PIN, SALT_OF_LENGTHS) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\1",
        b"\1\5abc",
        b"\1\0\2\0",
        b"\1\1a\1\1a",
        b"\1\1a\4\1a",
        b"\1\1a\3\1a",
        b"\1\1a\0\1",
        b"\1\1a" + bytes(8),
    ],
)
def test_what_is_no_profile(data: bytes) -> None:
    assert parse_profile(data) is None


def test_the_pacing() -> None:
    casts = list(encoder().casts())
    size = len(list(encoder().round()))
    assert casts[size].t == pytest.approx(0.1)
    assert casts[-1].t == pytest.approx(120, abs=0.01)
    parts = [port for port, _ in itertools.groupby(cast.to == "255.255.255.255" for cast in casts)]
    assert parts == [False, True]
    assert next(cast.t for cast in casts if cast.to == "255.255.255.255") == pytest.approx(20)
    assert [cast.t for cast in casts] == sorted(cast.t for cast in casts)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ssid": b""},
        {"ssid": b"x" * 33},
        {"password": b"x" * 65},
        {"mac": b""},
        {"pattern": 1},
        {"pattern": 3},
        {"pattern": 4, "plain": True},
        {"ip": "::1"},
    ],
)
def test_what_cannot_be_sent_is_said(wrong: dict[str, object]) -> None:
    with pytest.raises(ProtocolError) as caught:
        encoder(**wrong)
    assert caught.value.reason is Reason.BAD_FIELD


# --- the device's side -------------------------------------------------------------------------------------


@pytest.mark.parametrize("overhead", [36, 44, 52, 54, 60])
@pytest.mark.parametrize("name", vectors("realtek"))
def test_the_vendors_packets_are_decoded(name: str, overhead: int) -> None:
    case = vector(name)
    casts = [Cast(count * 0.005, *packet, "data") for count, packet in enumerate(case["packets"] * 2)]
    given = case["input"]
    heard = Channel(random.Random(0), overhead=overhead, phone=bytes.fromhex(given["phone_mac"])).carry(casts)
    result, _ = first(heard, with_pin(Secret(given["pin"])))
    assert result.protocol == REALTEK
    assert result.credentials == Credentials(
        bytes.fromhex(given["ssid_hex"]), Secret(bytes.fromhex(given["password_hex"]))
    )
    assert result.ip == given["phone_ip"]
    assert result.ack == AckRecipe(REALTEK, 8864)
    assert result.fields == {"pattern": int(name.split("-p")[1][0])}


@pytest.mark.parametrize("pattern", [2, 3, 4])
@pytest.mark.parametrize("password", [b"", b"12345678", b"\xff" * 64])
@pytest.mark.parametrize("ssid", [b"x", "Büro 会议室".encode(), "会议室".encode("gbk"), bytes(range(32))])
def test_any_octets_go_through(ssid: bytes, password: bytes, pattern: int) -> None:
    phone = encoder(ssid, password, pattern=pattern, pin=None if pattern == 2 else PIN)
    casts = itertools.islice(phone.casts(), 5000)
    result, _ = first(Channel(random.Random(1), loss=0.3, others=5).carry(casts), with_pin(PIN))
    assert result.credentials == Credentials(ssid, Secret(password))
    assert result.fields["pattern"] == pattern


@pytest.mark.parametrize("pattern", [3, 4])
def test_without_the_pin_there_is_no_result_but_a_reason(pattern: int) -> None:
    casts = list(itertools.islice(encoder(pattern=pattern, pin=PIN).casts(), 600))
    tracker = with_pin(None)
    assert not results(Channel(random.Random(1)).carry(casts), tracker)
    (progress,) = tracker.progress()
    assert "PIN" in progress.text
    assert progress.wrong_checksums


def test_another_address_gives_no_result() -> None:
    casts = list(itertools.islice(encoder().casts(), 600))
    assert not results(Channel(random.Random(1), phone=PHONE[::-1]).carry(casts))


def test_a_phone_that_starts_over_is_heard_again() -> None:
    wrong, right = encoder(password=b"pass1234work"), encoder(randomness=random.Random(2).randbytes)
    before = list(itertools.islice(wrong.casts(), 160))
    after = [
        Cast(before[-1].t + 0.01 + cast.t, cast.to, cast.port, cast.length, "") for cast in right.casts()
    ]
    for seed in range(5):
        heard = Channel(random.Random(seed), loss=0.3).carry([*before, *after[:2000]])
        assert [result.credentials.password.reveal() for result in results(heard)][-1] == b"pass1234word"


@pytest.mark.parametrize("seed", range(4))
def test_a_few_frames_of_wrong_lengths_end_no_round(seed: int) -> None:
    """Pattern 4 has no checksums of its own: what came most often is right."""
    randomness = random.Random(seed)
    heard = [
        attrs.evolve(seen, length=seen.length + randomness.randrange(1, 300))
        if randomness.random() < 0.05
        else seen
        for seen in Channel(randomness).carry(encoder(pattern=4).casts())
    ]
    result, time = first(heard)
    assert result.credentials == Credentials(b"MyHome-2G", Secret(b"pass1234word"))
    assert time < 10


def test_progress_says_what_is_missing() -> None:
    tracker = Tracker()
    results(Channel(random.Random(10)).carry(itertools.islice(encoder().casts(), 20)), tracker)
    (progress,) = tracker.progress()
    assert (progress.have, progress.need) == (20, 49)
    assert progress.missing[0] == "octet 20"
    tracker.clear()
    results(Channel(random.Random(10)).carry(itertools.islice(encoder(pattern=4).casts(), 40)), tracker)
    (progress,) = tracker.progress()
    assert (progress.have, progress.need) == (8, 80)
    assert progress.missing[0] == "nibble 8"
