"""Runs groups of tests, several machines side by side."""

from __future__ import annotations

import asyncio
import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from lab.host.machine import Ending, Image, Job, Machine
from lab.host.places import CHECKOUT
from lab.host.plan import Group, pytest_options
from lab.host.report import Reporter
from lab.host.run_folder import run_folder
from lab.host.slots import machine_count, slot
from lab.host.watch import Result, Watch

__all__ = ["run_groups", "test_job"]

# What a machine may take beyond the limits of its tests: booting, importing, loaded computers.
_MACHINE_GRACE = 300.0
_LAST_LINES = 40


def test_job(group: Group, python: Path) -> Job:
    """What a machine does to run the tests of `group`."""
    words = [str(python), "-m", "pytest", "-p", "lab.guest.results", *pytest_options(CHECKOUT), "@/out/tests"]
    lines = ("export LAB_OUT=/out PYTEST_DISABLE_PLUGIN_AUTOLOAD=1", f"exec {shlex.join(words)}")
    files = {"tests": "".join(f"{test.test}\n" for test in group.tests)}
    return Job("\n".join(lines) + "\n", files, sum(test.limit for test in group.tests) + _MACHINE_GRACE)


async def run_groups(
    groups: Sequence[Group],
    image: Image,
    jobs: int,
    reporter: Reporter,
    keep: Callable[[Result], None] = lambda _result: None,
) -> list[Result]:
    """Run every group in a machine of its own, at most `jobs` of them at a time.

    Args:
        groups: the plan, first things first.
        image: what the machines boot.
        jobs: how many machines of ours may run side by side.
        reporter: told about results as they come.
        keep: called with each result, for whoever stores them.

    Returns:
        a result for every test of every group.
    """
    places = asyncio.Semaphore(jobs)

    def tell(result: Result) -> None:
        reporter.result(result)
        keep(result)

    async def run(group: Group) -> list[Result]:
        async with places, slot(machine_count(), reporter.say) as descriptor:
            return await _run_group(group, image, descriptor, tell, reporter)

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(run(group)) for group in groups]
    return [result for task in running for result in task.result()]


async def _run_group(
    group: Group, image: Image, descriptor: int, tell: Callable[[Result], None], reporter: Reporter
) -> list[Result]:
    with run_folder(group.name) as out:
        watch = Watch(group, out / "results", tell)
        machine = Machine(image, test_job(group, image.python), out, watch.look)
        ending = await machine.run([descriptor])
        watch.close(ending.fault, ending.status, _last_words(out))
        results = [watch.results[test.test] for test in group.tests]
        good = not ending.fault and all(result.passed for result in results)
        reporter.say(_told(group, ending, "" if good else f"; its files are in {out}"))
    if good:
        shutil.rmtree(out, ignore_errors=True)
    return results


def _last_words(out: Path) -> str:
    """The ends of the files that say what a machine was doing when it went wrong."""
    texts = []
    for name in ("traces", "stderr", "console"):
        path = out / name
        lines = path.read_text(errors="replace").splitlines()[-_LAST_LINES:] if path.exists() else []
        if lines:
            texts.append("\n".join((f"--- end of {name} ---", *lines)))
    return "\n".join(texts)


def _told(group: Group, ending: Ending, where: str) -> str:
    booted = "never booted" if ending.booted is None else f"booted in {ending.booted:.1f} s"
    return (
        f"{group.name}: {booted}, {ending.seconds:.1f} s in all{ending.fault and f', {ending.fault}'}{where}"
    )
