"""What every Storage port has to do; a test module inherits it with its own platform."""

from __future__ import annotations

import asyncio

from qiot.hal.contract import Platform, Slot, Storage


class StoragePort:
    """Inherit and give the fixture `platform`."""

    async def test_what_was_saved_is_loaded(self, platform: Platform) -> None:
        storage = platform.port(Storage)
        for slot in Slot:
            assert await storage.load(slot) is None
        contents = {slot: slot.value.encode() + b"\x00\xff\n\n\r" for slot in Slot}
        contents[Slot.IDENTITY] = b""
        contents[Slot.ERRORS] = b"x" * 100_000
        for slot, data in contents.items():
            await storage.save(slot, b"older")
            await storage.save(slot, data)
        assert {slot: await storage.load(slot) for slot in Slot} == contents

    async def test_erase_is_idempotent_and_hits_one_slot(self, platform: Platform) -> None:
        storage = platform.port(Storage)
        await storage.erase(Slot.IDENTITY)
        await storage.save(Slot.IDENTITY, b"me")
        await storage.save(Slot.NETWORK, b"home")
        await storage.erase(Slot.IDENTITY)
        await storage.erase(Slot.IDENTITY)
        assert await storage.load(Slot.IDENTITY) is None
        assert await storage.load(Slot.NETWORK) == b"home"

    async def test_saves_at_once_are_whole_and_the_last_wins(self, platform: Platform) -> None:
        storage = platform.port(Storage)
        contents = [bytes([number]) * 50_000 for number in range(20)]
        await asyncio.gather(*(storage.save(Slot.ERRORS, content) for content in contents))
        assert await storage.load(Slot.ERRORS) == contents[-1]

    async def test_the_saved_octets_are_a_copy(self, platform: Platform) -> None:
        storage = platform.port(Storage)
        content = bytearray(b"before")
        await storage.save(Slot.ERRORS, content)
        content[:] = b"after!"
        assert await storage.load(Slot.ERRORS) == b"before"

    async def test_the_port_is_the_same_object_each_time(self, platform: Platform) -> None:
        assert platform.port(Storage) is platform.port(Storage)
