"""Captures of every kind are decoded: all vectors, all ciphers, check sums, cut-off packets, strangers."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest

from qiot.model import Secret
from qiot.protocols.air.airkiss import AirKiss
from qiot.protocols.air.casts import Cast
from qiot.protocols.air.esptouch import ORDERS, EspTouch
from qiot.protocols.air.esptouch_v2 import EspTouchV2
from qiot.protocols.air.realtek import RealtekSimpleConfig
from qiot.sim.air import Air, AirAccessPoint, AirStation, Bursts, Link, Recorder, udp_packet
from tests.protocols.air.channel import ACCESS_POINT, PHONE, group_address
from tests.protocols.air.support import in_rounds, sent, vector, vectors
from tests.sniff.captures import PLAIN, Capture, Shape, sniffed

SSID = b"MyHome-2G"
PASSWORD = Secret(b"pass1234word")


def vector_casts(name: str) -> tuple[list[Cast], list[object]]:
    """What the vendors' program sends, and the options that decoding it needs."""
    case = vector(name)
    given = case["input"]
    if name.startswith("esptouch-v1"):
        return list(sent(in_rounds(case["guide"], 60, case["datum"], 2), 0.008)), []
    if name.startswith("esptouch-v2"):
        key = ["--esptouch-key", f"hex:{given['aes_key']}"] if given["aes_key"] else []
        return list(sent(case["lengths"] * 3, 0.015)), key
    if name == "airkiss-aes-1":
        return list(sent(case["lengths"], 0.005)), ["--airkiss-key", given["aes_key"]]
    if name.startswith("airkiss"):
        lengths = in_rounds(case["guide"], 10, case["magic"], 6) + 3 * (case["prefix"] + case["data"])
        return list(sent(lengths, 0.005)), []
    casts = [Cast(count * 0.005, *packet, "data") for count, packet in enumerate(case["packets"] * 2)]
    return casts, ["--pin", given["pin"]]


def check_vector(name: str, result: dict[str, Any]) -> None:
    given = vector(name)["input"]
    assert result["protocol"] == next(
        each for each in ("esptouch-v1", "esptouch-v2", "airkiss", "realtek-simpleconfig") if each in name
    )
    assert (result["ssid"], result["ssid_hex"]) == (given["ssid"], given["ssid_hex"])
    assert (result["password"], result["password_hex"]) == (given["password"], given["password_hex"])
    if "random" in given:
        assert result["random"] == given["random"]
    if given.get("reserved_hex"):
        assert result["reserved_hex"] == given["reserved_hex"]
    if "app_port_mark" in given:
        assert result["port_mark"] == given["app_port_mark"]
    if "esptouch-v1" in name:
        assert result["bssid"].replace(":", "") == given["bssid"]
    assert result["ip"] == given.get("phone_ip", given["ip"] if "esptouch-v1" in name else None)
    assert result["complete"] is True
    assert result["open"] is (given["password"] == "")
    assert result["frames_seen"] > 0


