"""What hostapd and dnsmasq are told, and an access point by programs that only say what they say."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest

from qiot.errors import HalError, MediumError, NotSupportedError
from qiot.hal.contract import SoftApSpec
from qiot.hal.linux.hostapd import HostapdAccessPoint
from qiot.hal.linux.hostapd.configuration import dnsmasq_arguments, hostapd_configuration
from qiot.hal.linux.nl80211_answers import WirelessInterface
from qiot.hal.linux.programs import find_program
from qiot.hal.linux.radio import Radio
from qiot.hal.linux.supplicant.settings import psk_of
from qiot.model import Reason, Secret
from tests.hal.helpers import until
from tests.hal.linux.fake_supplicant import FakeSupplicant
from tests.hal.linux.fakes import FakeNl80211

PASSWORD = Secret('1234"\\\npass=#')
SPEC = SoftApSpec(b'qcloud\n"softap"', PASSWORD)


class Kernel(FakeNl80211):
    """With a country, and the mode of wlan0."""

    mode = "managed"

    async def interface(self, name: str) -> WirelessInterface:
        return attrs.evolve(await super().interface(name), mode=self.mode)

    async def set_mode(self, name: str, mode: str) -> None:
        assert name == "wlan0"
        self.mode = mode

    async def country(self) -> str:
        return "DE"


class Links:
    """The addresses of interfaces."""

    def __init__(self) -> None:
        self.held: dict[str, list[tuple[str, int]]] = {"wlan0": [("192.168.77.10", 24)], "wlan0-ap": []}
        self.changed: list[str] = []

    async def addresses(self, name: str) -> list[tuple[str, int]]:
        return [*self.held[name]]

    async def add_address(self, name: str, address: str, prefix: int) -> None:
        self.held[name].append((address, prefix))

    async def remove_address(self, name: str, address: str, prefix: int) -> None:
        if (address, prefix) in self.held[name]:
            self.held[name].remove((address, prefix))

    async def flush(self, name: str) -> None:
        self.held[name].clear()

    async def gateway(self, name: str) -> str | None:
        del name
        return None

    async def exists(self, name: str) -> bool:
        return name in self.held

    async def up(self, name: str) -> None:
        self.changed.append(f"{name} up")

    async def down(self, name: str) -> None:
        self.changed.append(f"{name} down")


def settings(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def configured(spec: SoftApSpec = SPEC, frequency: int = 2437, country: str = "DE") -> dict[str, str]:
    return settings(
        hostapd_configuration(spec, "wlan0-ap", frequency, country=country, control=Path("/run/x"))
    )


def test_no_octet_of_name_and_password_ends_a_line() -> None:
    found = configured()
    assert bytes.fromhex(found["ssid2"]) == SPEC.ssid
    assert found["wpa_psk"] == psk_of(SPEC.ssid, PASSWORD)
    assert (found["wpa"], found["wpa_key_mgmt"], found["rsn_pairwise"]) == ("2", "WPA-PSK", "CCMP")
    assert (found["interface"], found["ctrl_interface"]) == ("wlan0-ap", "/run/x")


def test_open_bands_and_countries() -> None:
    found = configured(SoftApSpec(b"open"))
    assert not {"wpa", "wpa_psk", "rsn_pairwise"} & set(found)
    assert (found["hw_mode"], found["channel"], found["country_code"]) == ("g", "6", "DE")
    found = configured(frequency=5180, country="00")
    assert (found["hw_mode"], found["channel"]) == ("a", "36")
    assert "country_code" not in found


@pytest.mark.parametrize(
    ("address", "prefix"),
    [("192.168.4.1", 24), ("192.168.4.254", 24), ("10.0.0.2", 30), ("10.1.2.3", 8), ("172.16.0.100", 25)],
)
def test_dhcp_gives_addresses_of_the_network_but_not_our_own(address: str, prefix: int) -> None:
    arguments = dnsmasq_arguments(SoftApSpec(b"x", address=address, prefix=prefix), "wlan0-ap", Path("/l"))
    found = dict(each.split("=", 1) for each in arguments if each.startswith("--") and "=" in each)
    first, last, mask, _ = found["--dhcp-range"].split(",")
    network = ipaddress.IPv4Network(f"{address}/{mask}", strict=False)
    assert network.prefixlen == prefix
    low, high, own = map(ipaddress.IPv4Address, (first, last, address))
    assert low <= high
    assert low in network
    assert high in network
    assert not low <= own <= high
    assert low != network.network_address
    assert high != network.broadcast_address
    assert (found["--interface"], found["--port"], found["--conf-file"]) == ("wlan0-ap", "0", "/dev/null")
    assert f"--dhcp-option=6,{address}" in arguments


# --- with programs ----------------------------------------------------------------------------------------


HOSTAPD = """
import signal, sys, time
text = open(sys.argv[1]).read()
name = dict(line.split("=", 1) for line in text.splitlines())["interface"]
print(f"{name}: interface state UNINITIALIZED->ENABLED\\n{name}: AP-ENABLED", flush=True)
while True: time.sleep(60)
"""
DNSMASQ = """
import sys, time
print("dnsmasq-dhcp: DHCP, IP range 192.168.4.2 -- 192.168.4.101, lease time 1h", flush=True)
while True: time.sleep(60)
"""


def install(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    install(folder, "hostapd", HOSTAPD)
    install(folder, "dnsmasq", DNSMASQ)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.fixture
async def radio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Radio]:
    made = Radio("wlan0", tmp_path / "state")
    monkeypatch.setattr(made, "runtime", tmp_path / "run")
    monkeypatch.setattr(made, "links", Links())
    monkeypatch.setattr(made, "nl80211", Kernel())
    monkeypatch.setattr("qiot.hal.linux.supplicant.daemon._USUAL", (tmp_path / "wpa",))
    monkeypatch.setattr("qiot.hal.linux.supplicant.daemon._named_folders", lambda: iter(()))
    yield made
    await made.undo.close()


@pytest.fixture
async def supplicant(tmp_path: Path) -> AsyncIterator[FakeSupplicant]:
    made = FakeSupplicant(tmp_path / "wpa" / "wlan0")
    made.current = made.know("Home")
    made.start()
    yield made
    made.stop()


def undo_list(radio: Radio) -> list[object]:
    path = radio.state / "undo-wlan0.json"
    return list(json.loads(path.read_text())) if path.exists() else []


async def addresses(radio: Radio, name: str) -> list[tuple[str, int]]:
    return list(await radio.links.addresses(name))


@pytest.mark.usefixtures("tools")
async def test_beside_the_station_nothing_happens_to_it(radio: Radio, supplicant: FakeSupplicant) -> None:
    backend = HostapdAccessPoint(radio)
    assert await backend.problem() is None
    await backend.start(SPEC, "wlan0-ap", 2437)
    assert await addresses(radio, "wlan0-ap") == [("192.168.4.1", 24)]
    config = radio.runtime / "hostapd-wlan0-ap.conf"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert supplicant.asked == []
    await backend.stop()
    await backend.stop()
    assert await addresses(radio, "wlan0-ap") == []
    assert not config.exists()
    assert undo_list(radio) == []


@pytest.mark.usefixtures("tools")
async def test_in_the_stations_place_it_steps_aside_and_comes_back(
    radio: Radio, supplicant: FakeSupplicant
) -> None:
    backend = HostapdAccessPoint(radio)
    await backend.start(SPEC, "wlan0", 2437)
    assert await addresses(radio, "wlan0") == [("192.168.4.1", 24)]
    assert supplicant.asked[-1] == "DISCONNECT"
    supplicant.current = None
    await backend.stop()
    assert await addresses(radio, "wlan0") == [("192.168.77.10", 24)]
    assert supplicant.asked[-2:] == ["REASSOCIATE", "STATUS"]
    assert undo_list(radio) == []


@pytest.mark.usefixtures("tools")
async def test_a_station_that_is_slow_to_begin_is_asked_back_by_the_next_stop_too(
    radio: Radio, supplicant: FakeSupplicant
) -> None:
    """As one does whose scan is refused while another is pending: it looks idle for a second."""
    supplicant.slow = 5
    backend = HostapdAccessPoint(radio)
    for _ in range(2):
        await backend.start(SPEC, "wlan0", 2437)
        supplicant.current = None
        await backend.stop()
        assert "REASSOCIATE" in supplicant.asked
        supplicant.asked.clear()


@pytest.mark.usefixtures("tools")
async def test_recover_brings_the_station_back(radio: Radio, supplicant: FakeSupplicant) -> None:
    backend = HostapdAccessPoint(radio)
    await backend.start(SPEC, "wlan0", 2437)
    supplicant.current = None
    running = backend._running
    assert running is not None
    await radio.undo.recover()
    for program in running.programs:  # scripts have another command line than the one that was noted
        await program.stop()
    assert await addresses(radio, "wlan0") == [("192.168.77.10", 24)]
    assert supplicant.asked[-2:] == ["REASSOCIATE", "STATUS"]
    assert undo_list(radio) == []
    await backend.stop()


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("by", ["stop", "recover"])
async def test_what_a_killed_hostapd_left_becomes_a_station_again_before_its_address_comes(
    radio: Radio, supplicant: FakeSupplicant, by: str
) -> None:
    kernel, links = radio.nl80211, radio.links
    assert isinstance(kernel, Kernel)
    assert isinstance(links, Links)
    backend = HostapdAccessPoint(radio)
    await backend.start(SPEC, "wlan0", 2437)
    supplicant.current = None
    kernel.mode = "ap"
    links.changed.clear()
    if by == "recover":
        await radio.undo.recover()
    await backend.stop()
    assert kernel.mode == "managed"
    assert links.changed[:2] == ["wlan0 down", "wlan0 up"]
    assert await addresses(radio, "wlan0") == [("192.168.77.10", 24)]
    assert supplicant.asked[-2:] == ["REASSOCIATE", "STATUS"]
    assert undo_list(radio) == []


@pytest.mark.parametrize(
    ("program", "says", "reason", "hint"),
    [
        ("hostapd", "rfkill: WLAN soft blocked", Reason.MEDIUM, "rfkill unblock"),
        ("hostapd", "Failed to set beacon parameters", Reason.MEDIUM, "another channel"),
        ("hostapd", "Could not configure driver mode: Device or resource busy", Reason.MEDIUM, "uses the"),
        ("dnsmasq", "failed to bind DHCP server socket: Address already in use", Reason.PORT_BUSY, "ss -lu"),
        ("dnsmasq", "Operation not permitted", Reason.NO_PERMISSION, "root"),
        ("hostapd", "Could not select hw_mode and channel. (-3)", Reason.CONFIGURATION, "country"),
    ],
)
async def test_a_program_that_gives_up_is_explained_and_nothing_is_left(
    radio: Radio, supplicant: FakeSupplicant, tools: Path, program: str, says: str, reason: Reason, hint: str
) -> None:
    install(tools, program, f"import sys\nprint({says!r}); print('nl80211: deinit'); sys.exit(1)")
    backend = HostapdAccessPoint(radio)
    with pytest.raises(HalError) as caught:
        await backend.start(SPEC, "wlan0", 2437)
    assert says in str(caught.value)
    assert caught.value.reason is reason
    assert hint in caught.value.hint
    assert await addresses(radio, "wlan0") == [("192.168.77.10", 24)]
    assert undo_list(radio) == []
    assert "DISCONNECT" in supplicant.asked


async def test_what_nobody_can_explain_is_told_by_its_last_line(
    radio: Radio, supplicant: FakeSupplicant, tools: Path
) -> None:
    install(tools, "hostapd", "import sys\nprint('first'); print('something new'); sys.exit(1)")
    with pytest.raises(HalError, match="something new") as caught:
        await HostapdAccessPoint(radio).start(SPEC, "wlan0", 2437)
    assert caught.value.reason is Reason.PLATFORM
    assert "DISCONNECT" in supplicant.asked


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize(
    ("frequency", "says"), [(5180, "one may only listen"), (5745, "forbids"), (2484, "not have")]
)
async def test_a_channel_where_nobody_may_begin_is_refused(
    radio: Radio, supplicant: FakeSupplicant, frequency: int, says: str
) -> None:
    backend = HostapdAccessPoint(radio)
    with pytest.raises(HalError, match=says) as caught:
        await backend.start(SPEC, "wlan0", frequency)
    assert caught.value.reason is Reason.CONFIGURATION
    assert supplicant.asked == []
    assert not radio.runtime.exists()


async def test_a_cancelled_start_leaves_nothing(
    radio: Radio, supplicant: FakeSupplicant, tools: Path
) -> None:
    install(tools, "dnsmasq", "import time\nwhile True: time.sleep(60)")
    backend = HostapdAccessPoint(radio)
    starting = asyncio.ensure_future(backend.start(SPEC, "wlan0", 2437))
    await until(lambda: "dnsmasq" in json.dumps(undo_list(radio)))
    starting.cancel()
    assert isinstance((await asyncio.gather(starting, return_exceptions=True))[0], asyncio.CancelledError)
    assert await addresses(radio, "wlan0") == [("192.168.77.10", 24)]
    assert undo_list(radio) == []
    assert "REASSOCIATE" in supplicant.asked or supplicant.current is not None


def test_a_program_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qiot.hal.linux.programs._FOLDERS", ())
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NotSupportedError):
        find_program("hostapd")


# --- moving -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("works", [True, False])
async def test_it_moves_when_the_station_has_left(
    radio: Radio, supplicant: FakeSupplicant, works: bool
) -> None:
    backend = HostapdAccessPoint(radio)
    with pytest.raises(HalError, match="no access point"):
        await backend.move(2412)
    await backend.start(SPEC, "wlan0-ap", 2437)
    hostapd = FakeSupplicant(radio.runtime / "hostapd" / "wlan0-ap")
    hostapd.start()
    try:
        await backend.move(2437)
        assert hostapd.asked == []
        moving = asyncio.ensure_future(backend.move(2462))
        await until(lambda: any(each.startswith("CHAN_SWITCH") for each in hostapd.asked))
        assert supplicant.asked[-1] == "DISCONNECT"
        supplicant.current = None
        hostapd.tell("AP-CSA-FINISHED freq=2462 dfs=0" if works else "AP-DISABLED ")
        if works:
            await moving
        else:
            with pytest.raises(NotSupportedError, match="ended the access point"):
                await moving
        with pytest.raises(NotSupportedError, match="listen"):
            await backend.move(5180)
        assert not isinstance(moving.exception(), MediumError)
    finally:
        await backend.stop()
        hostapd.stop()
    assert supplicant.asked[-2:] == ["REASSOCIATE", "STATUS"]
    assert undo_list(radio) == []
