"""Storage on linux and on the mock, and what only files can get wrong."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from qiot.errors import StorageError
from qiot.hal.contract import Slot, Storage
from qiot.hal.linux import LinuxPlatform
from qiot.hal.linux import storage as storage_module
from qiot.hal.linux.storage import FileStorage, default_folder
from qiot.hal.registry import PlatformSpec
from tests.hal.helpers import names, until


async def test_the_folder_is_made_by_the_first_save_only_and_nobody_else_can_read(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "state"
    platform = LinuxPlatform(PlatformSpec("linux", options={"state": str(folder)}))
    storage = platform.port(Storage)
    await storage.load(Slot.IDENTITY)
    await storage.erase(Slot.IDENTITY)
    await platform.recover()
    assert not folder.parent.exists()
    old = os.umask(0)
    try:
        await storage.save(Slot.IDENTITY, b"secret")
    finally:
        os.umask(old)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [(file.name, stat.S_IMODE(file.stat().st_mode)) for file in folder.iterdir()] == [
        ("identity", 0o600)
    ]


async def test_a_save_survives_the_process(tmp_path: Path) -> None:
    await FileStorage(tmp_path).save(Slot.NETWORK, b"home")
    assert await FileStorage(tmp_path).load(Slot.NETWORK) == b"home"


async def test_a_file_holds_the_slot_and_nothing_else(tmp_path: Path) -> None:
    await FileStorage(tmp_path).save(Slot.ERRORS, bytes.fromhex("efbe0df0"))
    assert (tmp_path / "errors").read_bytes() == bytes.fromhex("efbe0df0")


async def test_what_cannot_be_read_or_written_is_typed(tmp_path: Path) -> None:
    (tmp_path / "network").mkdir()
    storage = FileStorage(tmp_path)
    for verb in (storage.load(Slot.NETWORK), storage.save(Slot.NETWORK, b"x"), storage.erase(Slot.NETWORK)):
        with pytest.raises(StorageError) as caught:
            await verb
        assert caught.value.code == errno.EISDIR
    assert names(tmp_path) == ["network"]
    (tmp_path / "file").write_bytes(b"")
    below_a_file = FileStorage(tmp_path / "file")
    for verb in (below_a_file.load(Slot.NETWORK), below_a_file.save(Slot.NETWORK, b"x")):
        with pytest.raises(StorageError):
            await verb


async def test_a_failed_save_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = FileStorage(tmp_path)
    await storage.save(Slot.IDENTITY, b"old")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(StorageError) as caught:
            await storage.save(Slot.IDENTITY, b"new")
    assert caught.value.code == errno.ENOSPC
    assert await storage.load(Slot.IDENTITY) == b"old"
    assert names(tmp_path) == ["identity"]


async def test_a_cancelled_save_ends_before_the_next_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = FileStorage(tmp_path)
    started, go_on = threading.Event(), threading.Event()
    real = storage_module.write_atomic

    def slow(path: Path, data: bytes) -> None:
        started.set()
        assert go_on.wait(10)
        real(path, data)

    monkeypatch.setattr(storage_module, "write_atomic", slow)
    first = asyncio.ensure_future(storage.save(Slot.NETWORK, b"first"))
    await until(started.is_set)
    second = asyncio.ensure_future(storage.save(Slot.NETWORK, b"second"))
    for _ in range(3):
        first.cancel()
        await asyncio.sleep(0)
    assert not first.done()
    go_on.set()
    await asyncio.wait_for(second, 10)
    assert first.cancelled()
    assert await storage.load(Slot.NETWORK) == b"second"


async def test_recover_and_erase_remove_what_a_killed_save_left(tmp_path: Path) -> None:
    platform = LinuxPlatform(PlatformSpec("linux", options={"state": str(tmp_path)}))
    leftover = tmp_path / ".network.0123456789abcdef.tmp"
    for verb in (platform.recover(), platform.port(Storage).erase(Slot.NETWORK)):
        leftover.write_bytes(b"a password")
        await verb
        assert names(tmp_path) == []


def test_the_default_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_folder() == Path("/var/lib/qiot")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_folder() == Path("/state/qiot")
    for unset in ("", "relative"):
        monkeypatch.setenv("XDG_STATE_HOME", unset)
        assert default_folder() == Path("/home/someone/.local/state/qiot")
    monkeypatch.delenv("XDG_STATE_HOME")
    assert default_folder() == Path("/home/someone/.local/state/qiot")