SHAPES = [
    *(
        Shape(overhead=overhead, qos=qos)
        for overhead, qos in itertools.product((60, 68, 76, 80, 84), (False, True))
    ),
    Shape(check_sum=True),
    Shape(check_sum=True, flagged=False),
    Shape(check_sum=True, right=False),
    Shape(check_sum=True, right=False, flagged=False),
    Shape(check_sum=True, right=False, link=PLAIN),
    Shape(check_sum=True, qos=True, overhead=80),
    Shape(link=PLAIN),
    Shape(link=PLAIN, check_sum=True),
    Shape(from_ap=True),
    Shape(cut=90),
    Shape(cut=90, check_sum=True),
    Shape(order=">"),
    Shape(numbered="not"),
    Shape(numbered="not", strangers=True, from_ap=True),
    Shape(numbered="not shifted"),
    Shape(numbered="not shifted", strangers=True, from_ap=True),
    Shape(strangers=True),
    Shape(strangers=True, from_ap=True, check_sum=True),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", [*vectors("esptouch"), *vectors("airkiss"), *vectors("realtek")])
def test_the_vendors_datagrams(
    name: str, shape: Shape, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    casts, options = vector_casts(name)
    file = Capture(shape).add(casts).write(tmp_path / "air.pcap")
    results, said = sniffed(capsys, file, "--show-secrets", *options)
    assert said == ""
    (result,) = results
    check_vector(name, result)


ENCODERS = {
    "esptouch-v1": lambda ssid, password: EspTouch(ssid, password, ACCESS_POINT, "192.168.1.100"),
    "esptouch-v2": lambda ssid, password: EspTouchV2(
        ssid, password, ACCESS_POINT, random.Random(1).randbytes, reserved=b"uid=42"
    ),
    "airkiss": lambda ssid, password: AirKiss(ssid, password, 186),
    "realtek-simpleconfig": lambda ssid, password: RealtekSimpleConfig(
        ssid, password, "192.168.1.100", PHONE, random.Random(1).randbytes
    ),
}


@pytest.mark.parametrize("protocol", ENCODERS)
@pytest.mark.parametrize(
    ("ssid", "password"),
    [
        ("Büro 会议室".encode(), "pässwörd✓".encode()),
        ("会议室".encode("gbk"), b"12345678"),
        ("Кафе".encode(), b""),
        (b"x" * 32, b"y" * 64),
        (bytes(range(0x80, 0xA0)), b"\xff" * 64),
        (b"Free Cafe", b""),
    ],
)
def test_other_networks(
    protocol: str, ssid: bytes, password: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    casts = itertools.islice(ENCODERS[protocol](ssid, Secret(password)).casts(), 4000)
    file = Capture(Shape(strangers=True)).add(casts).write(tmp_path / "air.pcap")
    (result,), _ = sniffed(capsys, file, "--show-secrets")
    assert (result["protocol"], result["ssid_hex"]) == (protocol, ssid.hex())
    assert (result["password_hex"], result["open"]) == (password.hex(), not password)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("overhead", range(60, 85, 4))
def test_other_encoders_orders(
    order: Any, overhead: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phone = EspTouch(SSID, PASSWORD, ACCESS_POINT, "255.255.255.255", order=order)
    capture = Capture(Shape(overhead=overhead, strangers=True)).add(itertools.islice(phone.casts(), 600))
    (result,), _ = sniffed(capsys, capture.write(tmp_path / "air.pcap"), "--show-secrets")
    assert (result["ssid"], result["password"], result["complete"]) == ("MyHome-2G", "pass1234word", True)
    assert result["bssid"] == ACCESS_POINT.hex(":")


def test_several_phones_in_both_directions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = Capture(Shape())
    phones = {name: b"\x0a" + bytes((number,)) * 5 for number, name in enumerate(ENCODERS)}
    for name, mac in phones.items():
        phone = ENCODERS[name](name.encode(), PASSWORD)
        if name == "realtek-simpleconfig":
            phone = RealtekSimpleConfig(name.encode(), PASSWORD, "10.0.0.1", mac, random.Random(1).randbytes)
        casts = list(itertools.islice(phone.casts(), 1200))
        capture.add(casts, Shape(phone=mac, qos=True))
        later = [Cast(cast.t + 0.002, cast.to, cast.port, cast.length, cast.part) for cast in casts]
        capture.add(later, Shape(phone=mac, overhead=80, from_ap=True))
    results, _ = sniffed(capsys, capture.write(tmp_path / "air.pcap"))
    found = {result["protocol"]: (result["ssid"], result["phone"]) for result in results}
    assert found == {name: (name, mac.hex(":")) for name, mac in phones.items()}
    assert len(results) == len(phones)


def test_the_simulated_air_is_decoded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Retries, beacons, bursts of losses, damaged frames and check sums: as simulated radios make them."""
    air = Air(3)
    access_point = AirAccessPoint(air, ACCESS_POINT)
    station = AirStation(air, PHONE, access_point)
    access_point.start()
    for cast in itertools.islice(ENCODERS["esptouch-v1"](SSID, PASSWORD).casts(), 2000):
        packet = udp_packet(
            PHONE, group_address(cast.to), address="10.0.0.1", to=cast.to, port=7001, payload=cast.payload
        )
        air.at(cast.t, lambda packet=packet: station.send(packet))
    file = tmp_path / "air.pcap"
    with Recorder(file, check_sum=True) as recorder:
        air.receiver(recorder.write, channel=6, link=Link(loss=0.2, damage=0.5), bursts=Bursts())
        air.advance(20.0)
    (result,), said = sniffed(capsys, file, "--show-secrets")
    assert (result["password"], result["channel"], said) == ("pass1234word", 6, "")
    assert result["bssid"] == ACCESS_POINT.hex(":")


def test_a_name_that_was_not_sent_is_found_in_a_beacon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phone = EspTouch(SSID, PASSWORD, ACCESS_POINT, "10.0.0.1", ssid_in_datum=False)
    casts = list(itertools.islice(phone.casts(), 700))
    capture = Capture(Shape()).add(casts)
    (result,), _ = sniffed(capsys, capture.write(tmp_path / "air.pcap"))
    assert (result["ssid"], result["ssid_from"], result["complete"]) == (None, None, False)
    assert result["ssid_clue"]["length"] == len(SSID)
    capture.beacon(0.5, b"otherwise", b"\2" * 6).beacon(0.6, SSID)
    (result,), _ = sniffed(capsys, capture.write(tmp_path / "air.pcap"))
    assert (result["ssid"], result["ssid_from"]) == ("MyHome-2G", "beacon")
