"""From what the kernel has seen to networks: names, security kinds, channels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qiot.hal.linux.nl80211 import Bss
from qiot.hal.linux.scan import networks_of
from qiot.model import Band, Security
from qiot.protocols.air.channels import channel_of, frequency_of
from qiot.protocols.air.elements import elements_of, security_of, ssid_of

ESS, PRIVACY = 0x0001, 0x0010
CCMP, TKIP = "000fac04", "000fac02"


def element(number: int, content: bytes) -> bytes:
    return bytes((number, len(content))) + content


def rsn(*suites: int, oui: str = "000fac", pairwise: tuple[str, ...] = (CCMP,)) -> bytes:
    """An RSN element with these AKM suites."""
    body = bytes.fromhex("0100" + CCMP) + len(pairwise).to_bytes(2, "little")
    body += bytes.fromhex("".join(pairwise)) + len(suites).to_bytes(2, "little")
    body += b"".join(bytes.fromhex(oui) + bytes((each,)) for each in suites)
    return element(48, body + b"\0\0")


def wpa(*suites: int) -> bytes:
    body = bytes.fromhex("0050f2010100" + "0050f202" + "0100" + "0050f202")
    body += len(suites).to_bytes(2, "little")
    return element(221, body + b"".join(bytes.fromhex("0050f2") + bytes((each,)) for each in suites))


WPS = element(221, bytes.fromhex("0050f204104a0001101044000102"))
OWE_TRANSITION = element(221, bytes.fromhex("506f9a1c020000000001056c6f63616c"))


@pytest.mark.parametrize(
    ("capability", "elements", "security"),
    [
        (ESS, b"", Security.OPEN),
        (ESS, WPS + OWE_TRANSITION, Security.OPEN),
        (ESS | PRIVACY, b"", Security.WEP),
        (ESS | PRIVACY, WPS, Security.WEP),
        (ESS | PRIVACY, wpa(2), Security.WPA),
        (ESS | PRIVACY, wpa(1), Security.ENTERPRISE),
        (ESS | PRIVACY, rsn(2), Security.WPA2),
        (ESS | PRIVACY, rsn(6), Security.WPA2),
        (ESS | PRIVACY, rsn(2, pairwise=(CCMP, TKIP)), Security.WPA2),
        (ESS | PRIVACY, wpa(2) + rsn(2), Security.WPA2),
        (ESS | PRIVACY, rsn(4, 2), Security.WPA2),
        (ESS | PRIVACY, rsn(8), Security.WPA3),
        (ESS | PRIVACY, rsn(8, 24), Security.WPA3),
        (ESS | PRIVACY, rsn(2, 8), Security.WPA2_WPA3),
        (ESS | PRIVACY, rsn(2, 6, 8, 9), Security.WPA2_WPA3),
        (ESS | PRIVACY, rsn(1), Security.ENTERPRISE),
        (ESS | PRIVACY, rsn(12), Security.ENTERPRISE),
        (ESS | PRIVACY, rsn(1, 2), Security.WPA2),
        (ESS | PRIVACY, rsn(18), Security.UNKNOWN),
        (ESS | PRIVACY, rsn(2, oui="506f9a"), Security.UNKNOWN),
        (ESS | PRIVACY, element(68, b"\x01\x00"), Security.UNKNOWN),
        # Left out at the end, so the defaults hold: 802.1X.
        (ESS | PRIVACY, element(48, bytes.fromhex("0100" + CCMP)), Security.ENTERPRISE),
        (ESS | PRIVACY, element(48, b"\x01"), Security.UNKNOWN),
        (ESS | PRIVACY, element(48, bytes.fromhex("0200" + CCMP)), Security.UNKNOWN),
        # The element is cut off, so it is none.
        (ESS | PRIVACY, rsn(2)[:-3], Security.WEP),
    ],
)
def test_the_security_of_a_network(capability: int, elements: bytes, security: Security) -> None:
    assert security_of(capability, element(0, b"name") + elements) == security


@pytest.mark.parametrize(
    ("elements", "ssid"),
    [
        (element(0, b"home"), b"home"),
        (element(0, "家".encode("gbk")), "家".encode("gbk")),
        (element(0, b""), b""),
        (element(0, bytes(8)), b""),
        (element(0, b"\0a"), b"\0a"),
        (element(0, b"x" * 32), b"x" * 32),
        (element(0, b"x" * 33), b""),
        (element(1, b"\x02") + element(0, b"later"), b"later"),
        (b"", b""),
        (b"\0\x05abc", b""),
    ],
)
def test_the_name_of_a_network(elements: bytes, ssid: bytes) -> None:
    assert ssid_of(elements) == ssid


@given(st.binary(max_size=300), st.integers(0, 0xFFFF))
def test_any_elements_give_an_answer(data: bytes, capability: int) -> None:
    assert isinstance(security_of(capability, data), Security)
    assert len(ssid_of(data)) <= 32
    assert sum(2 + len(content) for _, content in elements_of(data)) <= len(data)


def bss(number: int, ssid: bytes = b"home", **changes: object) -> Bss:
    facts = {
        "bssid": bytes((2, 0, 0, 0, 0, number)),
        "frequency": 2437,
        "signal": -50,
        "capability": ESS,
        "elements": element(0, ssid),
        "age": 1.0,
    }
    return Bss(**(facts | changes))  # type: ignore[arg-type]


def test_each_access_point_once_and_the_strongest_first() -> None:
    seen = [
        bss(1, b"far", signal=-80),
        bss(
            2,
            b"near",
            signal=-30,
            frequency=5180,
            capability=ESS | PRIVACY,
            elements=element(0, b"near") + rsn(8),
        ),
        bss(3, b"", signal=-40),
        bss(3, b"hides", signal=-45, age=9.0),
        bss(4, b"old", age=9.0, frequency=2412),
        bss(4, b"new", age=0.1, frequency=2462),
        bss(5, b"loud", signal=20),
        bss(6, b"weak", signal=-120),
    ]
    found = networks_of(seen)
    assert [(each.ssid, each.signal) for each in found] == [
        (b"loud", 0),
        (b"near", -30),
        (b"hides", -45),
        (b"new", -50),
        (b"far", -80),
        (b"weak", -100),
    ]
    near, new = found[1], found[3]
    assert (near.channel, near.band, near.security) == (36, Band.GHZ_5, Security.WPA3)
    assert (new.channel, new.band, new.security) == (11, Band.GHZ_2_4, Security.OPEN)


def test_what_is_no_access_point_is_left_out() -> None:
    assert networks_of([bss(1, capability=0x0002), bss(2, frequency=60480)]) == []


@pytest.mark.parametrize(
    ("frequency", "channel"),
    [
        (2412, (1, Band.GHZ_2_4)),
        (2472, (13, Band.GHZ_2_4)),
        (2484, (14, Band.GHZ_2_4)),
        (4920, (184, Band.GHZ_5)),
        (5180, (36, Band.GHZ_5)),
        (5825, (165, Band.GHZ_5)),
        (5885, (177, Band.GHZ_5)),
        (5935, (2, Band.GHZ_6)),
        (5955, (1, Band.GHZ_6)),
        (7115, (233, Band.GHZ_6)),
    ],
)
def test_channels_and_frequencies(frequency: int, channel: tuple[int, Band]) -> None:
    assert channel_of(frequency) == channel
    assert frequency_of(*channel) == frequency


@pytest.mark.parametrize("frequency", [0, 2400, 2411, 2477, 5031, 7120, 58320])
def test_what_is_no_channel(frequency: int) -> None:
    assert channel_of(frequency) is None
    assert frequency_of(15, Band.GHZ_2_4) is None
