"""The Linux platform against the conformance kit, on real programs, for each manager of the radio."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab.support.bench import Bench
from lab.support.home_ap import HomeAp
from lab.support.managers import Manager, WithNetworkManager, WithSupplicant
from lab.support.programs import Daemon

FOLDER = Path("/run/conformance")
NEEDED = (
    "what is forgotten stays forgotten",
    "it takes down the access point of a killed process",
    "it undoes the join of a killed process",
    "it leaves what is kept as it is",
)
"""Checks that are of no use where they find nothing to do."""
SPEC = f"linux:wlan0,state={FOLDER / 'state'}"


def described(access_point: HomeAp) -> dict[str, str]:
    return {"ssid": access_point.ssid.decode(), "password": access_point.password or ""}


def conformance(name: str, options: Sequence[str]) -> Daemon:
    """The kit's command line, as a porting team runs it; its output is in the log."""
    python = os.environ.get("LAB_PYTHON", "python3")
    return Daemon(name, [python, "-m", "qiot.hal.conformance", SPEC, "--patience", "6", *options])


@pytest.mark.parametrize(
    "manager",
    [
        pytest.param(WithNetworkManager, marks=pytest.mark.vm("nm")),
        pytest.param(WithSupplicant, marks=pytest.mark.vm("wpa")),
    ],
    ids=lambda each: each.name,
)
@pytest.mark.duration(900)
@pytest.mark.limit(2400)
def test_linux_passes_the_kit(bench: Bench, manager: type[Manager]) -> None:
    device, first, second, third = bench.radios(4)
    home = bench.home_ap(first, name="home")
    other = bench.home_ap(second, ssid=b"LAB-SECOND", name="second")
    wpa3 = bench.home_ap(third, ssid=b"LAB-WPA3", security="wpa3", channel=11, name="wpa3")
    manager(device).start(bench)
    FOLDER.mkdir(parents=True, exist_ok=True)
    around = {"home": described(home), "second": described(other), "wpa3_network": described(wpa3)}
    limits = {"join_seconds": 60, "shows_within": 120}
    left = {"programs": ["hostapd", "dnsmasq"]} if manager is WithSupplicant else {}
    (FOLDER / "around.json").write_text(json.dumps(around | limits | left))
    kit = conformance("conformance", ["--yes", "--env", str(FOLDER / "around.json")])
    bench.stack.callback(kit.stop)
    kit.start()
    status = kit.wait(2300)
    failed = [line for line in kit.text().splitlines() if "FAIL" in line]
    assert not failed, "\n".join(failed)
    assert status == 0, kit.text()[-3000:]
    passed = [line for line in kit.text().splitlines() if line.endswith(" pass")]
    for needed in NEEDED:
        assert any(needed in line for line in passed), f"{needed}: not claimed"
