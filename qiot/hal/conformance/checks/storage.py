"""Storage: saves that are whole, private, and there after a restart."""

from __future__ import annotations

import asyncio
import contextlib
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final, cast

from qiot.hal.conformance.bench import CUTS, Bench
from qiot.hal.conformance.check import check, expect, not_claimed
from qiot.hal.contract import Slot, Storage

_OLD: Final = b"old" * 20_000
_NEW: Final = b"new" * 30_000


@contextlib.asynccontextmanager
async def _storage(bench: Bench) -> AsyncIterator[Storage]:
    """The port; what was in its slots is there again afterwards, however the check ends."""
    storage = bench.port(Storage)
    before = {slot: await _load(bench, storage, slot) for slot in Slot}
    try:
        yield storage
    finally:
        storage = bench.port(Storage)
        for slot, data in before.items():
            if data is None:
                await bench.call("Storage.erase", storage.erase(slot))
            elif await _load(bench, storage, slot) != data:
                await bench.call("Storage.save", storage.save(slot, data))


async def _load(bench: Bench, storage: Storage, slot: Slot) -> bytes | None:
    return await bench.call("Storage.load", storage.load(slot))


async def _save(bench: Bench, storage: Storage, slot: Slot, data: bytes) -> None:
    await bench.call("Storage.save", storage.save(slot, data))


@check(Storage, "save")
async def what_was_saved_is_loaded(bench: Bench) -> None:
    """Octet by octet, in every slot: empty, binary and large content."""
    async with _storage(bench) as storage:
        contents: Mapping[Slot, bytes] = {slot: slot.value.encode() + b"\x00\xff\n\n\r" for slot in Slot} | {
            Slot.IDENTITY: b"",
            Slot.ERRORS: b"x" * 100_000,
        }
        for slot, data in contents.items():
            await _save(bench, storage, slot, b"older")
            await _save(bench, storage, slot, data)
        for slot, data in contents.items():
            loaded = await _load(bench, storage, slot)
            expect(loaded == data, f"{slot}: {len(data)} octets were saved, {_size(loaded)} loaded")


@check(Storage, "save")
async def the_saved_octets_are_a_copy(bench: Bench) -> None:
    """What the caller does with its buffer later changes nothing."""
    async with _storage(bench) as storage:
        content = bytearray(b"before")
        await _save(bench, storage, Slot.ERRORS, cast(bytes, content))  # as callers do
        content[:] = b"after!"
        expect(
            await _load(bench, storage, Slot.ERRORS) == b"before", "the slot changed with the caller's buffer"
        )


@check(Storage, "save")
async def saves_at_once_are_whole_and_the_last_wins(bench: Bench) -> None:
    """Readers in between see one of them, never a mixture."""
    async with _storage(bench) as storage:
        contents = [bytes([number]) * (20_000 + number) for number in range(12)]
        await _save(bench, storage, Slot.ERRORS, contents[0])
        saving = asyncio.gather(*(_save(bench, storage, Slot.ERRORS, content) for content in contents))
        torn = None
        while not saving.done():
            loaded = await _load(bench, storage, Slot.ERRORS)
            torn = torn or (None if loaded in contents else _size(loaded))
            await asyncio.sleep(0)
        await saving
        expect(torn is None, f"a reader saw a torn save: {torn} octets")
        expect(await _load(bench, storage, Slot.ERRORS) == contents[-1], "the last save is not what is there")


@check(Storage, "save")
async def a_cancelled_save_is_whole_or_did_not_happen(bench: Bench) -> None:
    """Wherever it is cut off."""
    async with _storage(bench) as storage:
        for turns in range(CUTS):
            await _save(bench, storage, Slot.NETWORK, _OLD)
            await _cut(storage, turns)
            loaded = await _load(bench, storage, Slot.NETWORK)
            expect(loaded in {_OLD, _NEW}, f"a save cut off after {turns} turns left {_size(loaded)} octets")
        for after in (0.0, 0.001, 0.01):
            await bench.cancelled("Storage.save", storage.save(Slot.NETWORK, _NEW), after)
        await _save(bench, storage, Slot.NETWORK, _OLD)
        expect(await _load(bench, storage, Slot.NETWORK) == _OLD, "a save cut off earlier came through later")


async def _cut(storage: Storage, turns: int) -> None:
    saving = asyncio.ensure_future(storage.save(Slot.NETWORK, _NEW))
    for _ in range(turns):
        await asyncio.sleep(0)
    saving.cancel()
    await asyncio.gather(saving, return_exceptions=True)


@check(Storage, "save")
async def a_crash_in_the_middle_of_a_save_leaves_the_old_content(bench: Bench) -> None:
    """The file of the old content is not written into: after a power cut, half of it would be new."""
    folder = bench.environment.storage_folder
    if folder is None:
        not_claimed("the environment does not say where the storage keeps its files (storage_folder)")
    async with _storage(bench) as storage:
        await _save(bench, storage, Slot.NETWORK, _OLD)
        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(each.open("rb")) for each in _files(folder)]
            olds = [each for each in held if each.read() == _OLD]
            if not olds:
                not_claimed("the storage keeps its slots in files of a form of its own")
            await _save(bench, storage, Slot.NETWORK, _NEW)
            for each in olds:
                each.seek(0)
                whole = each.read() == _OLD
                expect(whole, f"a save writes into {each.name} in place: a crash would leave half of it")


def _files(folder: Path) -> list[Path]:
    return [each for each in folder.rglob("*") if each.is_file()]


@check(Storage, "save")
async def only_the_owner_can_read_it(bench: Bench) -> None:
    """Its files are 0600."""
    folder = bench.environment.storage_folder
    async with _storage(bench) as storage:
        for slot in Slot:
            await _save(bench, storage, slot, b"private")
        if folder is None:
            not_claimed("the environment does not say where the storage keeps its files (storage_folder)")
        files = await asyncio.to_thread(_files, folder)
        expect(files, f"no files in {folder}, which the environment names as the storage's folder")
        for file in files:
            mode = stat.S_IMODE(file.stat().st_mode)
            expect(not mode & 0o177, f"{file} has the mode {mode:04o}, it must be 0600")


@check(Storage, "erase")
async def erase_is_idempotent_and_hits_one_slot(bench: Bench) -> None:
    """Nothing else goes with it."""
    async with _storage(bench) as storage:
        await bench.call("Storage.erase", storage.erase(Slot.IDENTITY))
        await _save(bench, storage, Slot.IDENTITY, b"me")
        await _save(bench, storage, Slot.NETWORK, b"home")
        for _ in range(2):
            await bench.call("Storage.erase", storage.erase(Slot.IDENTITY))
        expect(await _load(bench, storage, Slot.IDENTITY) is None, "an erased slot still has content")
        expect(await _load(bench, storage, Slot.NETWORK) == b"home", "erasing one slot changed another")


@check(Storage, "load")
async def it_survives_a_restart(bench: Bench) -> None:
    """What was saved and what was erased is so for the next platform."""
    async with _storage(bench) as storage:
        await _save(bench, storage, Slot.BOUND, b"kept")
        await _save(bench, storage, Slot.ERRORS, b"gone")
        await bench.call("Storage.erase", storage.erase(Slot.ERRORS))
        await bench.reopen()
        again = bench.port(Storage)
        expect(
            await _load(bench, again, Slot.BOUND) == b"kept", "what was saved is not there after a restart"
        )
        expect(await _load(bench, again, Slot.ERRORS) is None, "what was erased is back after a restart")


def _size(data: bytes | None) -> str:
    return "none" if data is None else str(len(data))
