"""USB gadgets, as pyusb sees them."""

from __future__ import annotations

from typing import Any

import pytest
import usb.core
import usb.util

from lab.support.bench import Bench
from lab.support.traces import traces
from lab.support.usb import Gadget
from lab.support.waiting import until

REALTEK = Gadget(0x0BDA, 0x8179, manufacturer="Realtek", name="802.11n NIC", serial="00E04C0001")
CSR = Gadget(
    0x0A12, 0x0001, manufacturer="Cambridge Silicon Radio", name="CSR8510 A10", device_class=0xE0, port=1
)


@pytest.mark.duration(5)
def test_gadgets_are_enumerated() -> None:
    before = traces()
    with Bench() as bench:
        bench.usb_ports(2)
        assert look(0x0BDA, 0x8179) is None
        bench.usb(REALTEK)
        bench.usb(CSR)
        first = until(lambda: look(0x0BDA, 0x8179), "the first gadget is enumerated")
        assert (first.bDeviceClass, texts(first)) == (0xFF, ["Realtek", "802.11n NIC", "00E04C0001"])
        second = until(lambda: look(0x0A12, 0x0001), "the second gadget is enumerated")
        assert (second.bDeviceClass, texts(second)) == (
            0xE0,
            ["Cambridge Silicon Radio", "CSR8510 A10", "1"],
        )
        REALTEK.unplug()
        until(lambda: look(0x0BDA, 0x8179) is None, "the first gadget is gone")
    assert traces() == before


def look(vendor: int, product: int) -> Any:
    return usb.core.find(idVendor=vendor, idProduct=product)


def texts(device: Any) -> list[str]:
    try:
        indexes = (device.iManufacturer, device.iProduct, device.iSerialNumber)
        return [usb.util.get_string(device, index) for index in indexes]
    finally:
        usb.util.dispose_resources(device)
