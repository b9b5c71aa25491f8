"""The parts of the lab's runner: what is missing, the initramfs, places for machines, names of tests."""

from __future__ import annotations

import asyncio
import json
import lzma
import subprocess
from pathlib import Path

import pytest

from lab.host import requirements
from lab.host.initrd import cpio, load_order
from lab.host.kernel import plain_kernel
from lab.host.memory import tree_key
from lab.host.places import require_visible
from lab.host.plan import Group, Test, grouped, resolved
from lab.host.python_env import wanted_packages
from lab.host.report import table
from lab.host.requirements import Need
from lab.host.slots import slot
from lab.host.trouble import CannotRunError
from lab.host.watch import Result, Watch

NEEDS = (
    Need("hostapd", "hostapd", "access points"),
    Need("busybox-static", "busybox", "the first program"),
    Need("udev", "/lib/systemd/systemd-udevd", "devices"),
)


# --- what is missing ---------------------------------------------------------------------------------------


def test_what_is_missing_is_said_in_one_message_with_the_command() -> None:
    lacking = requirements.missing(NEEDS, lambda name: Path(name) if name == "busybox" else None, static=True)
    assert [need.package for need in lacking] == ["hostapd", "udev"]
    text = requirements.complaint(lacking)
    assert "apt-get install --no-install-recommends hostapd udev" in text
    assert "/lib/systemd/systemd-udevd" in text


def test_a_busybox_with_shared_libraries_is_not_enough() -> None:
    lacking = requirements.missing(NEEDS, Path, static=False)
    assert [need.package for need in lacking] == ["busybox-static"]


def test_nothing_is_missing() -> None:
    assert requirements.missing(NEEDS, Path, static=True) == []


def test_installing_starts_no_daemon_and_leaves_no_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy-rc.d"
    commands: list[list[str]] = []

    def call(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert "exit 101" in policy.read_text()
        commands.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", call)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    requirements.install([NEEDS[0], NEEDS[0], NEEDS[2]], policy)
    assert commands == [["apt-get", "install", "-y", "-q", "--no-install-recommends", "hostapd", "udev"]]
    assert not policy.exists()


def test_installing_fails_aloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 100))
    with pytest.raises(CannotRunError, match="could not install hostapd"):
        requirements.install(NEEDS[:1], policy)
    assert policy.exists(), "it was there before"
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(CannotRunError, match="needs root"):
        requirements.install(NEEDS[:1], policy)


# --- the initramfs and the kernel --------------------------------------------------------------------------


def test_the_archive_is_padded_to_four_bytes() -> None:
    archive = cpio(iter([("a", 0o100644, b"12345")]))
    assert len(archive) % 4 == 0
    assert archive.startswith(b"070701")
    assert archive.index(b"12345") % 4 == 0
    second = archive.index(b"070701", 1)
    assert second % 4 == 0
    assert archive.endswith(b"TRAILER!!!\0\0\0\0")


def test_modules_are_loaded_after_what_they_need(tmp_path: Path) -> None:
    (tmp_path / "modules.dep").write_text(
        "kernel/fs/9p/9p.ko: kernel/net/9p/9pnet.ko kernel/fs/netfs.ko\n"
        "kernel/net/9p/9pnet.ko:\nkernel/fs/netfs.ko:\n"
        "kernel/drivers/virtio-rng.ko.xz: kernel/drivers/virtio.ko\n"
    )
    (tmp_path / "modules.builtin").write_text("kernel/fs/overlayfs/overlay.ko\n")
    order = [path.name for path in load_order(tmp_path, ("9p", "overlay", "virtio_rng"))]
    assert order == ["netfs.ko", "9pnet.ko", "9p.ko", "virtio.ko", "virtio-rng.ko.xz"]
    with pytest.raises(CannotRunError, match="no module nothing"):
        load_order(tmp_path, ("nothing",))


def test_the_plain_kernel_is_taken_out_of_the_compressed_one() -> None:
    elf = b"\x7fELF" + bytes(1000)
    image = b"MZ" + b"\xfd7zXZ\0 not one" + bytes(77) + lzma.compress(elf) + b"tail"
    assert plain_kernel(image) == elf
    with pytest.raises(CannotRunError, match="not compressed with xz"):
        plain_kernel(b"MZ" + bytes(500))


