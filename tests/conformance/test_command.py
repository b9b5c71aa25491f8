"""The command line: on good platforms, on broken ones, and on some that take the process with them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from qiot.errors import ConfigurationError
from qiot.hal.conformance.command import main
from qiot.hal.conformance.described import make_environment, read_description
from qiot.model import Credentials, Secret

BROKEN = """
import asyncio, ctypes, os, signal, time
from qiot.errors import HalError
from qiot.hal.contract import SoftAp, Udp, Wifi
from qiot.hal.mock import MockPlatform
from qiot.hal.registry import PlatformSpec


class Broken(MockPlatform):
    def __init__(self, spec):
        kind = spec.argument
        if kind == "raises":
            raise OSError("no such device")
        if kind == "exits":
            os._exit(3)
        if kind == "hangs":
            time.sleep(3600)
        if kind == "prints":
            print("hello from the platform", flush=True)
        super().__init__(PlatformSpec("mock", options=spec.options))
        if kind in VERBS:
            self.port(Wifi).scan = VERBS[kind]


async def lies():
    raise KeyError("bss")

async def waits():
    await asyncio.Event().wait()

async def dies():
    os._exit(7)

async def holds_the_interpreter():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM, signal.SIGTERM])
    ctypes.PyDLL(None).sleep(3600)

VERBS = {"lies": lies, "waits": waits, "dies": dies, "holds": holds_the_interpreter}
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an installed package that adds the platform `broken`."""
    folder = tmp_path / "site"
    (folder / "broken_platform-1.dist-info").mkdir(parents=True)
    (folder / "broken_platform.py").write_text(BROKEN)
    (folder / "broken_platform-1.dist-info" / "METADATA").write_text("Name: broken-platform\nVersion: 1\n")
    (folder / "broken_platform-1.dist-info" / "entry_points.txt").write_text(
        "[qiot.hal]\nbroken = broken_platform:Broken\n"
    )
    monkeypatch.syspath_prepend(folder)
    return folder


@attrs.frozen
class Done:
    status: int
    out: str
    err: str

    @property
    def results(self) -> dict[str, tuple[str, str]]:
        """Result and why, by check."""
        found = json.loads(self.out)["results"]
        return {f"{each['port']}.{each['check']}": (each["result"], each["why"]) for each in found}


@pytest.fixture
def conformance(capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run the command: its outer side in this process, the platform in one of its own."""

    def run(*arguments: str) -> Done:
        try:
            status = main(arguments)
        except SystemExit as ended:
            status = int(str(ended.code))
        return Done(status, *capfd.readouterr())

    return run


Run = Callable[..., Done]
SCAN = "Wifi.a_scan_tells_what_is_around"
STATUS = "Wifi.status_can_be_asked_at_any_time"
OPEN = "Platform.it_opens_and_closes"


# --- good platforms -----------------------------------------------------------------------------------------


def test_the_mock_passes_and_the_table_says_so(conformance: Run) -> None:
    done = conformance("mock,ssid=Home,password=secret123")
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].split()[:2] == ["Platform", "open"]
    assert lines[0].endswith("pass")
    (told,) = [line for line in lines if "a wrong password is told" in line]
    assert told.split()[:2] == ["Wifi", "join"]
    assert told.endswith("  pass")
    (hidden,) = [line for line in lines if "a hidden network is found too" in line]
    assert "not claimed: no environment" in hidden
    assert " 0 failed, " in lines[-1]


def test_an_environment_from_a_file(tmp_path: Path, conformance: Run) -> None:
    networks = [
        {"ssid": "Home", "password": "secret123"},
        {"ssid": "Other", "password": "secret123"},
        {"ssid": "Open"},
        {"ssid": "Hidden", "password": "secret123", "hidden": True},
        {"ssid": "Silent", "password": "secret123", "faults": ["dhcp"]},
    ]
    (tmp_path / "networks.json").write_text(json.dumps(networks))
    kinds = ("home", "second", "open_network", "hidden_network", "silent_network")
    around = {
        kind: {key: each[key] for key in ("ssid", "password") if key in each}
        for kind, each in zip(kinds, networks, strict=True)
    }
    file = tmp_path / "env.json"
    file.write_text(json.dumps(around))
    done = conformance(f"mock,networks={tmp_path}/networks.json,ap_sta=yes", "--env", str(file), "--json")
    assert (done.status, done.err) == (0, "")
    assert {result for result, _ in done.results.values()} == {"pass", "not claimed"}
    for check in ("a_join_ends_at_its_time_out", "what_is_not_kept_is_undone", "an_open_network"):
        assert done.results[f"Wifi.{check}"] == ("pass", "")
    assert done.results["Platform.station_and_access_point_hold_at_once"] == ("pass", "")
    assert "secret123" not in done.out
    assert json.loads(done.out)["summary"]["FAIL"] == 0


def test_only_some_checks_and_their_list(conformance: Run) -> None:
    listed = conformance("--list", "--only", "Storage", "--only", SCAN).out.split()
    assert SCAN in listed
    assert {name.partition(".")[0] for name in listed} == {"Storage", "Wifi"}
    done = conformance("mock", "--only", "Storage", "--only", SCAN, "--json")
    assert set(done.results) == {OPEN, *listed}
    assert done.status == 0


