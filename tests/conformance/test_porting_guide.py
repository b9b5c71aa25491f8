"""What docs/porting.md prints works: its platform passes the kit, and the verbs that it names are there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qiot.hal import contract
from qiot.hal.conformance import Environment, Outcome, run_check_now
from qiot.hal.conformance.checks import all_checks
from qiot.hal.contract import Platform
from qiot.hal.registry import parse_spec

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "porting.md").read_text()
CODE = re.findall(r"^```python\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
PORTS = (
    "Udp|Storage|Wifi|SoftAp|Sniffer|Injector|Gatt|Camera|SmartConfig|AirKiss|SimpleConfig|BtCombo|Transport"
)


@pytest.fixture(scope="module")
def board() -> Callable[..., Platform]:
    (code,) = [each for each in CODE if "class MyBoard(Platform)" in each]
    names: dict[str, Any] = {"__name__": "my_board"}
    exec(compile(code, "my_board", "exec"), names)
    made: Callable[..., Platform] = names["MyBoard"]
    return made


@pytest.mark.parametrize("check", all_checks(), ids=lambda each: each.key)
def test_its_platform_passes_the_kit(check: Any, board: Callable[..., Platform], tmp_path: Path) -> None:
    environment = Environment(storage_folder=tmp_path)
    result = run_check_now(check, lambda: board(parse_spec(f"my-board:wlan0,state={tmp_path}")), environment)
    assert result.outcome is not Outcome.FAIL, result.why


def test_the_verbs_that_it_names_are_there() -> None:
    named = re.findall(rf"\b({PORTS}|Endpoint)\.([a-z_]+)", GUIDE)
    assert len(named) > 20
    assert [f"{port}.{verb}" for port, verb in named if not hasattr(getattr(contract, port), verb)] == []


def test_every_port_and_verb_of_the_contract_is_in_its_table() -> None:
    missing = [
        f"{port}.{verb}"
        for port in PORTS.split("|")
        for verb in vars(getattr(contract, port))
        if not verb.startswith("_") and f"`{verb}`" not in GUIDE
    ]
    assert missing == []
