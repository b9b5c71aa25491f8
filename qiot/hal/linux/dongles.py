"""USB adapters for Bluetooth and Wi-Fi, and what is known of them.

The kernel says what a working adapter can do. This says what is plugged in, also where no driver has taken
it, so that a hint can name what is missing.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from qiot.errors import NotSupportedError

__all__ = ["KNOWN", "Dongle", "Kind", "Model", "find_dongles", "hint_of"]

_BLUETOOTH_CLASS: Final = (0xE0, 0x01, 0x01)
"""Wireless controller, radio frequency, Bluetooth programming interface (usb.org, class codes)."""
_INSTALL: Final = "Install libusb (apt install libusb-1.0-0), or pip install libusb-package."


class Kind(enum.StrEnum):
    """What an adapter is for."""

    BLUETOOTH = "bluetooth"
    WIFI = "wifi"


@attrs.frozen
class Model:
    """What is known of a chip.

    Attributes:
        kind: Bluetooth or Wi-Fi.
        chip: Its name.
        driver: The kernel's driver.
        monitor: Wi-Fi: hears the air in monitor mode; None where that is not known.
        access_point: Wi-Fi: can be an access point.
        peripheral: Bluetooth: can be an LE peripheral; False for Bluetooth before 4.0.
        firmware: Debian's package of the firmware that it needs; empty for none.
        note: What else one should know.
    """

    kind: Kind
    chip: str
    driver: str
    monitor: bool | None = None
    access_point: bool | None = None
    peripheral: bool | None = None
    firmware: str = ""
    note: str = ""


def _wifi(
    chip: str, driver: str, *, monitor: bool, access_point: bool, firmware: str = "", note: str = ""
) -> Model:
    return Model(
        Kind.WIFI, chip, driver, monitor=monitor, access_point=access_point, firmware=firmware, note=note
    )


def _bluetooth(chip: str, *, peripheral: bool = True, firmware: str = "", note: str = "") -> Model:
    return Model(Kind.BLUETOOTH, chip, "btusb", peripheral=peripheral, firmware=firmware, note=note)


_ATHEROS: Final = "firmware-ath9k-htc"
_MEDIATEK: Final = "firmware-misc-nonfree"
_REALTEK: Final = "firmware-realtek"

KNOWN: Final[Mapping[tuple[int, int], Model]] = {
    (0x0CF3, 0x9271): _wifi("AR9271", "ath9k_htc", monitor=True, access_point=True, firmware=_ATHEROS),
    (0x0CF3, 0x7015): _wifi("AR7010+AR9287", "ath9k_htc", monitor=True, access_point=True, firmware=_ATHEROS),
    (0x148F, 0x5370): _wifi("RT5370", "rt2800usb", monitor=True, access_point=True, firmware=_MEDIATEK),
    (0x148F, 0x3070): _wifi("RT3070", "rt2800usb", monitor=True, access_point=True, firmware=_MEDIATEK),
    (0x148F, 0x5572): _wifi("RT5572", "rt2800usb", monitor=True, access_point=True, firmware=_MEDIATEK),
    (0x148F, 0x7601): _wifi(
        "MT7601U", "mt7601u", monitor=True, access_point=False, firmware=_MEDIATEK, note="no access point"
    ),
    (0x0E8D, 0x7610): _wifi("MT7610U", "mt76x0u", monitor=True, access_point=True, firmware=_MEDIATEK),
    (0x0E8D, 0x7612): _wifi("MT7612U", "mt76x2u", monitor=True, access_point=True, firmware=_MEDIATEK),
    (0x0E8D, 0x7961): _wifi("MT7921AU", "mt7921u", monitor=True, access_point=True, firmware=_MEDIATEK),
    (0x0BDA, 0x8187): _wifi("RTL8187", "rtl8187", monitor=True, access_point=False),
    (0x0BDA, 0x8176): _wifi("RTL8188CUS", "rtl8xxxu", monitor=True, access_point=False, firmware=_REALTEK),
    (0x0BDA, 0x8178): _wifi("RTL8192CU", "rtl8xxxu", monitor=True, access_point=False, firmware=_REALTEK),
    (0x0BDA, 0x8179): _wifi("RTL8188EU", "rtl8xxxu", monitor=True, access_point=False, firmware=_REALTEK),
    (0x0BDA, 0xF179): _wifi("RTL8188FU", "rtl8xxxu", monitor=True, access_point=False, firmware=_REALTEK),
    (0x0BDA, 0xB812): _wifi(
        "RTL8812BU",
        "rtw88_8822bu",
        monitor=True,
        access_point=True,
        firmware=_REALTEK,
        note="Linux 6.2 or newer",
    ),
    (0x0A12, 0x0001): _bluetooth("CSR8510 A10", note="clones of it answer badly; another dongle helps"),
    (0x0A5C, 0x21E8): _bluetooth("BCM20702A0", note="may want a .hcd firmware file"),
    (0x0A5C, 0x2101): _bluetooth("BCM2045", peripheral=False, note="Bluetooth 2.0: no LE"),
    (0x0BDA, 0x8771): _bluetooth("RTL8761BU", firmware=_REALTEK),
    (0x2357, 0x0604): _bluetooth("RTL8761BU (TP-Link UB500)", firmware=_REALTEK),
    (0x0B05, 0x190E): _bluetooth("RTL8761BU (ASUS USB-BT500)", firmware=_REALTEK),
    (0x0B05, 0x17CB): _bluetooth("BCM20702A0 (ASUS USB-BT400)", note="may want a .hcd firmware file"),
    (0x8087, 0x0A2B): _bluetooth("Intel 8265", firmware="firmware-iwlwifi"),
    (0x8087, 0x0029): _bluetooth("Intel AX200", firmware="firmware-iwlwifi"),
    (0x0E8D, 0x0608): _bluetooth("MT7921", firmware=_MEDIATEK),
    (0x0CF3, 0xE300): _bluetooth("QCA6174", firmware="firmware-atheros"),
}
"""Adapters by vendor and product, from the kernel's tables of USB ids (6.1) and the modes of its drivers."""


