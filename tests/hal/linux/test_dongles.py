"""Dongles, with USB devices of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from qiot.errors import NotSupportedError
from qiot.hal.linux import dongles
from qiot.hal.linux.dongles import KNOWN, Kind, find_dongles, hint_of


@attrs.frozen
class Interface:
    bInterfaceClass: int  # noqa: N815 - USB's name
    bInterfaceSubClass: int = 1  # noqa: N815 - USB's name
    bInterfaceProtocol: int = 1  # noqa: N815 - USB's name


@attrs.define
class Device:
    """As pyusb gives it."""

    idVendor: int  # noqa: N815 - USB's name
    idProduct: int  # noqa: N815 - USB's name
    bDeviceClass: int = 0  # noqa: N815 - USB's name
    bDeviceSubClass: int = 1  # noqa: N815 - USB's name
    bDeviceProtocol: int = 1  # noqa: N815 - USB's name
    interfaces: list[Interface] = attrs.field(factory=list)
    bus: int = 1
    address: int = 2
    name: str | None = "a thing"

    @property
    def product(self) -> str:
        if self.name is None:
            raise ValueError("the device has no langid")
        return self.name

    def __iter__(self) -> Iterator[list[Interface]]:
        yield self.interfaces


CSR = Device(0x0A12, 0x0001, 0xE0)
WIFI = Device(0x0CF3, 0x9271, 0xFF, bus=2)
STICK = Device(0x1234, 0x5678, 0x08)


def finding(*devices: Any):
    return lambda: list(devices)


def test_what_is_known_is_told() -> None:
    bluetooth, wifi = find_dongles(finding(WIFI, STICK, CSR))
    assert (bluetooth.kind, wifi.kind) == (Kind.BLUETOOTH, Kind.WIFI)
    assert str(wifi) == (
        "AR9271 (0cf3:9271): driver ath9k_htc, monitor mode, access point, firmware firmware-ath9k-htc"
    )
    assert "CSR8510 A10 (0a12:0001): driver btusb, LE peripheral" in str(bluetooth)


def test_bluetooth_that_is_not_in_the_table_is_found_by_its_class() -> None:
    plain = Device(0x9999, 1, 0xE0, name=None)
    combined = Device(0x9999, 2, 0xEF, interfaces=[Interface(0xFF), Interface(0xE0)])
    audio = Device(0x9999, 3, 0xEF, interfaces=[Interface(0x01)])
    found = find_dongles(finding(plain, combined, audio))
    assert [each.product for each in found] == [1, 2]
    assert all(each.model is None for each in found)
    assert str(found[0]) == "unknown chip (9999:0001): Bluetooth, not in our table"
    assert str(found[1]).startswith("a thing (9999:0002)")


def test_the_hint_says_what_can_be_done() -> None:
    assert "--hal bumble:usb:0" in hint_of(finding(CSR))
    assert "Take another one" in hint_of(finding(Device(0x0A5C, 0x2101, 0xE0)))
    assert hint_of(finding(WIFI, STICK)) == ""


def test_no_libusb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usb.backend.libusb1.get_backend", lambda **_: None)
    monkeypatch.setattr(dongles, "_packaged_backend", lambda: None)
    with pytest.raises(NotSupportedError, match="no libusb") as caught:
        find_dongles()
    assert "libusb-1.0-0" in caught.value.hint
    assert hint_of() == ""


def test_the_table() -> None:
    for (vendor, product), model in KNOWN.items():
        assert 0 < vendor < 0x10000
        assert 0 <= product < 0x10000
        assert model.chip
        assert (model.monitor is None) == (model.kind is Kind.BLUETOOTH)
        assert (model.peripheral is None) == (model.kind is Kind.WIFI)
