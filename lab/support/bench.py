"""The bench: builds what a test asks for and takes everything away afterwards, last things first."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from lab.support.bluetooth import BlueZ
from lab.support.cloud import Cloud
from lab.support.device import NetworkManager, Supplicant, SystemBus, Udev
from lab.support.home_ap import HomeAp, Security
from lab.support.namespaces import Namespace
from lab.support.phone import Phone
from lab.support.radios import Radio, load_radios, unload_radios
from lab.support.usb import Gadget, load_ports, unload_ports

__all__ = ["Bench"]


class Bench:
    """What a test stands on. Every method's product is stopped when the bench ends."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        self._bus: SystemBus | None = None
        self._udev: Udev | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stack.close()

    def radios(self, count: int, *, channels: int = 1, country: str | None = "US") -> list[Radio]:
        """Fresh radios, wlan0 first, all in the root namespace; once a bench. See `radios.load_radios`."""
        self.stack.callback(unload_radios)
        return load_radios(count, channels, country)

    def namespace(self, name: str) -> Namespace:
        """A namespace."""
        namespace = Namespace(name)
        namespace.create()
        self.stack.callback(namespace.delete)
        return namespace

    def home_ap(
        self,
        radio: Radio,
        *,
        ssid: bytes = b"LAB-HOME",
        password: str | None = "labpass1234",
        security: Security = "wpa2",
        hidden: bool = False,
        channel: int = 6,
        dhcp: bool = True,
        name: str = "home",
        start: bool = True,
    ) -> HomeAp:
        """An access point in a new namespace `name`, on the air unless `start` is False; see `HomeAp`."""
        namespace = self.namespace(name)
        radio.move(namespace)
        access_point = HomeAp(
            radio,
            namespace,
            ssid=ssid,
            password=password,
            security=security,
            hidden=hidden,
            channel=channel,
            dhcp=dhcp,
        )
        self.stack.callback(access_point.stop)
        if start:
            access_point.start()
        return access_point

    def phone(self, radio: Radio, *, name: str = "phone") -> Phone:
        """A phone in a new namespace `name`, in no network yet."""
        namespace = self.namespace(name)
        radio.move(namespace)
        phone = Phone(radio, namespace)
        self.stack.callback(phone.leave)
        return phone

    def cloud(self, home: HomeAp, options: Sequence[str] = ()) -> Cloud:
        """The local cloud behind `home`, answering; see `Cloud`."""
        cloud = Cloud(home.namespace, home.address, options)
        self.stack.callback(cloud.stop)
        cloud.start()
        return cloud

    def system_bus(self) -> SystemBus:
        """The system bus, running; the same one each time."""
        if self._bus is None:
            self._bus = SystemBus()
            self.stack.callback(self._bus.stop)
            self._bus.start()
        return self._bus

    def udev(self) -> Udev:
        """udev, running; the same one each time."""
        if self._udev is None:
            self._udev = Udev()
            self.stack.callback(self._udev.stop)
            self._udev.start()
        return self._udev

    def network_manager(self, *, unmanaged: Sequence[str] = (), level: str = "INFO") -> NetworkManager:
        """The system bus and `NetworkManager`, running; call it after radios were moved away."""
        self.system_bus()
        self.udev().take("net")
        manager = NetworkManager(unmanaged, level)
        self.stack.callback(manager.stop)
        manager.start()
        return manager

    def supplicant(self, radio: Radio, config: str = "") -> Supplicant:
        """The device's wpa_supplicant without NetworkManager, running; see `Supplicant`."""
        supplicant = Supplicant(radio, config)
        self.stack.callback(supplicant.stop)
        supplicant.start()
        return supplicant

    def bluez(self, settings: str = "") -> BlueZ:
        """The system bus and bluetoothd, running; `bluetooth.BluetoothAir` gives it an adapter."""
        bluez = BlueZ(self.system_bus(), settings)
        self.stack.callback(bluez.stop)
        bluez.start()
        return bluez

    def usb_ports(self, count: int) -> None:
        """USB ports with udev, for gadgets; once a bench."""
        self.udev()
        self.stack.callback(unload_ports)
        load_ports(count)

    def usb(self, gadget: Gadget) -> None:
        """Plug `gadget` into its port, one of `usb_ports`."""
        self.stack.callback(gadget.unplug)
        gadget.plug()
