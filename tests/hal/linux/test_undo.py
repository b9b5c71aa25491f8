"""The undo list: on the disk before the change, worked off newest first, held by one process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qiot.errors import HalError, MediumError, NotSupportedError, StorageError
from qiot.hal.linux.programs import PROCESS, Program, find_program, undo_process
from qiot.hal.linux.undo import Change, UndoLog
from tests.hal.helpers import until


class Undone:
    """Remembers what it was asked to undo; fails where it is told to."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.failing = False

    async def __call__(self, change: Change) -> None:
        if self.failing:
            raise MediumError("not now")
        self.changes.append(change)


def make_log(path: Path) -> tuple[UndoLog, Undone]:
    log, undone = UndoLog(path), Undone()
    log.register("thing", undone)
    return log, undone


async def test_what_a_killed_process_left_is_undone_newest_first(tmp_path: Path) -> None:
    path = tmp_path / "state" / "undo-wlan0.json"
    killed, _ = make_log(path)
    changes = [await killed.note("thing", name=name) for name in ("first", "second", "third")]
    await killed.forget(changes[1])
    await killed.forget(changes[1])
    assert [each["facts"]["name"] for each in json.loads(path.read_text())] == ["first", "third"]
    await killed.close()  # what the system does for a killed process

    log, undone = make_log(path)
    await log.recover()
    assert [change.facts["name"] for change in undone.changes] == ["third", "first"]
    await log.recover()
    assert len(undone.changes) == 2
    await log.close()


async def test_what_cannot_be_undone_stays_on_the_list(tmp_path: Path) -> None:
    log, undone = make_log(tmp_path / "undo.json")
    await log.note("thing", name="stubborn")
    undone.failing = True
    await log.recover()
    undone.failing = False
    await log.recover()
    assert [change.facts["name"] for change in undone.changes] == ["stubborn"]
    await log.close()


async def test_a_change_that_nobody_could_undo_is_refused(tmp_path: Path) -> None:
    log, _ = make_log(tmp_path / "undo.json")
    with pytest.raises(ValueError, match="nobody knows"):
        await log.note("mystery")
    await log.close()


async def test_a_kind_of_another_version_stays(tmp_path: Path) -> None:
    path = tmp_path / "undo.json"
    path.write_text(json.dumps([{"kind": "later", "facts": {}, "number": 7}]))
    log, _ = make_log(path)
    await log.recover()
    assert (await log.note("thing")).number == 8
    await log.close()
    assert [each["kind"] for each in json.loads(path.read_text())] == ["later", "thing"]


async def test_one_process_at_a_time(tmp_path: Path) -> None:
    first, _ = make_log(tmp_path / "undo.json")
    second, _ = make_log(tmp_path / "undo.json")
    await first.note("thing")
    for verb in (second.recover, lambda: second.note("thing")):
        with pytest.raises(HalError, match=f"another qiot process \\({os.getpid()}\\)"):
            await verb()
    await first.close()
    await second.recover()
    await second.close()
    await second.close()


@pytest.mark.parametrize("content", ["", "{", '{"kind": 1}', '[{"kind": "thing"}]', "[1]", "\xff"])
async def test_a_damaged_list_starts_anew(tmp_path: Path, content: str) -> None:
    path = tmp_path / "undo.json"
    path.write_text(content, encoding="latin-1")
    log, undone = make_log(path)
    await log.recover()
    assert undone.changes == []
    await log.note("thing")
    await log.close()
    assert len(json.loads(path.read_text())) == 1