@attrs.frozen
class Dongle:
    """An adapter that is plugged in.

    Attributes:
        vendor: USB vendor id.
        product: USB product id.
        bus: Number of the USB bus.
        address: Number on that bus.
        kind: Bluetooth or Wi-Fi.
        model: What is known of it; None for a Bluetooth adapter that is not in the table.
        name: What it calls itself; empty where it does not say, or we may not ask.
    """

    vendor: int
    product: int
    bus: int
    address: int
    kind: Kind
    model: Model | None
    name: str = ""

    def __str__(self) -> str:
        chip = self.model.chip if self.model is not None else self.name or "unknown chip"
        return f"{chip} ({self.vendor:04x}:{self.product:04x}): {', '.join(self._abilities())}"

    def _abilities(self) -> list[str]:
        model = self.model
        if model is None:
            return ["Bluetooth, not in our table"]
        words = [f"driver {model.driver}"]
        for able, what in (
            (model.monitor, "monitor mode"),
            (model.access_point, "access point"),
            (model.peripheral, "LE peripheral"),
        ):
            if able is not None:
                words.append(what if able else f"no {what}")
        words += [f"firmware {model.firmware}"] if model.firmware else []
        return words + ([model.note] if model.note else [])


def find_dongles(find: Callable[[], Iterable[Any]] | None = None) -> Sequence[Dongle]:
    """Every USB adapter for Bluetooth or Wi-Fi that we know; blocking, for a thread.

    Args:
        find: Gives pyusb's devices; libusb by default.

    Raises:
        NotSupportedError: There is no libusb, or no USB at all.
    """
    with contextlib.ExitStack() as stack:
        devices = find() if find is not None else stack.enter_context(_devices())
        found = [dongle for device in devices if (dongle := _dongle(device)) is not None]
    return sorted(found, key=lambda each: (each.kind, each.bus, each.address))


def hint_of(find: Callable[[], Iterable[Any]] | None = None) -> str:
    """One sentence on the Bluetooth dongles that are plugged in, for a hint; empty where there are none."""
    try:
        dongles = [each for each in find_dongles(find) if each.kind is Kind.BLUETOOTH]
    except NotSupportedError:
        return ""
    if not dongles:
        return ""
    able = [each for each in dongles if each.model is None or each.model.peripheral]
    advice = " bumble can use it without BlueZ: --hal bumble:usb:0." if able else " Take another one."
    return f"Plugged in: {'; '.join(map(str, dongles))}.{advice}"


@contextlib.contextmanager
def _devices() -> Iterator[Iterable[Any]]:
    import usb.backend.libusb1 as libusb
    import usb.core

    backend = libusb.get_backend() or _packaged_backend()
    if backend is None:
        raise NotSupportedError("USB cannot be looked at: there is no libusb", hint=_INSTALL)
    try:
        found: Any = usb.core.find(find_all=True, backend=backend)
        yield found
    except usb.core.USBError as error:
        raise NotSupportedError(f"USB cannot be looked at: {error}", hint=_INSTALL) from None
    finally:
        # pyusb would keep libusb's descriptors for as long as the process runs.
        libusb.__dict__["_lib_object"] = None
        backend.finalize()


def _packaged_backend() -> Any:
    """The libusb of the package libusb-package, which bumble brings along."""
    import usb.backend.libusb1

    try:
        import libusb_package
    except ImportError:
        return None
    return usb.backend.libusb1.get_backend(find_library=libusb_package.find_library)


def _dongle(device: Any) -> Dongle | None:
    model = KNOWN.get((device.idVendor, device.idProduct))
    if model is None and not _is_bluetooth(device):
        return None
    return Dongle(
        vendor=device.idVendor,
        product=device.idProduct,
        bus=device.bus or 0,
        address=device.address or 0,
        kind=model.kind if model is not None else Kind.BLUETOOTH,
        model=model,
        name=_name(device),
    )


def _is_bluetooth(device: Any) -> bool:
    """By the class of the device, or of its first interface where that says it (combined chips)."""
    own = (device.bDeviceClass, device.bDeviceSubClass, device.bDeviceProtocol)
    if own == _BLUETOOTH_CLASS:
        return True
    try:
        interfaces = [each for configuration in device for each in configuration]
    except Exception:  # noqa: BLE001 - a device that is just being unplugged, or may not be read
        return False
    return any(
        (each.bInterfaceClass, each.bInterfaceSubClass, each.bInterfaceProtocol) == _BLUETOOTH_CLASS
        for each in interfaces
    )


def _name(device: Any) -> str:
    try:
        return str(device.product or "")
    except Exception:  # noqa: BLE001 - asking for the name needs rights that looking does not
        return ""
