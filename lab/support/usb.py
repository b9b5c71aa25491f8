"""USB on a machine that has none: the kernel's gadgets, plugged into ports of its own."""

from __future__ import annotations

from pathlib import Path

from lab.support.programs import run
from lab.support.waiting import until

__all__ = ["Gadget", "load_ports", "unload_ports"]

_CONTROLLERS = Path("/sys/class/udc")
_GADGETS = Path("/sys/kernel/config/usb_gadget")
_ENGLISH = "strings/0x409"
_CONFIGURATION = "configs/c.1"


def load_ports(count: int) -> None:
    """Have `count` ports, 1 to 32; each takes one gadget.

    Load them once; `unload_ports` first for another number.
    """
    run(["modprobe", "dummy_hcd", f"num={count}"])
    run(["modprobe", "libcomposite"])
    until(lambda: len(_ports()) == count, f"{count} USB ports")


def unload_ports() -> None:
    """Take the ports away. Harmless when there are none."""
    if Path("/sys/module/dummy_hcd").exists():
        run(["modprobe", "-r", "dummy_hcd"])


def _ports() -> list[str]:
    return sorted(path.name for path in _CONTROLLERS.iterdir()) if _CONTROLLERS.exists() else []


class Gadget:
    """A device on a USB port: its descriptors are as given, and it sends back what it gets.

    Args:
        vendor: 0 to 0xFFFF.
        product: 0 to 0xFFFF.
        manufacturer: a text, as the device tells it.
        name: the product's name, as the device tells it.
        serial: its serial number, as the device tells it.
        device_class: 0 to 0xFF; 0xE0 is a wireless controller, 0xFF the vendor's own.
        port: from 0.
    """

    def __init__(
        self,
        vendor: int,
        product: int,
        *,
        manufacturer: str,
        name: str,
        serial: str = "1",
        device_class: int = 0xFF,
        port: int = 0,
    ) -> None:
        self._attributes = {
            "idVendor": f"{vendor:#06x}",
            "idProduct": f"{product:#06x}",
            "bDeviceClass": f"{device_class:#04x}",
            f"{_ENGLISH}/manufacturer": manufacturer,
            f"{_ENGLISH}/product": name,
            f"{_ENGLISH}/serialnumber": serial,
        }
        self._port = port
        self._folder = _GADGETS / f"lab{port}"
        self._function = f"Loopback.{port}"

    def plug(self) -> None:
        """Plug it in, and wait until the host side has configured it."""
        for folder in (".", _ENGLISH, _CONFIGURATION, f"functions/{self._function}"):
            (self._folder / folder).mkdir(exist_ok=True)
        for attribute, value in self._attributes.items():
            (self._folder / attribute).write_text(value)
        (self._folder / _CONFIGURATION / self._function).symlink_to(
            self._folder / "functions" / self._function
        )
        controller = _ports()[self._port]
        (self._folder / "UDC").write_text(controller)
        state = _CONTROLLERS / controller / "state"
        until(lambda: state.read_text().strip() == "configured", f"the gadget on {controller} is configured")

    def unplug(self) -> None:
        """Unplug it. Unplugging twice is harmless."""
        if not self._folder.exists():
            return
        (self._folder / "UDC").write_text("\n")
        (self._folder / _CONFIGURATION / self._function).unlink(missing_ok=True)
        for folder in (f"functions/{self._function}", _CONFIGURATION, _ENGLISH, "."):
            (self._folder / folder).rmdir()
