"""The station by wpa_supplicant against one that speaks its control interface on a real socket."""

from __future__ import annotations

import asyncio
import json
import random
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qiot.errors import HalError, JoinError, MediumError
from qiot.hal.linux.backends import Target
from qiot.hal.linux.radio import Radio
from qiot.hal.linux.supplicant import SupplicantStation, control
from qiot.hal.linux.supplicant.control import Control
from qiot.hal.linux.supplicant.daemon import Daemon
from qiot.hal.linux.supplicant.dhcp import Dhcp
from qiot.hal.linux.supplicant.events import read_event
from qiot.hal.linux.supplicant.kept import Kept
from qiot.hal.linux.supplicant.networks import unescape
from qiot.hal.linux.supplicant.settings import TAG, psk_of, settings_of
from qiot.hal.linux.supplicant.verdict import Verdict
from qiot.model import IpConfig, Reason, Secret, Security
from tests.hal.helpers import until
from tests.hal.linux.fake_supplicant import FakeAddresses, FakeSupplicant

PASSWORD = Secret("home-password")
HOME = Target(b"Home", PASSWORD, Security.WPA2, bssid=bytes(range(6)), frequency=2437)
IP = IpConfig("192.168.77.10", 24, "192.168.77.1")


@pytest.fixture
async def supplicant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSupplicant]:
    made = FakeSupplicant(tmp_path / "wpa" / "wlan0")
    monkeypatch.setattr("qiot.hal.linux.supplicant.daemon._USUAL", (made.path.parent,))
    monkeypatch.setattr("qiot.hal.linux.supplicant.daemon._named_folders", lambda: iter(()))
    made.start()
    yield made
    made.stop()


def make_radio(tmp_path: Path, supplicant: FakeSupplicant, monkeypatch: pytest.MonkeyPatch) -> Radio:
    radio = Radio("wlan0", tmp_path / "state")
    monkeypatch.setattr(radio, "runtime", tmp_path / "run")
    monkeypatch.setattr(radio, "links", FakeAddresses(supplicant))

    async def somebody_else(self: Dhcp) -> bool:
        del self
        return True

    monkeypatch.setattr(Dhcp, "_somebody_else", somebody_else)
    return radio


@pytest.fixture
async def radio(
    tmp_path: Path, supplicant: FakeSupplicant, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Radio]:
    made = make_radio(tmp_path, supplicant, monkeypatch)
    yield made
    await made.undo.close()


@pytest.fixture
async def backend(radio: Radio) -> AsyncIterator[SupplicantStation]:
    made = SupplicantStation(radio)
    yield made
    await made.close()


def undo_list(radio: Radio) -> list[object]:
    found = json.loads((radio.state / "undo-wlan0.json").read_text())
    assert isinstance(found, list)
    return found


# --- a join is a try --------------------------------------------------------------------------------------


async def test_a_join_that_is_undone_leaves_what_was_there(
    supplicant: FakeSupplicant, backend: SupplicantStation, radio: Radio
) -> None:
    first, second = supplicant.know("Earlier"), supplicant.know("Elsewhere", enabled=False)
    assert await backend.problem() is None
    assert await backend.join(HOME, 5) == IP
    status = await backend.status()
    assert (status.connected, status.ssid, status.ip, status.saved) == (True, b"Home", IP, b"Earlier")
    (number,) = set(supplicant.networks) - {first, second}
    settings = supplicant.networks[number].settings
    assert settings["ssid"] == b"Home".hex()
    assert settings["id_str"] == TAG
    assert settings["bssid"] == "00:01:02:03:04:05"
    await backend.settle(keep=False)
    assert set(supplicant.networks) == {first, second}
    assert not supplicant.networks[first].disabled
    assert supplicant.networks[second].disabled
    assert supplicant.asked[-2:] == ["REASSOCIATE", "STATUS"]
    assert undo_list(radio) == []
    assert supplicant.saved is None


