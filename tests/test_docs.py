"""The documentation says what the code does: links, commands, options, examples, reasons, faults."""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from qiot.hal.conformance.command import _parser as conformance_parser
from qiot.model import Failure, Reason, Step
from qiot.samples import dynreg_dev_sample, property_sample, wifi_config_sample
from qiot.sniff.command import make_parser as sniff_parser
from qiot.testbed.ble.__main__ import _parser as ble_parser
from qiot.testbed.cloud.__main__ import _parser as cloud_parser
from qiot.testbed.cloud.faults import Do, Point, parse_mode
from qiot.testbed.phone.__main__ import _parser as phone_parser
from qiot.wifi_config.error_log import TEXTS, c_sdk_numbers

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
PARSERS = {
    "qiot.samples.wifi_config_sample": wifi_config_sample.make_parser(),
    "qiot.samples.dynreg_dev_sample": dynreg_dev_sample.make_parser(),
    "qiot.samples.property_sample": property_sample.make_parser(),
    "qiot.hal.conformance": conformance_parser(),
    "qiot.sniff": sniff_parser(),
    "qiot.testbed.ble": ble_parser(),
    "qiot.testbed.cloud": cloud_parser(),
    "qiot.testbed.phone": phone_parser(),
}
CODE = 7777
"""Stands for a failure's own number."""


def _documents() -> list:
    return [pytest.param(path, id=path.name) for path in DOCUMENTS]


def _blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)


def _without_blocks(path: Path) -> str:
    return re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)


def _options(parser: argparse.ArgumentParser) -> set[str]:
    """Every option of a parser and of its commands."""
    found: set[str] = set()
    for action in parser._actions:
        found |= set(action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                found |= _options(command)
    return found


def _commands(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Module and words of every `python -m qiot…` in the shell blocks."""
    for block in _blocks(path, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            for found in re.finditer(r"python -m (qiot[\w.]*)([^|&;#]*)", line):
                yield found[1], found[2].split()


@pytest.mark.parametrize("path", _documents())
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", _without_blocks(path)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        assert file.exists(), f"{target} does not exist"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", _documents())
def test_commands_have_the_options_that_are_shown(path):
    for module, words in _commands(path):
        assert module in PARSERS, f"python -m {module}"
        shown = {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"}
        assert shown <= _options(PARSERS[module]) | {"--help"}, module


@pytest.mark.parametrize("path", _documents())
def test_options_in_the_text_exist(path):
    known = set().union(*map(_options, PARSERS.values()))
    if path.name == "README.md":
        known |= {"--help"}
    for inline in re.findall(r"`([^`\n]+)`", _without_blocks(path)):
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", inline):
            assert option in known, option


@pytest.mark.parametrize("path", _documents())
def test_python_examples_compile_and_import_what_is_there(path):
    for block in _blocks(path, "python"):
        tree = ast.parse(block)
        compile(tree, path.name, "exec")
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "qiot":
                module = importlib.import_module(str(node.module))
                for name in node.names:
                    assert hasattr(module, name.name), f"from {node.module} import {name.name}"


@pytest.mark.parametrize("path", _documents())
def test_json_examples_are_json(path):
    for block in _blocks(path, "json"):
        json.loads(block)


# --- errors.md ---------------------------------------------------------------------------


def _rows(name: str, columns: int) -> list[list[str]]:
    """The cells of every table row with that many columns."""
    found = []
    for line in (ROOT / "docs" / name).read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == columns and not set(line) <= set("|-"):
            found.append(cells)
    return found


def _reasons() -> dict[str, list[str]]:
    return {cells[1].strip("`"): cells for cells in _rows("errors.md", 4) if cells[1].startswith("`")}


def test_every_reason_is_in_the_table_in_order():
    assert list(_reasons()) == [reason.name for reason in Reason]


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.name)
def test_a_reason_has_its_text_its_hint_and_its_numbers(reason):
    text, _, where, hint = _reasons()[reason.name]
    assert (text, hint) == (reason.value, reason.hint)
    shown = re.findall(r"([a-z ]+) \((\d+), ([^)]+)\)", where)
    assert shown
    for step, error_id, sub_id in shown:
        # CONNACK has five codes; everything else is shown with a number of its own.
        given = 5 if sub_id == "-112 - code" else CODE if sub_id == "code" else None
        found = c_sdk_numbers(Failure(Step(step.strip()), reason, code=given), "soft_ap")
        expected = {"code": CODE, "-112 - code": -117}.get(sub_id)
        assert found == (int(error_id), int(sub_id) if expected is None else expected), step


def test_every_error_id_has_its_text():
    shown = {}
    for cells in _rows("errors.md", 4):
        shown |= {
            int(number): text for number, text in (cells[:2], cells[2:]) if re.fullmatch(r"\d+", number)
        }
    assert shown == dict(enumerate(TEXTS))


# --- testbed.md --------------------------------------------------------------------------


def _first_column(title: str) -> set[str]:
    text = (ROOT / "docs" / "testbed.md").read_text()
    table = text[text.index(f"| {title} |") :].partition("\n\n")[0]
    return set(re.findall(r"`(\w+)`", "\n".join(line.split("|")[1] for line in table.splitlines())))


def test_every_fault_is_described():
    assert _first_column("point") == {point.value for point in Point}
    assert _first_column("do") == {do.value for do in Do}


def test_the_mode_that_is_shown_can_be_used():
    modes = [json.loads(block) for block in _blocks(ROOT / "docs" / "testbed.md", "json")]
    used = [parse_mode(mode) for mode in modes if set(mode) <= {point.value for point in Point}]
    assert used
