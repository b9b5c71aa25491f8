"""Platforms by name: specs, options, installed packages, several at once."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qiot.errors import ConfigurationError, MediumError, NotSupportedError
from qiot.hal.contract import Capabilities, Role, SoftAp, Storage, Udp, Wifi
from qiot.hal.linux import LinuxPlatform
from qiot.hal.mock import MockPlatform
from qiot.hal.registry import PlatformSpec, open_platform, parse_spec, platform_names
from qiot.sim import World

# --- specs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("mock", PlatformSpec("mock")),
        ("linux:wlan0", PlatformSpec("linux", "wlan0")),
        ("linux:wlan0,state=/x", PlatformSpec("linux", "wlan0", {"state": "/x"})),
        ("mock:loss=0.1", PlatformSpec("mock", "", {"loss": "0.1"})),
        ("mock:loss=0.1,seed=1", PlatformSpec("mock", "", {"loss": "0.1", "seed": "1"})),
        (r"mock,ssid=a\,b", PlatformSpec("mock", "", {"ssid": "a,b"})),
        ("mock,ssid=a=b:c", PlatformSpec("mock", "", {"ssid": "a=b:c"})),
        ("mock,password=", PlatformSpec("mock", "", {"password": ""})),
    ],
)
def test_good_specs(text: str, spec: PlatformSpec) -> None:
    assert parse_spec(text) == spec


@pytest.mark.parametrize(
    "text", ["", ",", ":", ":x", "mock,", "mock,ssid", "mock,=x", "mock,a=1,a=2", "mo ck", "../x", "mock;rm"]
)
def test_bad_specs(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_spec(text)


names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1)
values = st.text(st.characters(blacklist_characters="\0\\", blacklist_categories=["Cs"]))


@given(names, names, st.dictionaries(names, values))
def test_any_spec_is_read_back(name: str, argument: str, options: dict[str, str]) -> None:
    pairs = [f"{key}={value}".replace(",", r"\,") for key, value in options.items()]
    assert parse_spec(",".join([f"{name}:{argument}", *pairs])) == PlatformSpec(name, argument, options)


@given(st.text(st.sampled_from("mock:,=\\ax \0é")))
def test_any_text_is_a_spec_or_a_configuration_error(text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        assert parse_spec(text).name


def test_a_spec_shows_no_values() -> None:
    assert "hunter22" not in repr(parse_spec("mock,ssid=Home,password=hunter22"))


# --- platforms ------------------------------------------------------------------------------------


def test_the_built_in_platforms_open_by_name() -> None:
    assert isinstance(open_platform("mock"), MockPlatform)
    assert isinstance(open_platform(parse_spec("linux")), LinuxPlatform)
    assert isinstance(open_platform("linux:lo"), LinuxPlatform)
    assert {"linux", "mock"} <= set(platform_names())


def test_an_unknown_platform_names_the_known_ones() -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_platform("esp9000")
    assert "esp9000" in str(caught.value)
    assert "linux" in caught.value.hint
    assert "mock" in caught.value.hint
    with pytest.raises(ConfigurationError):
        open_platform()


@pytest.mark.parametrize("name", ["mock", "linux"])
def test_an_unknown_option_names_the_known_ones(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_platform(f"{name},colour=blue")
    assert "colour" in str(caught.value)
    assert "state" in caught.value.hint


@pytest.mark.parametrize(
    "options",
    [
        "join_delay=-1",
        "join_delay=soon",
        "join_delay=nan",
        "join_delay=inf",
        "join_failure=",
        "join_failure=bad_luck",
        "join_failure=dhcp*",
        "join_failure=dhcp*0",
        "join_failure=dhcp*-1",
        "join_failure=dhcp*²",
        "ap_sta=maybe",
        "loss=1.1",
        "udp_loss=-0.1",
        "udp_dup=x",
        "seed=x",
        "start_delay=x",
        "start_failure=wifi",
        "start_failure=soft_ap:dhcp",
        "start_failure=soft_ap*0",
        "ssid=",
        "ssid=123456789012345678901234567890123",
        "ssid=Home,password=hunter2",
        "password=hunter22",
        "ssid=Home,networks=x.json",
    ],
)
def test_a_bad_option_of_the_mock_names_itself(options: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_platform(f"mock,{options}")
    assert "--hal mock: " in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_an_argument_means_nothing_to_the_mock() -> None:
    with pytest.raises(ConfigurationError):
        open_platform("mock:wlan0")


@pytest.mark.parametrize("option", ["ssid=Home", "networks=x", "seed=1", "loss=0.1", "offers=x"])
def test_a_shared_world_is_not_made_again(option: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        MockPlatform(parse_spec(f"mock,{option}"), World())
    assert option.partition("=")[0] in str(caught.value)


def test_an_interface_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(MediumError) as caught:
        open_platform("linux:wlan99")
    assert "wlan99" in str(caught.value)
    assert "lo" in caught.value.hint


@pytest.mark.parametrize("kind", [Wifi, SoftAp])
async def test_linux_without_a_radio_says_so(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qiot.hal.linux.platform._first_wireless", lambda: "")
    platform = open_platform("linux")
    with pytest.raises(NotSupportedError) as caught:
        platform.port(kind)
    assert "no wireless interface" in str(caught.value)
    assert "--hal mock" in caught.value.hint
    assert await platform.capabilities() == Capabilities()


# --- several --------------------------------------------------------------------------------------


async def test_several_specs_are_one_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qiot.hal.linux.platform._first_wireless", lambda: "")
    platform = open_platform(PlatformSpec("linux", options={"state": str(tmp_path)}), "mock,sniff=no")
    udp = platform.port(Udp)
    assert type(udp).__module__ == "qiot.hal.linux.udp"
    assert type(platform.port(Storage)).__module__ == "qiot.hal.linux.storage"
    assert type(platform.port(Wifi)).__module__ == "qiot.hal.mock.wifi"
    assert (await platform.capabilities()).roles >= {Role.STATION, Role.ACCESS_POINT}
    endpoint = await udp.open("127.0.0.1", 0)
    await platform.recover()
    await platform.close()
    await platform.close()
    with pytest.raises(Exception, match="closed"):
        await endpoint.receive()
    with pytest.raises(NotSupportedError, match="no wireless interface"):
        open_platform("linux", "linux").port(Wifi)


# --- packages of others ---------------------------------------------------------------------------

THIRD_PARTY = """
from qiot.hal.mock import MockPlatform
from qiot.hal.registry import PlatformSpec