async def test_a_kept_network_is_saved_and_may_roam(
    supplicant: FakeSupplicant, backend: SupplicantStation, radio: Radio
) -> None:
    first = supplicant.know("Earlier")
    supplicant.networks[first].settings["priority"] = "7"
    await backend.join(HOME, 5)
    await backend.settle(keep=True)
    assert supplicant.saved is not None
    settings = supplicant.saved[max(supplicant.saved)]
    assert (settings["bssid"], settings["priority"]) == ("any", "8")
    assert not supplicant.networks[first].disabled
    assert undo_list(radio) == []
    assert (await backend.status()).saved == b"Home"
    await backend.settle(keep=False)  # there is no try any more
    assert len(supplicant.networks) == 2


async def test_what_wpa_supplicant_does_not_save_is_kept_here(
    supplicant: FakeSupplicant, backend: SupplicantStation, radio: Radio
) -> None:
    supplicant.answers["SAVE_CONFIG"] = "FAIL"
    await backend.join(HOME, 5)
    await backend.settle(keep=True)
    path = radio.state / "network-wlan0.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    supplicant.networks.clear()
    supplicant.current = None  # after a reboot
    assert (await backend.status()).saved == b"Home"
    assert await backend.rejoin(5) == IP
    (network,) = supplicant.networks.values()
    assert network.settings["psk"] == psk_of(b"Home", PASSWORD)
    assert network.settings["bssid"] == "any"
    asked = len(supplicant.asked)
    assert await backend.rejoin(5) == IP
    assert "ADD_NETWORK" not in supplicant.asked[asked:]


async def test_a_network_that_is_forgotten_is_left_and_theirs_stay(
    supplicant: FakeSupplicant, backend: SupplicantStation
) -> None:
    supplicant.know("Theirs")
    await backend.join(HOME, 5)
    await backend.settle(keep=True)
    await backend.forget()
    assert len(supplicant.networks) == 1
    assert supplicant.saved is not None
    assert len(supplicant.saved) == 1
    assert (await backend.status()).saved == b"Theirs"
    assert "DISCONNECT" not in supplicant.asked
    asked = len(supplicant.asked)
    await backend.forget()
    assert "SAVE_CONFIG" not in supplicant.asked[asked:]


async def test_a_network_that_is_kept_here_is_forgotten(
    supplicant: FakeSupplicant, backend: SupplicantStation, radio: Radio
) -> None:
    supplicant.answers["SAVE_CONFIG"] = "FAIL"
    await backend.join(HOME, 5)
    await backend.settle(keep=True)
    await backend.forget()
    assert not (radio.state / "network-wlan0.json").exists()
    assert supplicant.networks == {}
    assert "DISCONNECT" in supplicant.asked
    with pytest.raises(JoinError) as caught:
        await backend.rejoin(5)
    assert caught.value.reason is Reason.NO_SAVED_NETWORK


async def test_nothing_is_stored(supplicant: FakeSupplicant, backend: SupplicantStation) -> None:
    with pytest.raises(JoinError) as caught:
        await backend.rejoin(5)
    assert caught.value.reason is Reason.NO_SAVED_NETWORK
    assert supplicant.networks == {}


async def test_a_second_try_replaces_the_first(
    supplicant: FakeSupplicant, backend: SupplicantStation
) -> None:
    first = supplicant.know("Earlier")
    await backend.join(HOME, 5)
    await backend.join(HOME, 5)
    assert len(supplicant.networks) == 2
    await backend.close()
    assert set(supplicant.networks) == {first}


