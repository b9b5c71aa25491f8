"""A bare Bluetooth controller as a platform."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Final, cast

from qiot.errors import ConfigurationError, HalError, MediumError, NotSupportedError
from qiot.finishing import cancellable
from qiot.hal.bumble.gatt import BumbleGatt
from qiot.hal.contract import BtCombo, Capabilities, Combination, Gatt, Platform, PortT, Role
from qiot.hal.registry import PlatformSpec
from qiot.model import Reason
from qiot.sim.bluetooth import bumble_installed
from qiot.wifi_config.drivers.btcombo import GattBtCombo

if TYPE_CHECKING:
    from bumble.device import Device

__all__ = ["INSTALL", "BumblePlatform"]

INSTALL: Final = "Install it: pip install 'qiot[bumble]'."
_OPEN_LIMIT: Final = 15.0
_SPEC_HINT: Final = (
    "Write --hal bumble:usb:0 for the first USB dongle, bumble:usb:0a12:0001, "
    "bumble:serial:/dev/ttyUSB0,115200, or any other transport of bumble."
)


class BumblePlatform(Platform):
    """`bumble:TRANSPORT`, such as `bumble:usb:0`: Bluetooth alone, to be put beside another platform.

    The controller is taken from the kernel while it is used (its driver is detached from a USB dongle), and
    given back on stop.

    Raises:
        ConfigurationError: No transport is named.
        NotSupportedError: bumble is not installed.
    """

    def __init__(self, spec: PlatformSpec) -> None:
        if not spec.argument:
            raise ConfigurationError("--hal bumble: which controller?", hint=_SPEC_HINT)
        if not bumble_installed():
            raise NotSupportedError("--hal bumble: bumble is not installed", hint=INSTALL)
        self._transport = spec.argument
        self._gatt = BumbleGatt(self._device)
        self._btcombo: GattBtCombo | None = None

    async def capabilities(self) -> Capabilities:
        """BLE, where the controller opens and answers.

        Raises:
            HalError: It does not.
        """
        await self._gatt.address()
        return Capabilities((Combination(frozenset({Role.BLE})),))

    def port(self, kind: type[PortT]) -> PortT:
        """`Gatt` and `BtCombo`."""
        if kind is Gatt:
            return cast(PortT, self._gatt)
        if kind is BtCombo:
            self._btcombo = self._btcombo or GattBtCombo(self._gatt)
            return cast(PortT, self._btcombo)
        raise NotSupportedError(
            f"{kind.__name__}: a Bluetooth controller has no such port",
            hint="Put it beside another platform: --hal linux:wlan0 --hal bumble:usb:0.",
        )

    async def close(self) -> None:
        """Stop, and give the controller back."""
        if self._btcombo is not None:
            await self._btcombo.stop()
        await self._gatt.stop()

    @contextlib.asynccontextmanager
    async def _device(self) -> AsyncGenerator[Device, None]:
        await asyncio.to_thread(importlib.import_module, "bumble.device")  # a second on a small board
        from bumble.device import Device
        from bumble.hci import Address

        transport: Any = None
        try:
            try:
                async with asyncio.timeout(_OPEN_LIMIT):
                    transport = await _open(self._transport)
                    device = Device.with_hci(
                        "qiot", Address.generate_static_address(), transport.source, transport.sink
                    )
                    await cancellable(device.power_on())
            except TimeoutError:
                raise MediumError(
                    f"the Bluetooth controller {self._transport} does not answer",
                    hint="Plug it in anew; nothing else may use it (systemctl stop bluetooth).",
                ) from None
            yield device
            with contextlib.suppress(Exception):
                await device.power_off()
        finally:
            if transport is not None:
                await transport.close()


async def _open(name: str) -> Any:
    """Open a transport of bumble; its errors become ours."""
    from bumble.transport import open_transport

    try:
        return await open_transport(name)
    except HalError:
        raise
    except PermissionError as error:
        raise MediumError(
            f"--hal bumble:{name}: {error}",
            reason=Reason.NO_PERMISSION,
            hint="Run as root, or give your user the device by a udev rule.",
        ) from None
    except ImportError as error:
        raise NotSupportedError(f"--hal bumble:{name}: {error}", hint=INSTALL) from None
    except Exception as error:  # noqa: BLE001 - each transport of bumble has errors of its own
        text = str(error) or type(error).__name__
        raise MediumError(f"--hal bumble:{name} does not open: {text}", hint=_SPEC_HINT) from None