def test_a_real_machine_keeps_its_network_without_yes(installed: Path, conformance: Run) -> None:
    done = conformance("broken:good,ssid=Home", "--ssid", "Home", "--only", "Wifi", "--json")
    assert done.results[SCAN] == ("pass", "")
    result, why = done.results["Wifi.a_join_gives_an_address"]
    assert result == "not claimed"
    assert "--yes" in why
    assert done.err == ""
    join = ("--only", "Wifi.a_join_gives_an_address")
    done = conformance("broken:good,ssid=Home", "--ssid", "Home", "--yes", *join, "--json")
    assert done.results["Wifi.a_join_gives_an_address"] == ("pass", "")
    assert "network will change" in done.err


def test_what_the_platform_prints_is_no_result(installed: Path, conformance: Run) -> None:
    done = conformance("broken:prints", "--only", OPEN, "--json")
    assert done.status == 0
    assert done.results == {OPEN: ("pass", "")}
    assert "hello from the platform" in done.err


# --- broken platforms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("lies", "raised KeyError"),
        ("waits", "Wifi.scan hangs"),
        ("dies", "ended the process (exit status 7)"),
    ],
)
def test_a_broken_verb_fails_and_the_others_are_checked(
    installed: Path, kind: str, why: str, conformance: Run
) -> None:
    done = conformance(f"broken:{kind}", "--only", SCAN, "--only", STATUS, "--patience", "0.1", "--json")
    assert done.status == 1
    assert done.results[SCAN][0] == "FAIL"
    assert why in done.results[SCAN][1]
    assert done.results[STATUS] == ("pass", "")


def test_a_verb_that_holds_the_interpreter_is_killed(installed: Path, conformance: Run) -> None:
    only = ("--only", SCAN, "--only", STATUS)
    done = conformance("broken:holds", *only, "--patience", "0.01", "--json")
    assert done.status == 1
    assert done.results[SCAN][0] == "FAIL"
    assert "the process hangs" in done.results[SCAN][1]
    assert STATUS in done.results


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("raises", "Platform raised OSError (no such device)"),
        ("exits", "ended the process (exit status 3)"),
        ("hangs", "blocks the event loop"),
    ],
)
def test_a_platform_that_cannot_be_made(installed: Path, kind: str, why: str, conformance: Run) -> None:
    done = conformance(f"broken:{kind}", "--patience", "0.1", "--json")
    assert done.status == 1
    result, said = done.results[OPEN]
    assert result == "FAIL"
    assert why in said
    assert {result for check, (result, _) in done.results.items() if check != OPEN} == {"not claimed"}


def test_an_interrupted_run_closes_the_platform(installed: Path) -> None:
    words = [sys.executable, "-m", "qiot.hal.conformance", "broken:waits", "--only", SCAN]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert "pass" in process.stdout.readline()
    (worker,) = until_children(process.pid)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (1, "interrupted\n")
    assert not Path("/proc", worker).exists()


def until_children(pid: int) -> list[str]:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if found:
            return found
    raise AssertionError("no worker was started")


# --- wrong use ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "name a platform"),
        (("nonesuch",), "there is no platform 'nonesuch'"),
        (("mock,colour=red",), "unknown option 'colour'"),
        (("mock", "--only", "Wifi.nonesuch"), "there is no check"),
        (("mock", "--patience", "-1"), "--patience"),
        (("mock", "--env", "/nonexistent/env.json"), "/nonexistent/env.json"),
    ],
)
def test_wrong_use(arguments: tuple[str, ...], problem: str, conformance: Run) -> None:
    done = conformance(*arguments)
    assert done.status == 2
    assert problem in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "content",
    [
        "s3cret",
        "[]",
        '{"hom": {}}',
        '{"home": {"password": "s3cret"}}',
        '{"home": {"ssid": "", "password": "s3cret"}}',
        '{"home": {"ssid_hex": "zz", "password": "s3cret"}}',
        '{"home": {"ssid": "x", "password": ["s3cret"]}}',
        '{"home": {"ssid": "x", "pasword": "s3cret"}}',
        '{"patience": "s3cret"}',
        '{"wrong_password": 5}',
        '{"access_point": {"ssid": "x", "channel": "s3cret"}}',
        '{"broker": {"port": 1883}}',
        '{"programs": "s3cret"}',
        '{"folders": [5, "s3cret"]}',
        '{"factory": "nowhere"}',
        '{"factory": "qiot.no_such_module:make"}',
    ],
)
def test_an_environment_that_cannot_be(tmp_path: Path, content: str) -> None:
    file = tmp_path / "env.json"
    file.write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        read_description(file)
    assert "s3cret" not in f"{caught.value} {caught.value.__cause__}"


def test_an_environment_in_words(tmp_path: Path) -> None:
    made = make_environment(
        {
            "home": {"ssid_hex": "bcd2", "password": "secret123"},
            "access_point": {"ssid": "ours", "password": "secret456", "channel": 11},
            "storage_folder": str(tmp_path),
            "programs": ["hostapd"],
            "folders": [str(tmp_path)],
            "broker": {"host": "127.0.0.1", "username": "me", "password": "x"},
            "reach": None,
            "patience": 3,
        }
    )
    assert made.home == Credentials(ssid="家".encode("gbk"), password=Secret("secret123"))
    assert (made.access_point.ssid, made.access_point.channel) == (b"ours", 11)
    assert made.broker is not None
    assert (made.broker.port, made.broker.username) == (1883, "me")
    assert (made.programs, made.folders) == (["hostapd"], [tmp_path])
    assert (made.reach, made.patience, made.storage_folder, made.disturb) == (None, 3, tmp_path, False)