async def test_another_process_puts_back_what_a_killed_one_left(
    supplicant: FakeSupplicant, radio: Radio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = supplicant.know("Earlier")
    killed = SupplicantStation(radio)
    await killed.join(HOME, 5)
    killed._daemon.let_go()  # what the system does for a killed process
    await radio.undo.close()
    again = make_radio(tmp_path, supplicant, monkeypatch)
    after = SupplicantStation(again)
    await again.undo.recover()
    assert set(supplicant.networks) == {first}
    assert not supplicant.networks[first].disabled
    assert undo_list(again) == []
    await after.close()
    await again.undo.close()


async def test_a_cancellation_puts_back_what_was_there(
    supplicant: FakeSupplicant, backend: SupplicantStation, radio: Radio
) -> None:
    first = supplicant.know("Earlier")
    supplicant.tells = []
    joining = asyncio.ensure_future(backend.join(HOME, 60))
    await until(lambda: any(each.startswith("SELECT") for each in supplicant.asked))
    joining.cancel()
    assert isinstance((await asyncio.gather(joining, return_exceptions=True))[0], asyncio.CancelledError)
    assert set(supplicant.networks) == {first}
    assert undo_list(radio) == []
    await until(lambda: not supplicant.listeners)


REJECT = "CTRL-EVENT-ASSOC-REJECT bssid=02:00:00:00:01:00 status_code=17"
LOST = "CTRL-EVENT-DISCONNECTED bssid=02:00:00:00:01:00 reason=15"
NOT_THERE = ["CTRL-EVENT-SCAN-RESULTS ", "CTRL-EVENT-NETWORK-NOT-FOUND "]


@pytest.mark.parametrize(
    ("tells", "reason", "code"),
    [
        ([LOST, "WPA: 4-Way Handshake failed - pre-shared key may be incorrect"], Reason.WRONG_PASSWORD, 15),
        (
            [LOST, 'CTRL-EVENT-SSID-TEMP-DISABLED id={id} ssid="Ho\\"me" auth_failures=1 reason=WRONG_KEY'],
            Reason.WRONG_PASSWORD,
            15,
        ),
        (
            ["CTRL-EVENT-AUTH-REJECT 02:00:00:00:03:00 auth_type=3 auth_transaction=2 status_code=1"],
            Reason.WRONG_PASSWORD,
            1,
        ),
        (
            ["CTRL-EVENT-AUTH-REJECT 02:00:00:00:03:00 auth_type=3 auth_transaction=1 status_code=77"],
            Reason.UNSUPPORTED_SECURITY,
            77,
        ),
        ([REJECT, REJECT], Reason.ASSOCIATION_REFUSED, 17),
        ([REJECT], Reason.ASSOCIATION_REFUSED, 17),
        (["CTRL-EVENT-ASSOC-REJECT status_code=43"], Reason.UNSUPPORTED_SECURITY, 43),
        (["CTRL-EVENT-NETWORK-NOT-FOUND", *NOT_THERE * 3], Reason.NO_SUCH_AP, None),
        (NOT_THERE, Reason.NO_SUCH_AP, None),
        (["Associated with 02:00:00:00:01:00"], Reason.HANDSHAKE_TIMEOUT, None),
        (["Associated with 02:00:00:00:01:00", LOST], Reason.HANDSHAKE_TIMEOUT, 15),
        (
            [
                "SME: Authentication request to the driver failed",
                "CTRL-EVENT-SSID-TEMP-DISABLED id={id} auth_failures=1 reason=CONN_FAILED",
            ],
            Reason.JOIN_OTHER,
            None,
        ),
        ([], Reason.JOIN_TIMEOUT, None),
        (["CTRL-EVENT-CONNECTED - Connection completed [id=99 id_str=]"], Reason.JOIN_TIMEOUT, None),
        (["CTRL-EVENT-TERMINATING ", *["noise"] * 50], Reason.JOIN_TIMEOUT, None),
    ],
)
async def test_failures_are_typed(
    supplicant: FakeSupplicant,
    backend: SupplicantStation,
    radio: Radio,
    tells: list[str],
    reason: Reason,
    code: int | None,
) -> None:
    first = supplicant.know("Earlier")
    supplicant.tells = tells
    with pytest.raises(JoinError) as caught:
        await backend.join(HOME, 0.5)
    assert (caught.value.reason, caught.value.code) == (reason, code)
    assert "home-password" not in str(caught.value)
    assert set(supplicant.networks) == {first}
    assert undo_list(radio) == []


async def test_dhcp_that_is_silent(
    supplicant: FakeSupplicant, backend: SupplicantStation, radio: Radio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(radio.links, "gives", False)
    with pytest.raises(JoinError) as caught:
        await backend.join(HOME, 0.3)
    assert caught.value.reason is Reason.DHCP
    assert supplicant.networks == {}


async def test_a_restart_is_noticed_and_the_next_verb_works(
    supplicant: FakeSupplicant, backend: SupplicantStation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_ALIVE", 0.05)
    tells, supplicant.tells = supplicant.tells, []
    joining = asyncio.ensure_future(backend.join(HOME, 60))
    await until(lambda: any(each.startswith("SELECT") for each in supplicant.asked))
    supplicant.stop()
    with pytest.raises(JoinError, match="wpa_supplicant has ended") as caught:
        await joining
    assert caught.value.reason is Reason.JOIN_OTHER
    supplicant.networks.clear()
    supplicant.tells = tells
    supplicant.start()
    assert await backend.join(HOME, 5) == IP
    supplicant.stop()
    supplicant.networks.clear()
    supplicant.start()
    await backend.settle(keep=True)
    (network,) = supplicant.networks.values()
    assert network.settings["ssid"] == b"Home".hex()


# --- the control interface --------------------------------------------------------------------------------


async def test_a_request_is_one_line(supplicant: FakeSupplicant) -> None:
    end = Control(supplicant.path)
    for request in ("PING\nTERMINATE", "PING\0"):
        with pytest.raises(ValueError, match="one line"):
            await end.ask(request)
    with pytest.raises(HalError, match="refuses the thing: PONG"):
        await end.do("PING", "the thing")
    end.close()
    end.close()
    assert await end.alive()
    end.close()


async def test_a_late_answer_is_not_the_next_ones(
    supplicant: FakeSupplicant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_LIMIT", 0.05)
    end = Control(supplicant.path)
    supplicant.mute = True
    with pytest.raises(MediumError) as caught:
        await end.ask("LIST_NETWORKS")
    assert caught.value.reason is Reason.TIMEOUT
    supplicant.mute = False
    assert await end.ask("PING") == "PONG"
    end.close()


async def test_nobody_there_and_a_dead_socket(tmp_path: Path, supplicant: FakeSupplicant) -> None:
    assert not await Control(tmp_path / "nothing").alive()
    supplicant.stop()
    assert not await Control(supplicant.path).alive()


async def test_a_socket_that_we_may_not_use(
    supplicant: FakeSupplicant, radio: Radio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(control, "_connect", refuse)
    problem = await SupplicantStation(radio).problem()
    assert problem is not None
    assert problem.reason is Reason.NO_PERMISSION
    assert "group" in problem.hint
    assert supplicant.asked == []


async def test_neither_a_socket_nor_the_program(
    supplicant: FakeSupplicant, radio: Radio, monkeypatch: pytest.MonkeyPatch
) -> None:
    supplicant.stop()
    monkeypatch.setattr("qiot.hal.linux.programs._FOLDERS", ())
    monkeypatch.setenv("PATH", "/nowhere")
    problem = await Daemon(radio).problem()
    assert problem is not None
    assert "apt install wpasupplicant" in problem.hint


# --- words ------------------------------------------------------------------------------------------------


def test_the_psk_of_a_passphrase() -> None:
    # IEEE 802.11, J.4.2, test vectors.
    psk = "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e"
    assert psk_of(b"IEEE", Secret("password")) == psk
    assert psk_of(b"any", Secret(psk.upper())) == psk


AWKWARD = Secret('"\\\n\tpass\x7f wörd')


@pytest.mark.parametrize("security", [Security.WPA, Security.WPA2, Security.WPA3, Security.WPA2_WPA3])
def test_no_password_needs_quotes(security: Security) -> None:
    settings = dict(settings_of(Target(b'"\n\\x', AWKWARD, security)))
    for name in ("ssid", "psk", "sae_password"):
        assert set(settings.get(name, "")) <= set("0123456789abcdef")
    assert ("sae_password" in settings) == (security in {Security.WPA3, Security.WPA2_WPA3})
    assert ("psk" in settings) == (security is not Security.WPA3)
    assert settings["ieee80211w"] == ("2" if security is Security.WPA3 else "1")
    assert ("SAE" in settings["key_mgmt"]) == ("sae_password" in settings)
    if "sae_password" in settings:
        assert bytes.fromhex(settings["sae_password"]) == AWKWARD.reveal()


def test_open_hidden_and_what_is_not_supported() -> None:
    assert dict(settings_of(Target(b"x", Secret(""), Security.OPEN, hidden=True))) == {
        "ssid": "78",
        "key_mgmt": "NONE",
        "scan_ssid": "1",
    }
    with pytest.raises(JoinError) as caught:
        settings_of(Target(b"x", PASSWORD, Security.ENTERPRISE))
    assert caught.value.reason is Reason.UNSUPPORTED_SECURITY
    short = dict(settings_of(Target(b"x", Secret("short"), Security.WPA2_WPA3)))
    assert short["key_mgmt"] == "SAE"
    key = dict(settings_of(Target(b"x", Secret("ab" * 32), Security.WPA2_WPA3)))
    assert "SAE" not in key["key_mgmt"]


def test_events_are_read() -> None:
    event = read_event(
        b'<3>CTRL-EVENT-SSID-TEMP-DISABLED id=0 ssid="a \\"b\\" reason=x" auth_failures=1 reason=WRONG_KEY\n'
    )
    assert event.name == "CTRL-EVENT-SSID-TEMP-DISABLED"
    assert (event.fields["ssid"], event.fields["reason"]) == ('a \\"b\\" reason=x', "WRONG_KEY")
    assert event.number("auth_failures") == 1
    assert event.number("reason") is None
    event = read_event(b"<3>CTRL-EVENT-CONNECTED - Connection to 02:00 completed [id=12 id_str=qiot-try]")
    assert (event.number("id"), event.fields["id_str"]) == (12, "qiot-try")
    assert read_event(b"<3>X n=-5").number("n") == -5


def test_any_octets_are_an_event_and_no_verdict_breaks() -> None:
    source = random.Random(5)
    words = [b"CTRL-EVENT-CONNECTED", b"CTRL-EVENT-DISCONNECTED", b"id=1", b"reason=", b"<3>", b'"', b"\\"]
    for _ in range(3000):
        parts = [source.choice([*words, source.randbytes(source.randrange(6))]) for _ in range(6)]
        verdict = Verdict("x", 1)
        for _ in range(3):
            try:
                verdict.hear(read_event(b" ".join(parts)))
            except JoinError:
                break
        assert isinstance(verdict.out_of_time(), JoinError)


def test_printed_ssids_are_read() -> None:
    assert unescape('a\\"b\\\\\\x00\\xe5\\n\\r\\t\\e') == b'a"b\\\x00\xe5\n\r\t\x1b'
    assert unescape("\\q\\x1 ☕") == b"\\q\\x1 " + "☕".encode()


@pytest.mark.parametrize("content", ["", "[]", '{"ssid": "zz"}', '{"ssid": 1}', "\xff"])
async def test_a_damaged_file_keeps_no_network(tmp_path: Path, content: str) -> None:
    path = tmp_path / "network.json"
    path.write_text(content, encoding="latin-1")
    kept = Kept(path)
    assert await kept.read() is None
    await kept.write(HOME)
    found = await kept.read()
    assert found is not None
    assert (found.ssid, found.password, found.bssid, found.frequency) == (b"Home", PASSWORD, None, None)
    await kept.forget()
    await kept.forget()
    assert await kept.read() is None