async def test_a_list_that_cannot_be_written_stops_the_change(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    log, _ = make_log(tmp_path / "file" / "undo.json")
    with pytest.raises(StorageError):
        await log.note("thing")
    await log.close()


# --- programs ---------------------------------------------------------------------------------------------


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for programs that are found first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def make_program(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport signal, sys, time\n{body}\n")
    path.chmod(0o755)


def process_log(path: Path) -> UndoLog:
    log = UndoLog(path)
    log.register(PROCESS, undo_process)
    return log


def spawn(*command: str | Path) -> subprocess.Popen[bytes]:
    """Start a program that says when it is ready."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def command_line(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]


def runs(argument: str) -> bool:
    """True where any process has this argument."""
    wanted = b"\0" + os.fsencode(argument) + b"\0"
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if wanted in entry.read_bytes():
                return True
    return False


SERVE = "print('ready', flush=True)\nwhile True: time.sleep(60)"


async def test_a_program_runs_until_it_is_stopped(tools: Path, tmp_path: Path) -> None:
    make_program(tools, "served", SERVE)
    undo = process_log(tmp_path / "undo.json")
    program = await Program.start("served", "x", undo=undo, ready=lambda line: line == "ready")
    assert program.running
    assert program.output == ("ready",)
    await program.stop()
    await program.stop()
    assert not program.running
    assert json.loads((tmp_path / "undo.json").read_text()) == []
    await undo.close()


async def test_one_that_ends_or_says_nothing_is_an_error_with_its_last_line(
    tools: Path, tmp_path: Path
) -> None:
    make_program(tools, "ends", "print('cannot bind'); sys.exit(1)")
    make_program(tools, "silent", "while True: time.sleep(60)")
    undo = process_log(tmp_path / "undo.json")
    with pytest.raises(HalError, match="ends ended: cannot bind"):
        await Program.start("ends", undo=undo, ready=lambda line: line == "ready")
    with pytest.raises(HalError, match="not ready within"):
        await Program.start("silent", undo=undo, ready=lambda line: line == "ready", timeout=0.1)
    assert json.loads((tmp_path / "undo.json").read_text()) == []
    await undo.close()


async def test_one_that_ignores_the_request_to_end_is_killed(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qiot.hal.linux.programs._TERM_LIMIT", 0.2)
    make_program(tools, "deaf", f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{SERVE}")
    undo = process_log(tmp_path / "undo.json")
    program = await Program.start("deaf", undo=undo, ready=lambda line: line == "ready")
    await program.stop()
    assert not program.running
    await undo.close()


async def test_recover_ends_what_a_killed_process_started_and_no_stranger(
    tools: Path, tmp_path: Path
) -> None:
    make_program(tools, "orphan", SERVE)
    ours, stranger = spawn(tools / "orphan", "/run/ours"), spawn(tools / "orphan", "/run/other")
    command = command_line(ours.pid)
    undo = process_log(tmp_path / "undo.json")
    await undo.note(PROCESS, command=json.dumps(command))
    reaping = asyncio.ensure_future(asyncio.to_thread(ours.wait, 10))
    await undo.recover()
    assert await reaping == -signal.SIGTERM
    assert stranger.poll() is None
    for process in (ours, stranger):
        process.kill()
        process.communicate()
    await undo.close()


async def test_a_cancelled_start_leaves_no_process(tools: Path, tmp_path: Path) -> None:
    make_program(tools, "slow", "open(sys.argv[1], 'w').write('up')\nwhile True: time.sleep(60)")
    undo = process_log(tmp_path / "undo.json")
    mark = tmp_path / "mark"
    starting = asyncio.ensure_future(
        Program.start("slow", str(mark), undo=undo, ready=lambda line: line == "ready", timeout=60)
    )
    await until(mark.exists)
    starting.cancel()
    assert isinstance((await asyncio.gather(starting, return_exceptions=True))[0], asyncio.CancelledError)
    assert not runs(str(mark))
    assert json.loads((tmp_path / "undo.json").read_text()) == []
    await undo.close()


def test_a_program_that_is_not_installed_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qiot.hal.linux.programs._FOLDERS", ())
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NotSupportedError) as caught:
        find_program("dnsmasq")
    assert "apt install dnsmasq-base" in caught.value.hint
