"""Which tests there are, and which of them run together in one machine."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.host.trouble import CannotRunError

__all__ = ["Group", "Test", "collect", "grouped", "resolved"]

_NO_TESTS = 5  # pytest's exit status


@dataclass(frozen=True, slots=True)
class Test:
    """A test as its markers describe it.

    Attributes:
        test: pytest's node id, relative to the checkout.
        smoke: whether it is in the small set.
        may_skip: whether skipping is no failure.
        duration: seconds it is expected to take.
        limit: seconds it may take at most, without its end.
        vm: tests of a module that name the same machine share one; "" is the module's ordinary one.
    """

    __test__ = False

    test: str
    smoke: bool = False
    may_skip: bool = False
    duration: float = 10.0
    limit: float = 120.0
    vm: str = ""

    @property
    def module(self) -> str:
        """The file it is in."""
        return self.test.partition("::")[0]


@dataclass(frozen=True, slots=True)
class Group:
    """Tests that run one after the other in one machine."""

    name: str
    tests: tuple[Test, ...]

    @property
    def duration(self) -> float:
        """Seconds that its tests are expected to take together."""
        return sum(test.duration for test in self.tests)


def resolved(names: Iterable[str], checkout: Path, here: Path) -> list[str]:
    """The tests that were named, as pytest's arguments relative to `checkout`.

    A name is a path from `here`, from the checkout or from lab/tests, with or without ``.py``, with or
    without ``::test``.

    Raises:
        CannotRunError: nothing has that name.
    """
    arguments = []
    folders = (here, checkout, checkout / "lab" / "tests")
    for name in names:
        file, colons, rest = name.partition("::")
        paths = (folder / f"{file}{suffix}" for folder in folders for suffix in ("", ".py"))
        found = next((path.resolve() for path in paths if file and path.exists()), None)
        if found is None or not found.is_relative_to(checkout / "lab"):
            raise CannotRunError(f"{name}: no such test under lab/tests. lab/run --list --all shows them.")
        arguments.append(f"{found.relative_to(checkout)}{colons}{rest}")
    return arguments


def collect(python: Path, checkout: Path, arguments: Sequence[str]) -> list[Test]:
    """Ask pytest, on this machine, which tests `arguments` select.

    Raises:
        CannotRunError: a test module cannot be imported, or an argument is none.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "tests")
        command = [str(python), "-m", "pytest", "-q", "--collect-only", "-p", "lab.guest.collect"]
        command += [*pytest_options(checkout), *arguments]
        environment = {
            **os.environ,
            "LAB_COLLECT": str(file),
            "PYTHONPATH": str(checkout),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }
        done = subprocess.run(
            command, cwd=checkout, capture_output=True, text=True, check=False, env=environment
        )
        if done.returncode == _NO_TESTS:
            return []
        if done.returncode != 0 or not file.exists():
            raise CannotRunError(f"The tests cannot be collected:\n{done.stdout}{done.stderr}")
        return [Test(**entry) for entry in json.loads(file.read_text())]


def pytest_options(checkout: Path) -> list[str]:
    """What pytest is told on the machine and in the guest alike."""
    options = ["-c", str(checkout / "lab" / "pytest.ini"), "--rootdir", str(checkout)]
    return [*options, "-p", "pytest_asyncio.plugin", "-p", "no:cacheprovider"]


def grouped(tests: Iterable[Test]) -> list[Group]:
    """One group for each module and named machine; the ones that take longest come first."""
    found: dict[str, list[Test]] = {}
    for test in tests:
        name = f"{Path(test.module).stem}{test.vm and f'-{test.vm}'}"
        found.setdefault(f"{test.module} {name}", []).append(test)
    groups = [Group(key.split()[-1], tuple(tests)) for key, tests in found.items()]
    return sorted(groups, key=lambda group: -group.duration)
