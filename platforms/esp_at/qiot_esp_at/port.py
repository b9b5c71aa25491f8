"""The serial port: octets in and out on the running loop, opened for nobody else."""

from __future__ import annotations

import asyncio
import errno
import importlib
import os
from collections.abc import Callable
from typing import Any

from qiot.errors import MediumError
from qiot.model import Reason

__all__ = ["SerialPort"]


class SerialPort:
    """One serial port.

    Args:
        device: Its file, such as "/dev/ttyUSB0".
        baud: Bits per second.
        on_data: Gets what comes in.
        on_gone: Told once, when the port is gone.
    """

    def __init__(
        self,
        device: str,
        baud: int,
        *,
        on_data: Callable[[bytes], None],
        on_gone: Callable[[MediumError], None],
    ) -> None:
        self._device = device
        self._baud = baud
        self._on_data = on_data
        self._on_gone = on_gone
        self._serial: Any = None
        self._descriptor = -1

    @property
    def is_open(self) -> bool:
        """True until it is closed or gone."""
        return self._descriptor >= 0

    async def open(self) -> None:
        """Open it.

        Raises:
            MediumError: There is no such port, we may not, or somebody else has it.
        """
        if self.is_open:
            return
        serial = await asyncio.to_thread(importlib.import_module, "serial")

        opening = asyncio.ensure_future(
            asyncio.to_thread(
                serial.Serial, self._device, self._baud, timeout=0, write_timeout=0, exclusive=True
            )
        )
        try:
            opened = await asyncio.shield(opening)
        except asyncio.CancelledError:
            await asyncio.wait({opening})  # a thread cannot be cancelled, and must not keep the port
            if opening.exception() is None:
                opening.result().close()
            raise
        except (OSError, ValueError) as error:  # pyserial's own error is an OSError
            raise _refused(self._device, error) from None
        self._serial = opened
        self._descriptor = opened.fileno()
        os.set_blocking(self._descriptor, False)
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)

    async def write(self, data: bytes) -> None:
        """Send octets; returns when the system has all of them.

        Raises:
            MediumError: The port is closed or gone.
        """
        rest = memoryview(data)
        while rest:
            if not self.is_open:
                raise MediumError(f"{self._device} is closed")
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                await self._room()
            except OSError as error:
                raise self._lost(error) from None

    def close(self) -> None:
        """Close it. Idempotent."""
        if self.is_open:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            asyncio.get_running_loop().remove_writer(self._descriptor)
            self._descriptor = -1
            opened, self._serial = self._serial, None
            opened.close()

    async def _room(self) -> None:
        loop = asyncio.get_running_loop()
        free = asyncio.Event()
        descriptor = self._descriptor
        loop.add_writer(descriptor, free.set)
        try:
            await free.wait()
        finally:
            if self._descriptor == descriptor:
                loop.remove_writer(descriptor)

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, 65536)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(error)
            return
        if data:
            self._on_data(data)
        else:
            self._lost(OSError(errno.EIO, os.strerror(errno.EIO)))

    def _lost(self, error: OSError) -> MediumError:
        lost = MediumError(
            f"{self._device} is gone: {error.strerror}",
            code=error.errno,
            hint="Check the module's cable and supply.",
        )
        if self.is_open:
            self.close()
            self._on_gone(lost)
        return lost


def _refused(device: str, error: Exception) -> MediumError:
    code = getattr(error, "errno", None)
    if code in (errno.EACCES, errno.EPERM):
        return MediumError(
            f"{device}: no permission",
            reason=Reason.NO_PERMISSION,
            code=code,
            hint="Join the group dialout, or run as root.",
        )
    if code in (errno.EAGAIN, errno.EBUSY):
        return MediumError(
            f"{device} is in use by another program",
            reason=Reason.PORT_BUSY,
            code=code,
            hint=f"`fuser {device}` shows it.",
        )
    if code == errno.ENOENT:
        return MediumError(
            f"there is no port {device}", code=code, hint="`ls /dev/ttyUSB* /dev/ttyACM*` shows those here."
        )
    return MediumError(f"{device} cannot be opened: {getattr(error, 'strerror', None) or error}", code=code)
