"""Deliberate faults: UDP sockets and storage."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from qiot.errors import MediumError
from qiot.hal.contract import (
    Datagram,
    Slot,
    Storage,
    Udp,
)
from qiot.hal.mock import MockPlatform
from tests.conformance.fault import fault, patch

# --- Udp ---------------------------------------------------------------------------------------------------


def endpoints(platform: MockPlatform, change: Callable[[Any], None]) -> None:
    async def open_(real: Any, *args: Any, **kwargs: Any) -> Any:
        endpoint = await real(*args, **kwargs)
        change(endpoint)
        return endpoint

    patch(platform.port(Udp), "open", open_)


@fault("Udp.a_cancelled_receive_loses_nothing", "lost its datagram")
def a_cancelled_receive_loses_its_datagram(platform: MockPlatform) -> None:
    async def receive(real: Any) -> Datagram:
        datagram = await real()
        await asyncio.sleep(0)  # a cancellation here takes the datagram with it
        return datagram

    endpoints(platform, lambda endpoint: patch(endpoint, "receive", receive))


@fault("Udp.the_queue_is_bounded_and_drops_are_counted", "dropped says 0")
def drops_are_not_counted(platform: MockPlatform) -> None:
    def change(endpoint: Any) -> None:
        blind = type("Blind", (type(endpoint),), {"dropped": property(lambda _: 0)})
        endpoint.__class__ = blind

    endpoints(platform, change)


@fault("Udp.the_queue_is_bounded_and_drops_are_counted", "the queue has no bound")
def the_queue_has_no_bound(platform: MockPlatform) -> None:
    def change(endpoint: Any) -> None:
        waiting: asyncio.Queue[Datagram] = asyncio.Queue()

        async def pump(receive: Any) -> None:
            while True:
                waiting.put_nowait(await receive())

        pumping = asyncio.ensure_future(pump(endpoint.receive))
        patch(endpoint, "receive", lambda _: waiting.get())

        async def close(real: Any) -> None:
            pumping.cancel()
            await asyncio.gather(pumping, return_exceptions=True)
            await real()

        patch(endpoint, "close", close)

    endpoints(platform, change)


@fault("Udp.close_ends_every_receive_and_frees_the_port", "does not end a pending read", patience=0.05)
def close_does_not_end_a_receive(platform: MockPlatform) -> None:
    async def receive(real: Any) -> Datagram:
        try:
            return await real()
        except MediumError:
            await asyncio.Event().wait()
            raise

    endpoints(platform, lambda endpoint: patch(endpoint, "receive", receive))


def takes_ports_over(platform: MockPlatform, option: int) -> None:
    class Greedy(socket.socket):
        def bind(self, address: Any) -> None:
            self.setsockopt(socket.SOL_SOCKET, option, 1)
            super().bind(address)

    async def open_(real: Any, *args: Any, **kwargs: Any) -> Any:
        plain, socket.socket = socket.socket, Greedy  # type: ignore[misc,assignment]
        try:
            return await real(*args, **kwargs)
        finally:
            socket.socket = plain  # type: ignore[misc]

    patch(platform.port(Udp), "open", open_)


@fault("Udp.a_busy_port_is_never_silent", "worked, where MediumError PORT_BUSY was due")
def a_busy_port_is_shared_in_silence(platform: MockPlatform) -> None:
    takes_ports_over(platform, socket.SO_REUSEPORT)


@fault("Udp.a_port_of_another_program_is_busy_and_ours_is_not_taken", "Udp.open worked")
def a_port_of_another_program_is_taken_in_silence(platform: MockPlatform) -> None:
    takes_ports_over(platform, socket.SO_REUSEADDR)


@fault("Udp.a_group_is_heard", "a datagram to the group 239.255.77.1, which was asked for, did not come")
def groups_are_not_joined(platform: MockPlatform) -> None:
    async def open_(real: Any, *args: Any, **kwargs: Any) -> Any:
        return await real(*args, **{**kwargs, "groups": ()})

    patch(platform.port(Udp), "open", open_)


@fault(
    "Udp.datagrams_go_both_ways_with_the_address_of_their_header", "127.0.0.1 was asked for, it is bound to"
)
def the_host_is_not_looked_at(platform: MockPlatform) -> None:
    everywhere = ".".join("0000")

    async def open_(real: Any, host: str, *args: Any, **kwargs: Any) -> Any:
        return await real(everywhere if host == "127.0.0.1" else host, *args, **kwargs)

    patch(platform.port(Udp), "open", open_)


# --- Storage -----------------------------------------------------------------------------------------------


@fault("Storage.saves_at_once_are_whole_and_the_last_wins", "torn")
def a_save_is_torn_for_readers(platform: MockPlatform) -> None:
    async def save(real: Any, slot: Slot, data: bytes) -> None:
        await real(slot, data[: len(data) // 2])
        await asyncio.sleep(0.01)
        await real(slot, data)

    patch(platform.port(Storage), "save", save)


@fault("Storage.a_cancelled_save_is_whole_or_did_not_happen", "cut off after")
def a_cancelled_save_is_torn(platform: MockPlatform) -> None:
    async def save(real: Any, slot: Slot, data: bytes) -> None:
        try:
            await real(slot, data)
        except asyncio.CancelledError:
            await real(slot, data[:10])
            raise

    patch(platform.port(Storage), "save", save)


@fault("Storage.only_the_owner_can_read_it", "it must be 0600")
def what_is_stored_is_world_readable(platform: MockPlatform) -> None:
    storage: Any = platform.port(Storage)

    async def save(real: Any, slot: Slot, data: bytes) -> None:
        await real(slot, data)
        folder = next(value for value in vars(storage).values() if isinstance(value, Path))
        for file in folder.iterdir():
            file.chmod(0o644)

    patch(storage, "save", save)


@fault("Storage.it_survives_a_restart", "what was saved is")
def what_is_stored_lives_in_memory_only(platform: MockPlatform) -> None:
    slots: dict[Slot, bytes] = {}
    storage = platform.port(Storage)

    async def save(_: Any, slot: Slot, data: bytes) -> None:
        slots[slot] = bytes(data)

    async def load(_: Any, slot: Slot) -> bytes | None:
        return slots.get(slot)

    async def erase(_: Any, slot: Slot) -> None:
        slots.pop(slot, None)

    for verb, run in (("save", save), ("load", load), ("erase", erase)):
        patch(storage, verb, run)


@fault("Storage.erase_is_idempotent_and_hits_one_slot", "erasing one slot changed another")
def erase_takes_everything(platform: MockPlatform) -> None:
    async def erase(real: Any, _: Slot) -> None:
        for slot in Slot:
            await real(slot)

    patch(platform.port(Storage), "erase", erase)


@fault(
    "Storage.a_crash_in_the_middle_of_a_save_leaves_the_old_content",
    "a save writes into",
)
def a_save_writes_in_place(platform: MockPlatform) -> None:
    folder = platform.port(Storage)._folder  # type: ignore[attr-defined]

    async def save(_: Any, slot: Slot, data: bytes) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / slot.value).write_bytes(data)

    patch(platform.port(Storage), "save", save)


@fault("Udp.datagrams_go_both_ways_with_the_address_of_their_header", "9000 octets were sent, 1472 came")
def a_datagram_of_several_packets_is_cut(platform: MockPlatform) -> None:
    async def receive(real: Any) -> Datagram:
        return attrs.evolve(datagram := await real(), data=datagram.data[:1472])

    endpoints(platform, lambda endpoint: patch(endpoint, "receive", receive))