# --- plans -------------------------------------------------------------------------------------------------


def test_one_machine_for_each_module_the_longest_first() -> None:
    tests = [
        Test("lab/tests/test_a.py::x", duration=5),
        Test("lab/tests/test_a.py::y", duration=50, vm="own"),
        Test("lab/tests/test_b.py::x", duration=4),
        Test("lab/tests/test_a.py::z", duration=6),
        Test("lab/tests/deep/test_b.py::x", duration=1),
    ]
    groups = grouped(tests)
    assert [group.name for group in groups] == ["test_a-own", "test_a", "test_b", "test_b"]
    assert [test.test[-1] for test in groups[1].tests] == ["x", "z"]
    assert sum(len(group.tests) for group in groups) == len(tests)


def test_names_are_found_from_where_one_stands(tmp_path: Path) -> None:
    tests = tmp_path / "lab" / "tests"
    tests.mkdir(parents=True)
    (tests / "test_a.py").touch()
    expected = ["lab/tests/test_a.py::test_x"]
    for name in ("test_a", "test_a.py", "lab/tests/test_a.py", "lab/tests/test_a"):
        assert resolved([f"{name}::test_x"], tmp_path, tmp_path) == expected
    assert resolved(["./test_a.py"], tmp_path, tests) == ["lab/tests/test_a.py"]
    (tmp_path / "other.py").touch()
    for name in ("other.py", "", "::test_x", "test_b"):
        with pytest.raises(CannotRunError, match="no such test"):
            resolved([name], tmp_path, tmp_path)