def make(spec):
    platform = MockPlatform(PlatformSpec("mock"))
    platform.spec = spec
    return platform
"""


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package that brings the platform `acme-modem`."""
    information = tmp_path / "acme_modem-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-modem\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        "[qiot.hal]\nacme-modem = qiot_test_acme_modem:make\nacme-broken = qiot_test_acme_missing:make\n"
        "mock = qiot_test_acme_missing:make\n"
    )
    (tmp_path / "qiot_test_acme_modem.py").write_text(THIRD_PARTY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "qiot_test_acme_modem", raising=False)
    return "acme-modem"


def test_an_installed_package_brings_a_platform(third_party: str) -> None:
    assert third_party in platform_names()
    assert "qiot_test_acme_modem" not in sys.modules
    platform = open_platform(f"{third_party}:/dev/ttyUSB0,baud=115200")
    assert platform.spec == PlatformSpec(third_party, "/dev/ttyUSB0", {"baud": "115200"})  # type: ignore[attr-defined]


@pytest.mark.usefixtures("third_party")
def test_an_installed_package_cannot_replace_a_built_in_platform() -> None:
    assert type(open_platform("mock")) is MockPlatform


def test_without_the_package_there_is_no_such_platform() -> None:
    assert "acme-modem" not in platform_names()
    with pytest.raises(ConfigurationError):
        open_platform("acme-modem")
