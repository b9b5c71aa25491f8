"""Netlink on the running loop: requests with their answers, and what the kernel tells to groups.

pyroute2 writes and reads the messages; its sockets are not used. Those of 0.7 block, those of 0.9 bring a
loop of their own for each thread, and neither lets go of a request that is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib
import os
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

__all__ = ["ROUTE", "WIRELESS", "Family", "Netlink", "Packet", "codec", "find_family"]

ROUTE: Final = 0
"""NETLINK_ROUTE (linux/netlink.h)."""
WIRELESS: Final = 16
"""NETLINK_GENERIC, which carries nl80211 (linux/netlink.h)."""

# Flags and kinds of messages, struct nlmsghdr, socket options: linux/netlink.h.
REQUEST: Final = 0x01
ACK: Final = 0x04
_DUMP_INTERRUPTED: Final = 0x10
_ERROR_HAS_ATTRIBUTES: Final = 0x200
DUMP: Final = 0x300
_ERROR: Final = 2
_DONE: Final = 3
_HEADER: Final = struct.Struct("=IHHII")
_NUMBER: Final = struct.Struct("=i")
_ATTRIBUTE: Final = struct.Struct("=HH")
_ERROR_TEXT: Final = 1
_SOL_NETLINK: Final = 270
_ADD_MEMBERSHIP: Final = 1
_CAP_ACK: Final = 10
_EXT_ACK: Final = 11

_RECEIVE: Final = 1 << 16
"""Larger than the largest piece of a dump (32 KiB, net/netlink/af_netlink.c)."""
_DUMP_TRIES: Final = 5

_CONTROLLER: Final = 16
"""GENL_ID_CTRL (linux/genetlink.h)."""
_GET_FAMILY: Final = 3

PyrouteMessage: TypeAlias = Any
"""A message class of pyroute2, which is not typed."""


@attrs.frozen
class Packet:
    """One message.

    Attributes:
        kind: Type of its header.
        data: All of it, header first, as pyroute2's classes read it.
    """

    kind: int
    data: bytes


@attrs.frozen
class Family:
    """A generic netlink family.

    Attributes:
        number: Kind of its messages.
        groups: Multicast groups by their name.
    """

    number: int
    groups: Mapping[str, int] = attrs.field(hash=False)


class Netlink:
    """One socket. Opened at the first request; one request at a time.

    Args:
        protocol: `ROUTE` or `WIRELESS`.
        groups: Multicast groups to hear.
    """

    def __init__(self, protocol: int, groups: Sequence[int] = ()) -> None:
        self._protocol = protocol
        self._groups = groups
        self._socket: socket.socket | None = None
        self._sequence = 0
        self._turn = asyncio.Lock()

    async def ask(self, message: PyrouteMessage, kind: int, *, dump: bool = False) -> Sequence[Packet]:
        """Send a request; gives what the kernel answers before it says done.

        Raises:
            OSError: The kernel refused; the text is its own where it gives one.
        """
        async with self._turn:
            for last in range(1 - _DUMP_TRIES, 1):
                sequence = self._send(message, kind, DUMP if dump else ACK)
                answers, interrupted = await self._answers(sequence)
                if not interrupted:
                    return answers
                if not last:
                    break
        raise OSError(errno.EINTR, "the kernel's list changed whenever it was read")

    def post(self, message: PyrouteMessage, kind: int) -> None:
        """Send a request whose answer nobody waits for, as when a verb is cancelled."""
        self._send(message, kind, 0)

    async def heard(self) -> Sequence[Packet]:
        """Wait for and give what the kernel tells to the groups.

        Raises:
            OSError: ENOBUFS where messages were lost.
        """
        data = await asyncio.get_running_loop().sock_recv(self.open(), _RECEIVE)
        return [packet for packet, _, _ in _split(data)]

    def forget(self) -> None:
        """Leave what was told up to now unread."""
        opened = self.open()
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    opened.recv(_RECEIVE)
                except OSError as error:
                    if error.errno != errno.ENOBUFS:
                        raise

    def open(self) -> socket.socket:
        """The socket; from now on it hears its groups.

        Raises:
            OSError: The kernel has no such protocol or group.
        """
        if self._socket is None:
            opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, self._protocol)
            try:
                opened.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
                opened.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
                opened.bind((0, 0))
                for group in self._groups:
                    opened.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
            except BaseException:
                opened.close()
                raise
            self._socket = opened
        return self._socket

    def close(self) -> None:
        """Close it. Idempotent; the next request opens it again."""
        opened, self._socket = self._socket, None
        if opened is not None:
            opened.close()

    def _send(self, message: PyrouteMessage, kind: int, flags: int) -> int:
        self._sequence += 1
        header = message["header"]
        header["type"] = kind
        header["flags"] = REQUEST | flags
        header["sequence_number"] = self._sequence
        message.reset()
        message.encode()
        self.open().send(message.data)
        return self._sequence

    async def _answers(self, sequence: int) -> tuple[Sequence[Packet], bool]:
        """The answers to one request, and whether the list changed while it was read."""
        answers: list[Packet] = []
        interrupted = False
        loop = asyncio.get_running_loop()
        while True:
            for packet, number, flags in _split(await loop.sock_recv(self.open(), _RECEIVE)):
                if number != sequence:
                    continue  # the rest of a request that was cancelled
                interrupted = interrupted or bool(flags & _DUMP_INTERRUPTED)
                if packet.kind not in {_ERROR, _DONE}:
                    answers.append(packet)
                    continue
                _raise_error(packet.data, flags)
                return answers, interrupted


def _split(data: bytes) -> Sequence[tuple[Packet, int, int]]:
    """The messages of one datagram, each with its sequence number and flags."""
    found: list[tuple[Packet, int, int]] = []
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > len(data):
            break
        found.append((Packet(kind, data[offset : offset + length]), sequence, flags))
        offset += (length + 3) & ~3
    return found


def _raise_error(data: bytes, flags: int) -> None:
    """Raise what an error message says; a zero is an acknowledgement (struct nlmsgerr)."""
    if len(data) < _HEADER.size + _NUMBER.size:
        return
    (code,) = _NUMBER.unpack_from(data, _HEADER.size)
    if code >= 0:
        return
    text = ""
    if flags & _ERROR_HAS_ATTRIBUTES:
        # The request's header follows the number; NETLINK_CAP_ACK leaves its body out.
        for kind, value in _attributes(data, _HEADER.size + _NUMBER.size + _HEADER.size):
            if kind == _ERROR_TEXT:
                text = value.rstrip(b"\0").decode(errors="replace")
    raise OSError(-code, text or os.strerror(-code))


def _attributes(data: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            return
        yield kind, data[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3


_codecs: Final[dict[str, Any]] = {}


async def codec(name: str = "") -> Any:
    """A module of pyroute2.netlink, imported in a thread: it takes a second on a small board."""
    if name not in _codecs:
        full = f"pyroute2.netlink.{name}".rstrip(".")
        _codecs[name] = await asyncio.to_thread(importlib.import_module, full)
    return _codecs[name]


async def find_family(netlink: Netlink, name: str) -> Family:
    """Ask the kernel for a generic netlink family.

    Raises:
        OSError: ENOENT where it has none.
    """
    ctrlmsg = (await codec()).ctrlmsg
    message = ctrlmsg()
    message["cmd"] = _GET_FAMILY
    message["version"] = 1
    message["attrs"] = [("CTRL_ATTR_FAMILY_NAME", name)]
    for packet in await netlink.ask(message, _CONTROLLER):
        answer: PyrouteMessage = ctrlmsg(packet.data)
        answer.decode()
        groups = answer.get_attr("CTRL_ATTR_MCAST_GROUPS") or []
        return Family(
            number=answer.get_attr("CTRL_ATTR_FAMILY_ID"),
            groups={
                each.get_attr("CTRL_ATTR_MCAST_GRP_NAME"): each.get_attr("CTRL_ATTR_MCAST_GRP_ID")
                for each in groups
            },
        )
    raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