def test_the_guests_packages_are_the_projects(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text(
        '[project]\ndependencies = ["attrs>=1"]\n'
        '[project.optional-dependencies]\ntest = ["pytest"]\nqr = ["no"]\n'
    )
    assert wanted_packages(file) == ["attrs>=1", "pytest"]


def test_a_place_that_the_guest_does_not_see_is_refused(tmp_path: Path) -> None:
    require_visible(tmp_path, "the checkout")
    with pytest.raises(CannotRunError, match="under /run"):
        require_visible(Path("/run/user/1000/checkout"), "the checkout")


def test_the_key_changes_with_files_that_matter_only(tmp_path: Path) -> None:
    (tmp_path / "qiot").mkdir()
    (tmp_path / "lab").mkdir()
    source = tmp_path / "qiot" / "x.py"
    source.write_text("1")
    python = tmp_path / "venv" / "bin" / "python"
    first = tree_key(tmp_path, "6.1", python)
    (tmp_path / "lab" / "README.md").write_text("words")
    assert tree_key(tmp_path, "6.1", python) == first
    assert tree_key(tmp_path, "6.2", python) != first
    (tmp_path / "venv" / "lib" / "python3.11" / "site-packages" / "attrs-1.dist-info").mkdir(parents=True)
    second = tree_key(tmp_path, "6.1", python)
    assert second != first
    source.rename(tmp_path / "qiot" / "y.py")
    assert tree_key(tmp_path, "6.1", python) != second


# --- machines ----------------------------------------------------------------------------------------------


def tickets(folder: Path) -> list[Path]:
    return list(folder.glob("*wait*"))


async def test_no_more_machines_than_places(tmp_path: Path) -> None:
    said: list[str] = []
    waiting = asyncio.Event()
    running: list[int] = []
    most = 0

    def say(text: str) -> None:
        said.append(text)
        waiting.set()

    async def one() -> None:
        nonlocal most
        async with slot(2, say, tmp_path):
            running.append(1)
            most = max(most, len(running))
            await waiting.wait()
            running.pop()

    await asyncio.wait_for(asyncio.gather(*(one() for _ in range(3))), 60)
    assert most == 2
    assert len(said) == 1
    assert "2 virtual machines run on this computer, and 0 wait" in said[0]
    assert tickets(tmp_path) == []


async def test_places_are_given_in_turn(tmp_path: Path) -> None:
    (tmp_path / "qiot-lab-wait-00000000000000000001-1").touch()  # of a run that was killed
    said: list[str] = []
    order: list[int] = []

    async def one(number: int) -> None:
        async with slot(1, said.append, tmp_path):
            order.append(number)

    waiting = []
    async with slot(1, said.append, tmp_path):
        for number in range(4):
            waiting.append(asyncio.create_task(one(number)))
            await asyncio.sleep(0)
        assert said[-1].endswith("and 3 wait before this one")
        waiting[1].cancel()
    await asyncio.wait(waiting, timeout=60)
    assert order == [0, 2, 3]
    assert tickets(tmp_path) == []


async def test_who_waits_for_few_places_keeps_nobody_from_the_others(tmp_path: Path) -> None:
    said: list[str] = []

    async def modest() -> None:
        async with slot(1, said.append, tmp_path):
            pass

    async with slot(1, said.append, tmp_path):
        waiting = asyncio.create_task(modest())
        await asyncio.sleep(0)
        async with asyncio.timeout(60), slot(2, said.append, tmp_path):
            assert not waiting.done()
    await asyncio.wait_for(waiting, 60)
    assert tickets(tmp_path) == []


class Guest:
    """Writes what a guest would write, under a clock of its own."""

    def __init__(self, folder: Path, *tests: Test) -> None:
        self.now = 0.0
        self.told: list[Result] = []
        self._file = folder / "results"
        self.watch = Watch(Group("g", tests), self._file, self.told.append, lambda: self.now)

    def write(self, **record: object) -> None:
        with self._file.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def raw(self, text: str) -> None:
        with self._file.open("a") as file:
            file.write(text)


def test_a_guest_that_says_nothing_is_hung(tmp_path: Path) -> None:
    guest = Guest(tmp_path, Test("m.py::x", limit=10), Test("m.py::y"))
    assert guest.watch.look(up=False) == ""
    guest.now = 1000.0
    assert guest.watch.look(up=False) == "", "booting has a limit of its own"
    assert guest.watch.look() == ""
    guest.write(event="start", test="m.py::x", limit=70.0)
    guest.now += 100
    assert guest.watch.look() == ""
    guest.now += 129
    assert guest.watch.look() == ""
    guest.now += 2
    fault = guest.watch.look()
    assert "hung in m.py::x" in fault
    guest.watch.close(fault, None, "last words")
    assert [(result.test, result.outcome) for result in guest.told] == [
        ("m.py::x", "hung"),
        ("m.py::y", "lost"),
    ]
    assert "last words" in guest.told[0].text


def test_half_a_line_waits_for_its_other_half(tmp_path: Path) -> None:
    guest = Guest(tmp_path, Test("m.py::x"))
    line = json.dumps({"event": "result", "test": "m.py::x", "outcome": "passed", "seconds": 1.5, "text": ""})
    guest.raw(line[:20])
    guest.watch.look()
    assert guest.told == []
    guest.raw(f"{line[20:]}\n")
    guest.watch.look()
    assert guest.told == [Result("m.py::x", "passed", 1.5)]
    guest.watch.close("", 0)
    assert len(guest.told) == 1


def test_a_file_that_the_guest_cannot_collect_fails_its_tests(tmp_path: Path) -> None:
    guest = Guest(tmp_path, Test("m.py::x"), Test("n.py::y"))
    guest.write(event="broken", test="m.py", text="ImportError")
    guest.watch.close("", 2)
    assert {result.test: result.outcome for result in guest.told} == {"m.py::x": "failed", "n.py::y": "lost"}


def test_a_bad_status_after_good_results_is_not_overlooked(tmp_path: Path) -> None:
    guest = Guest(tmp_path, Test("m.py::x"))
    guest.write(event="result", test="m.py::x", outcome="passed", seconds=1.0, text="")
    guest.watch.close("", 3)
    assert guest.watch.results["m.py::x"].outcome == "lost"
    assert "pytest ended with status 3" in guest.watch.results["m.py::x"].text


def test_the_table_has_a_line_for_each_test() -> None:
    lines = table([Result("m.py::x", "passed", 1.25), Result("m.py::y", "hung", 200.0)]).splitlines()
    assert [line.split() for line in lines] == [
        ["RESULT", "SECONDS", "TEST"], ["PASSED", "1.2", "m.py::x"], ["HUNG", "200.0", "m.py::y"],
    ]  # fmt: skip
