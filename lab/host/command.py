"""The command line of ``lab/run``.

Exit status: 0 when every selected test passed; 1 when one did not, or a machine hung, crashed or lost tests;
2 when nothing could be run (something is missing, no test is selected); 130 when it was stopped. With --shell
it is the status of the command.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from lab.host import requirements
from lab.host.initrd import initrd
from lab.host.kernel import Kernel, unpacked_kernel
from lab.host.machine import Image, running_cores
from lab.host.memory import Memory, tree_key
from lab.host.places import CHECKOUT, cache_folder, require_visible
from lab.host.plan import Test, collect, grouped, resolved
from lab.host.python_env import guest_python
from lab.host.report import Reporter, shown
from lab.host.session import run_groups
from lab.host.shell import run_shell
from lab.host.trouble import CannotRunError
from lab.host.watch import Result

__all__ = ["main"]

_T = TypeVar("_T")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lab/run",
        description="Run lab tests in virtual machines with simulated radios.",
        epilog="lab/README.md says what tests can use. At most one machine per core runs at a time.",
    )
    what = parser.add_argument_group("what to run")
    what.add_argument(
        "tests", nargs="*", metavar="TEST", help="lab/tests/test_x.py, test_x or test_x::test_y"
    )
    what.add_argument("--smoke", action="store_true", help="the small set that every change must pass")
    what.add_argument("--all", action="store_true", help="everything")
    what.add_argument("-k", metavar="EXPRESSION", help="of these, the ones that match (as in pytest)")
    what.add_argument("--shell", metavar="COMMAND", help="no tests: run COMMAND as root in a machine")
    how = parser.add_argument_group("how")
    how.add_argument("--resume", action="store_true", help="leave out what has passed with the same files")
    how.add_argument("--list", action="store_true", help="show the plan and run nothing")
    how.add_argument(
        "--jobs", type=_positive, metavar="N", help="machines side by side (default: cores, at most 2)"
    )
    how.add_argument(
        "--cpus", type=_positive, metavar="N", help="processors of one machine (default: 1 or 2)"
    )
    how.add_argument(
        "--memory", type=_positive, default=1024, metavar="MB", help="of one machine (%(default)s)"
    )
    how.add_argument("--limit", type=_positive, default=1800, metavar="S", help="for --shell (%(default)s s)")
    how.add_argument(
        "--install", action="store_true", help="install the Debian packages that are missing (root)"
    )
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number from 1")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    Returns:
        the exit status; see above.
    """
    parser = _parser()
    parsed = parser.parse_args(arguments)
    selectors = sum((bool(parsed.tests), parsed.smoke, parsed.all, parsed.shell is not None))
    if selectors != 1 and not (parsed.install and selectors == 0):
        parser.error("say one of TEST..., --smoke, --all, --shell COMMAND")
    try:
        _require(install=parsed.install)
        if selectors == 0:
            return 0
        return _test(parsed) if parsed.shell is None else _shell(parsed)
    except CannotRunError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 2


def _require(*, install: bool) -> None:
    lacking = requirements.missing()
    if lacking and install:
        requirements.install(lacking)
        lacking = requirements.missing()
    if lacking:
        raise CannotRunError(requirements.complaint(lacking))


def _image(parsed: argparse.Namespace, kernel: Kernel, python: Path, jobs: int) -> Image:
    require_visible(CHECKOUT, "the checkout")
    busybox = requirements.find("busybox") or Path("/bin/busybox")
    cpus = parsed.cpus or (1 if jobs > 1 else min(2, running_cores()))
    return Image(kernel, initrd(kernel, cache_folder(), busybox), python, parsed.memory, cpus)


def _shell(parsed: argparse.Namespace) -> int:
    cache = cache_folder()
    kernel = unpacked_kernel(cache, update=parsed.install)
    image = _image(parsed, kernel, guest_python(cache, CHECKOUT), jobs=1)
    return _run(run_shell(parsed.shell, image, parsed.limit))


def _test(parsed: argparse.Namespace) -> int:
    cache = cache_folder()
    python = guest_python(cache, CHECKOUT)
    tests = _selected(parsed, python)
    kernel = unpacked_kernel(cache, update=parsed.install)

    def key() -> str:
        return tree_key(CHECKOUT, kernel.version, python)

    memory = Memory(cache / "results", key())
    before = memory.passed() if parsed.resume else {}
    earlier = [replace(before[test.test], outcome="earlier") for test in tests if test.test in before]
    groups = grouped(test for test in tests if test.test not in before)
    if parsed.list:
        print(shown(groups, earlier))
        return 0
    reporter = Reporter(len(tests) - len(earlier))
    began = time.monotonic()
    results: list[Result] = []
    if groups:
        jobs = min(parsed.jobs or min(2, running_cores()), len(groups))
        image = _image(parsed, kernel, python, jobs)
        reporter.plan(groups, jobs, image.cpus, len(earlier))
        results = _run(run_groups(groups, image, jobs, reporter, lambda result: memory.keep(result, key())))
    return reporter.end(tests, [*earlier, *results], time.monotonic() - began)


def _selected(parsed: argparse.Namespace, python: Path) -> list[Test]:
    arguments = resolved(parsed.tests, CHECKOUT, Path.cwd()) or ["lab/tests"]
    if parsed.k:
        arguments += ["-k", parsed.k]
    tests = [test for test in collect(python, CHECKOUT, arguments) if test.smoke or not parsed.smoke]
    if not tests:
        raise CannotRunError("No test is selected. lab/run --list --all shows what there is.")
    return tests


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    """Run to the end; SIGINT and SIGTERM cancel it, which kills the machines, and end us with 130."""

    async def guarded() -> _T:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, task.cancel)
        return await task

    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError:
        print("lab: stopped; no machine is left", file=sys.stderr)
        raise SystemExit(130) from None
