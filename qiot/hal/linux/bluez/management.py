"""Advertisements by the kernel's Bluetooth management interface: exact octets, scan response and all.

BlueZ 5.66 makes its advertisements from properties and cannot put manufacturer data into the scan response;
the kernel takes both as they are (BlueZ's doc/mgmt-api.txt). It wants CAP_NET_ADMIN.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import socket
import struct
from typing import Final

from qiot.errors import HalError, MediumError
from qiot.model import Reason

__all__ = ["Management"]

_AF_BLUETOOTH: Final = 31
_BTPROTO_HCI: Final = 1
_NO_DEVICE: Final = 0xFFFF
_CHANNEL_CONTROL: Final = 3

# Commands and events of mgmt-api.txt.
_READ_FEATURES: Final = 0x003D
_ADD: Final = 0x003E
_REMOVE: Final = 0x003F
_ADD_PARAMETERS: Final = 0x0054
_ADD_DATA: Final = 0x0055
_COMPLETE: Final = 0x0001
_STATUS: Final = 0x0002
_HEAD: Final = struct.Struct("<HHH")

_CONNECTABLE: Final = 1 << 0
_WITH_INTERVALS: Final = 1 << 14
_INTERVAL: Final = (48, 96)
"""30 to 60 ms in units of 0.625 ms, so that phones find us at once; the kernel's own is 1.28 s."""
_ANSWER_LIMIT: Final = 5.0
_UNKNOWN_COMMAND: Final = 0x01
_INVALID_PARAMETERS: Final = 0x0D
_NOT_POWERED: Final = 0x0F


class Management:
    """The management socket, for one adapter.

    Args:
        index: Its number, 0 for hci0.
    """

    def __init__(self, index: int) -> None:
        self._index = index
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Open the socket.

        Raises:
            MediumError: The kernel has no Bluetooth, or this process may not (NO_PERMISSION).
        """
        try:
            # The descriptor is only kept by this object: Python may be built without Bluetooth.
            opened = socket.socket(_AF_BLUETOOTH, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _BTPROTO_HCI)
        except OSError as error:
            raise _failed(error) from None
        address = struct.pack("=HHH", _AF_BLUETOOTH, _NO_DEVICE, _CHANNEL_CONTROL)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.bind(opened.fileno(), address, len(address)):
            number = ctypes.get_errno()
            opened.close()
            raise _failed(OSError(number, os.strerror(number)))
        self._socket = opened

    def close(self) -> None:
        """Close it. Idempotent; advertisements stay."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def free_instance(self) -> int:
        """A number for an advertisement that nobody uses; BlueZ gives its own from below.

        Raises:
            HalError: The controller has no advertisement left.
        """
        answer = await self._call(_READ_FEATURES)
        most, used = answer[6], set(answer[8 : 8 + answer[7]])
        free = set(range(1, most + 1)) - used
        if not free:
            raise HalError(f"hci{self._index} has no advertisement left, {most} are in use")
        return max(free)

    async def advertise(self, instance: int, advertising: bytes, scan_response: bytes) -> None:
        """Advertise these very octets, so that one can connect.

        Raises:
            HalError: The kernel refuses.
        """
        lengths = struct.pack("<BB", len(advertising), len(scan_response))
        data = lengths + advertising + scan_response
        parameters = struct.pack("<BIHHIIb", instance, _CONNECTABLE | _WITH_INTERVALS, 0, 0, *_INTERVAL, 127)
        try:
            await self._call(_ADD_PARAMETERS, parameters)
        except MediumError as error:
            if error.code not in (_UNKNOWN_COMMAND, _INVALID_PARAMETERS):
                raise
            # A kernel before 5.11: all in one, with its own interval.
            await self._call(_ADD, struct.pack("<BIHH", instance, _CONNECTABLE, 0, 0) + data)
            return
        try:
            await self._call(_ADD_DATA, struct.pack("<B", instance) + data)
        except BaseException:
            with contextlib.suppress(HalError):
                await self.remove(instance)
            raise

    async def remove(self, instance: int) -> None:
        """Stop advertising it. Idempotent."""
        try:
            await self._call(_REMOVE, struct.pack("<B", instance))
        except MediumError as error:
            if error.code not in (_INVALID_PARAMETERS, _NOT_POWERED):  # it is gone
                raise

    async def _call(self, command: int, parameters: bytes = b"") -> bytes:
        if self._socket is None:
            self.open()
        opened = self._socket
        if opened is None:
            raise AssertionError("open has made it")
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(opened, _HEAD.pack(command, self._index, len(parameters)) + parameters)
        try:
            async with asyncio.timeout(_ANSWER_LIMIT):
                while True:
                    answer = _answer_of(await loop.sock_recv(opened, 4096), command, self._index)
                    if answer is not None:
                        break
        except TimeoutError:
            raise HalError(f"the kernel did not answer for hci{self._index}") from None
        status, body = answer
        if status:
            raise MediumError(
                f"hci{self._index}: the kernel refuses the advertisement, status {status}",
                code=status,
                hint="See doc/mgmt-api.txt of BlueZ for the status; is the adapter powered?",
            )
        return body


def _answer_of(packet: bytes, command: int, index: int) -> tuple[int, bytes] | None:
    """Status and body, where this event answers the command."""
    event, of, length = _HEAD.unpack_from(packet)
    body = packet[_HEAD.size : _HEAD.size + length]
    if event not in (_COMPLETE, _STATUS) or of != index or struct.unpack_from("<H", body)[0] != command:
        return None
    return body[2], body[3:]


def _failed(error: OSError) -> MediumError:
    refused = error.errno in (errno.EPERM, errno.EACCES)
    return MediumError(
        f"the kernel's Bluetooth management cannot be used: {error.strerror}",
        reason=Reason.NO_PERMISSION if refused else None,
        code=error.errno,
        hint="Run as root, or give the program CAP_NET_ADMIN." if refused else "modprobe bluetooth.",
    )
