"""The atomic write, with every system call failing, and the process killed at each."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qiot.atomic_file import remove_leftovers, write_atomic

CALLS = ("open", "fchmod", "write", "fsync", "replace", "close")


class FailAt:
    """Lets the n-th of the calls fail, counted over all of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        self.left = number
        self.failed = ""
        for name in CALLS:
            monkeypatch.setattr(os, name, self._wrap(name, getattr(os, name)))

    def _wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                self.failed = name
                if name == "close":
                    real(*arguments, **options)  # a failing close(2) has closed all the same
                raise OSError(errno.EIO, "the disk says no")
            return real(*arguments, **options)

        return call


def test_whichever_call_fails_the_file_is_whole_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "slot"
    seen: set[str] = set()
    for number in range(1, 100):
        write_atomic(target, b"old")
        with monkeypatch.context() as patch:
            fail = FailAt(patch, number)
            done = False
            with contextlib.suppress(OSError):
                write_atomic(target, b"new")
                done = True
        if not fail.failed:
            break
        seen.add(fail.failed)
        assert not done
        assert target.read_bytes() in {b"old", b"new"}
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        assert [file.name for file in tmp_path.iterdir()] == ["slot"], fail.failed
    assert seen == set(CALLS)
    assert done
    assert target.read_bytes() == b"new"


KILL_AT = """
import os, signal, sys
from pathlib import Path
from qiot.atomic_file import write_atomic

left = int(sys.argv[2])

def wrap(real):
    def call(*arguments, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call

def write_a_part(descriptor, data, real=os.write):
    return real(descriptor, data[: max(1, len(data) // 2)])

os.write = write_a_part
for name in ("open", "fchmod", "write", "fsync", "replace", "close"):
    setattr(os, name, wrap(getattr(os, name)))
write_atomic(Path(sys.argv[1]), b"new" * 10)
"""


def test_whenever_the_process_is_killed_the_file_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "slot"
    old, new = b"old" * 10, b"new" * 10
    results: list[bytes] = []
    leftovers = 0
    for number in range(1, 100):
        write_atomic(target, old)
        assert [file.name for file in tmp_path.iterdir()] == [
            "slot"
        ]  # the leftover of the kill before is gone
        done = subprocess.run(
            [sys.executable, "-c", KILL_AT, str(target), str(number)], timeout=60, check=False
        )
        results.append(target.read_bytes())
        leftovers += len(list(tmp_path.iterdir())) - 1
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    assert results == sorted(results, reverse=True)  # first the old content, from the rename on the new one
    assert set(results) == {old, new}
    assert leftovers > 0
    assert done.returncode == 0


def test_content_is_on_the_disk_before_the_rename_and_the_rename_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        kind = (
            "folder"
            if stat.S_ISDIR(os.fstat(descriptor).st_mode)
            else f"{os.fstat(descriptor).st_size} octets"
        )
        done.append(f"fsync {kind}")
        real_fsync(descriptor)

    def replace(source: Path, target: Path) -> None:
        done.append("rename")
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write_atomic(tmp_path / "file", b"12345")
    assert done == ["fsync 5 octets", "rename", "fsync folder"]


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o400])
def test_the_mode_is_the_given_one(tmp_path: Path, mode: int) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    target.chmod(0o666)
    old = os.umask(0o077)
    try:
        write_atomic(target, b"x", mode)
    finally:
        os.umask(old)
    assert stat.S_IMODE(target.stat().st_mode) == mode


def test_short_writes_are_carried_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:3]))
    write_atomic(tmp_path / "file", b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "elsewhere" / "link"
    link.parent.mkdir()
    link.symlink_to(real)
    write_atomic(link, b"through")
    assert link.is_symlink()
    assert real.read_bytes() == b"through"


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    target = tmp_path / "a[1]*"
    dead, living = tmp_path / ".a[1]*.dead.tmp", tmp_path / ".a[1]*.living.tmp"
    foreign = [tmp_path / name for name in (".a1x.dead.tmp", "a[1]*.dead.tmp", ".a[1]*.tmp")]
    for file in (dead, living, *foreign):
        file.write_bytes(b"")
    with living.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        remove_leftovers(target)
        assert not dead.exists()
        assert living.exists()
    assert all(file.exists() for file in foreign)
    write_atomic(target, b"x")
    assert not living.exists()


def test_writers_at_once_leave_one_whole_content(tmp_path: Path) -> None:
    target = tmp_path / "file"
    contents = [bytes([number]) * 10_000 for number in range(8)]
    errors: list[BaseException] = []

    def write(content: bytes) -> None:
        try:
            for _ in range(25):
                write_atomic(target, content)
                assert target.read_bytes() in contents
        except BaseException as error:  # noqa: BLE001 - shown by the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_clean_up_between_creation_and_lock_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "file"
    real = fcntl.flock
    stolen: list[Path] = []

    def steal_first(descriptor: Any, operation: int) -> None:
        if len(stolen) < 2:
            (temporary,) = tmp_path.glob(".file.*.tmp")
            temporary.unlink()
            stolen.append(temporary)
            if len(stolen) == 1:
                raise BlockingIOError(errno.EAGAIN, "the clean-up holds it")
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", steal_first)
    write_atomic(target, b"x")
    assert len(stolen) == 2
    assert target.read_bytes() == b"x"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_no_locks_on_this_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", none)
    write_atomic(tmp_path / "file", b"x")
    assert (tmp_path / "file").read_bytes() == b"x"
