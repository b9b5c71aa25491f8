"""NetworkManager and wpa_supplicant as their D-Bus interfaces show them, on a bus of the test's own."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import attrs
from dbus_fast import Message, MessageType, Variant, unpack_variants
from dbus_fast.aio import MessageBus

from qiot.hal.linux.networkmanager.names import (
    ACCESS_POINT,
    ACTIVE,
    DEVICE,
    IP4,
    NM,
    NM_PATH,
    PROFILE,
    SETTINGS,
    WIRELESS,
    ActiveState,
    DeviceReason,
    DeviceState,
)

SUPPLICANT = "fi.w1.wpa_supplicant1"
SUPPLICANT_INTERFACE = f"{SUPPLICANT}.Interface"
PROPERTIES = "org.freedesktop.DBus.Properties"
DEVICE_PATH = f"{NM_PATH}/Devices/3"
IP4_PATH = f"{NM_PATH}/IP4Config/7"
ACCESS_POINT_PATH = f"{NM_PATH}/AccessPoint/9"
RADIO_PATH = "/fi/w1/wpa_supplicant1/Interfaces/0"
VOLATILE = 0x5

_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/><allow user="*"/>
  </policy>
</busconfig>
"""


class PrivateBus:
    """A D-Bus daemon of the test's own."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "bus"
        self.address = f"unix:path={self._socket}"
        self._config = folder / "bus.conf"
        self._config.write_text(_CONFIG.format(socket=self._socket))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = ["dbus-daemon", f"--config-file={self._config}", "--nofork", "--nopidfile", "--print-address"]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline()  # it listens now

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
            self._socket.unlink(missing_ok=True)


@attrs.define
class FakeProfile:
    """A profile, with its secrets."""

    settings: dict[str, dict[str, Variant]]
    flags: int = 0

    @property
    def plain(self) -> dict[str, dict[str, Any]]:
        return dict(unpack_variants(self.settings))


class FakeNetworkManager:
    """One device, its profiles, and activations that go as the test says.

    Attributes:
        profiles: By their objects.
        air: How the activations of a network go: "joined", or a name of `_FAILURES`, or "silent".
        active: Object of the active connection; "/" for none.
        looked: Networks that wpa_supplicant was asked to look for, each with its frequency.
        activated: UUIDs, in the order in which they were activated.
        bound: The activations that end with the connection that asked for them.
    """

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self.profiles: dict[str, FakeProfile] = {}
        self.air: dict[bytes, str] = {}
        self.permissions = "yes"
        self.managed = True
        self.autoconnect = True
        self.state = DeviceState.DISCONNECTED
        self.active = "/"
        self.uuids: dict[str, str] = {}
        self.active_state = ActiveState.ACTIVATED
        self.activated: list[str] = []
        self.looked: list[tuple[bytes, int]] = []
        self.bound: list[str] = []
        self.scan_busy = False
        self.refused_members: dict[str, str] = {}
        self._numbers = 0

    @property
    def active_uuid(self) -> str:
        return self.uuids.get(self.active, "")

    def add(self, uuid: str, ssid: bytes, **connection: Variant) -> str:
        """A profile that is there already."""
        settings = {
            "connection": {"id": Variant("s", uuid), "uuid": Variant("s", uuid), **connection},
            "802-11-wireless": {"ssid": Variant("ay", ssid)},
        }
        return self._keep(FakeProfile(settings))

    def be_in(self, uuid: str) -> None:
        """The device is in a network."""
        self.active = f"{NM_PATH}/ActiveConnection/{self._next()}"
        self.uuids[self.active] = uuid
        self.state = DeviceState.ACTIVATED

    def handle(self, message: Message) -> Message | None:
        """Answer a call."""
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        if message.member in self.refused_members:
            return Message.new_error(message, self.refused_members[message.member], "as the test says")
        handlers: dict[tuple[str, str], Callable[[Message], Message]] = {
            (NM, "GetDeviceByIpIface"): self._get_device,
            (NM, "GetPermissions"): self._get_permissions,
            (NM, "AddAndActivateConnection2"): self._add_and_activate,
            (NM, "ActivateConnection"): self._activate,
            (NM, "DeactivateConnection"): self._deactivate,
            (SETTINGS, "ListConnections"): lambda call: _answer(call, "ao", list(self.profiles)),
            (SETTINGS, "GetConnectionByUuid"): self._by_uuid,
            (PROFILE, "GetSettings"): self._get_settings,
            (PROFILE, "Update2"): self._update,
            (PROFILE, "Delete"): self._delete,
            (WIRELESS, "GetAllAccessPoints"): lambda call: _answer(call, "ao", [ACCESS_POINT_PATH]),
            (PROPERTIES, "Get"): self._get,
            (PROPERTIES, "GetAll"): self._get_all,
            (PROPERTIES, "Set"): self._set,
            (SUPPLICANT, "GetInterface"): lambda call: _answer(call, "o", RADIO_PATH),
            (SUPPLICANT_INTERFACE, "Scan"): self._scan,
            (SUPPLICANT_INTERFACE, "AbortScan"): self._abort_scan,
        }
        handler = handlers.get((message.interface or "", message.member or ""))
        return None if handler is None else handler(message)

    def say(self, path: str, interface: str, member: str, signature: str, *body: object) -> None:
        """Send a signal; nothing happens where the bus is gone."""
        with contextlib.suppress(OSError):
            sent = self._bus.send(Message.new_signal(path, interface, member, signature, list(body)))
            sent.add_done_callback(lambda done: done.cancelled() or done.exception())

    def device_goes(self, state: DeviceState, reason: int = 0) -> None:
        """The device's next state."""
        earlier, self.state = self.state, state
        self.say(DEVICE_PATH, DEVICE, "StateChanged", "uuu", int(state), int(earlier), int(reason))

    def supplicant_says(self, **changed: Variant) -> None:
        """Changed properties of wpa_supplicant's interface."""
        self.say(RADIO_PATH, PROPERTIES, "PropertiesChanged", "sa{sv}as", SUPPLICANT_INTERFACE, changed, [])

    def _next(self) -> int:
        self._numbers += 1
        return self._numbers

    def _keep(self, profile: FakeProfile) -> str:
        path = f"{NM_PATH}/Settings/{self._next()}"
        self.profiles[path] = profile
        return path

    def _get_device(self, call: Message) -> Message:
        if call.body[0] != "wlan0":
            return Message.new_error(call, f"{NM}.UnknownDevice", "No device found")
        return _answer(call, "o", DEVICE_PATH)

    def _get_permissions(self, call: Message) -> Message:
        names = ("network-control", "settings.modify.system", "wifi.share.open", "wifi.share.protected")
        return _answer(call, "a{ss}", {f"{NM}.{name}": self.permissions for name in names})

    def _add_and_activate(self, call: Message) -> Message:
        settings, _, _, options = call.body
        assert options["persist"].value == "volatile"
        path = self._keep(FakeProfile(settings, VOLATILE))
        active = self._begin(path)
        if options["bind-activation"].value == "dbus-client":
            self.bound.append(active)
        return _answer(call, "ooa{sv}", path, active, {})

    def _activate(self, call: Message) -> Message:
        if call.body[0] not in self.profiles:
            return Message.new_error(call, f"{NM}.UnknownConnection", "Connection not found")
        return _answer(call, "o", self._begin(call.body[0]))

    def _deactivate(self, call: Message) -> Message:
        if call.body[0] != self.active:
            return Message.new_error(call, f"{NM}.ConnectionNotActive", "The connection was not active.")
        self._end()
        return _answer(call, "")

    def _begin(self, path: str) -> str:
        self._end()
        profile = self.profiles[path]
        active = self.active = f"{NM_PATH}/ActiveConnection/{self._next()}"
        self.uuids[active] = profile.plain["connection"]["uuid"]
        self.active_state = ActiveState.ACTIVATING
        self.activated.append(self.active_uuid)
        self.device_goes(DeviceState.PREPARE)
        self.device_goes(DeviceState.NEED_AUTH)  # it fetches the secrets, each time
        self.device_goes(DeviceState.CONFIG)
        asyncio.get_running_loop().call_soon(self._go_on, active, profile)
        return active

    def _go_on(self, active: str, profile: FakeProfile) -> None:
        if active != self.active:
            return
        wireless = profile.plain["802-11-wireless"]
        _COURSES[self.air.get(bytes(wireless["ssid"]), "joined")](self)

    def _end(self) -> None:
        """What is active is not any more; a volatile profile goes with it."""
        ended, uuid = self.active, self.active_uuid
        self.active = "/"
        if ended != "/":
            self.device_goes(DeviceState.DISCONNECTED)
            self.say(ended, ACTIVE, "StateChanged", "uu", int(ActiveState.DEACTIVATED), 2)
        for path, profile in list(self.profiles.items()):
            if profile.plain["connection"]["uuid"] == uuid and profile.flags == VOLATILE:
                del self.profiles[path]

    def fail(self, reason: DeviceReason) -> None:
        """The activation fails."""
        self.device_goes(DeviceState.FAILED, reason)
        self._end()

    def succeed(self) -> None:
        """The activation is up."""
        for state in (DeviceState.IP_CONFIG, DeviceState.IP_CHECK, DeviceState.ACTIVATED):
            self.device_goes(state)
        self.active_state = ActiveState.ACTIVATED
        self.say(self.active, ACTIVE, "StateChanged", "uu", int(ActiveState.ACTIVATED), 0)

    def _by_uuid(self, call: Message) -> Message:
        for path, profile in self.profiles.items():
            if profile.plain["connection"]["uuid"] == call.body[0]:
                return _answer(call, "o", path)
        return Message.new_error(call, f"{SETTINGS}.InvalidConnection", "No connection with this UUID")

    def _get_settings(self, call: Message) -> Message:
        profile = self.profiles.get(call.path or "")
        if profile is None:
            return _unknown_object(call)
        shown = {name: dict(each) for name, each in profile.settings.items()}
        shown.get("802-11-wireless-security", {}).pop("psk", None)
        return _answer(call, "a{sa{sv}}", shown)

    def _update(self, call: Message) -> Message:
        profile = self.profiles[call.path or ""]
        settings, flags, _ = call.body
        assert flags == 0x41
        psk = profile.settings.get("802-11-wireless-security", {}).get("psk")
        if psk is not None:
            settings["802-11-wireless-security"]["psk"] = psk
        profile.settings, profile.flags = settings, 0
        return _answer(call, "a{sv}", {})

    def _delete(self, call: Message) -> Message:
        if self.profiles.pop(call.path or "", None) is None:
            return _unknown_object(call)
        return _answer(call, "")

    def _properties(self, path: str, interface: str) -> dict[str, Variant]:
        if interface == DEVICE:
            return {
                "State": Variant("u", int(self.state)),
                "Managed": Variant("b", self.managed),
                "Autoconnect": Variant("b", self.autoconnect),
                "ActiveConnection": Variant("o", self.active),
                "Ip4Config": Variant("o", IP4_PATH if self.state == DeviceState.ACTIVATED else "/"),
                "AvailableConnections": Variant("ao", list(self.profiles)),
            }
        address = {"address": Variant("s", "192.168.77.42"), "prefix": Variant("u", 24)}
        return {
            IP4: {"AddressData": Variant("aa{sv}", [address]), "Gateway": Variant("s", "192.168.77.1")},
            ACTIVE: {
                "Uuid": Variant("s", self.uuids.get(path, "")),
                "State": Variant("u", int(self.active_state)),
            },
            WIRELESS: {"ActiveAccessPoint": Variant("o", ACCESS_POINT_PATH if self.active != "/" else "/")},
            ACCESS_POINT: {
                "Ssid": Variant("ay", b"Saved"),
                "Frequency": Variant("u", 2412),
                "Strength": Variant("y", 70),
            },
            PROFILE: {"Flags": Variant("u", self.profiles[path].flags if path in self.profiles else 0)},
        }[interface]

    def _get(self, call: Message) -> Message:
        interface, name = call.body
        return _answer(call, "v", self._properties(call.path or "", interface)[name])

    def _get_all(self, call: Message) -> Message:
        interface = call.body[0]
        if interface == ACTIVE and call.path != self.active:
            return _unknown_object(call)
        return _answer(call, "a{sv}", self._properties(call.path or "", interface))

    def _set(self, call: Message) -> Message:
        interface, name, value = call.body
        assert (interface, name) == (DEVICE, "Autoconnect")
        self.autoconnect = value.value
        return _answer(call, "")

    def _scan(self, call: Message) -> Message:
        if self.scan_busy:
            return Message.new_error(call, f"{SUPPLICANT_INTERFACE}.ScanError", "Scan request rejected")
        options = unpack_variants(call.body[0])
        self.looked.append((bytes(options["SSIDs"][0]), options["Channels"][0][0]))
        self._scan_done()
        return _answer(call, "")

    def _abort_scan(self, call: Message) -> Message:
        self.scan_busy = False
        self._scan_done()
        return _answer(call, "")

    def _scan_done(self) -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(self.say, RADIO_PATH, SUPPLICANT_INTERFACE, "ScanDone", "b", True)


def _wrong_password(manager: FakeNetworkManager) -> None:
    manager.supplicant_says(State=Variant("s", "associated"))
    manager.supplicant_says(State=Variant("s", "4way_handshake"))
    manager.supplicant_says(State=Variant("s", "disconnected"), DisconnectReason=Variant("i", 15))
    manager.device_goes(DeviceState.NEED_AUTH, DeviceReason.SUPPLICANT_DISCONNECT)


def _silent_handshake(manager: FakeNetworkManager) -> None:
    manager.supplicant_says(State=Variant("s", "4way_handshake"))
    manager.supplicant_says(State=Variant("s", "disconnected"), DisconnectReason=Variant("i", -3))
    manager.device_goes(DeviceState.NEED_AUTH, DeviceReason.SUPPLICANT_DISCONNECT)


def _wrong_sae_password(manager: FakeNetworkManager) -> None:
    manager.supplicant_says(State=Variant("s", "authenticating"))
    manager.supplicant_says(AuthStatusCode=Variant("i", 76))
    manager.supplicant_says(AuthStatusCode=Variant("i", 1))


def _refused(manager: FakeNetworkManager) -> None:
    for _ in range(3):
        manager.supplicant_says(State=Variant("s", "associating"))
        manager.supplicant_says(AssocStatusCode=Variant("i", 17))


def _steered(manager: FakeNetworkManager) -> None:
    """Refused twice, then taken: how a router steers to its other band."""
    for _ in range(2):
        manager.supplicant_says(State=Variant("s", "associating"))
        manager.supplicant_says(AssocStatusCode=Variant("i", 17))
    manager.supplicant_says(State=Variant("s", "completed"))
    manager.succeed()


def _no_address(manager: FakeNetworkManager) -> None:
    manager.supplicant_says(State=Variant("s", "completed"))
    manager.device_goes(DeviceState.IP_CONFIG)
    manager.fail(DeviceReason.IP_CONFIG_UNAVAILABLE)


def _vanished(manager: FakeNetworkManager) -> None:
    manager.supplicant_says(State=Variant("s", "completed"))
    manager.device_goes(DeviceState.IP_CONFIG)
    manager.supplicant_says(State=Variant("s", "scanning"), DisconnectReason=Variant("i", -4))
    manager.fail(DeviceReason.IP_CONFIG_UNAVAILABLE)


def _not_there(manager: FakeNetworkManager) -> None:
    manager.supplicant_says(State=Variant("s", "scanning"))
    manager.fail(DeviceReason.NO_SECRETS)  # what it makes of an association that takes too long


def _stuck_at_address(manager: FakeNetworkManager) -> None:
    manager.supplicant_says(State=Variant("s", "completed"))
    manager.device_goes(DeviceState.IP_CONFIG)


def _stuck(manager: FakeNetworkManager) -> None:
    manager.supplicant_says(State=Variant("s", "associated"))


_COURSES: dict[str, Callable[[FakeNetworkManager], None]] = {
    "joined": FakeNetworkManager.succeed,
    "wrong password": _wrong_password,
    "silent handshake": _silent_handshake,
    "wrong sae password": _wrong_sae_password,
    "refused": _refused,
    "steered": _steered,
    "no address": _no_address,
    "vanished": _vanished,
    "not there": _not_there,
    "stuck at address": _stuck_at_address,
    "stuck": _stuck,
    "user took over": FakeNetworkManager._end,
    "no dhcp server": lambda manager: manager.fail(DeviceReason.SHARED_START_FAILED),
}


def _answer(call: Message, signature: str, *body: object) -> Message:
    return Message.new_method_return(call, signature, list(body))


def _unknown_object(call: Message) -> Message:
    return Message.new_error(call, "org.freedesktop.DBus.Error.UnknownObject", "No such object path")


@contextlib.asynccontextmanager
async def network_manager(address: str) -> AsyncIterator[FakeNetworkManager]:
    """NetworkManager and wpa_supplicant on a bus."""
    bus = await MessageBus(bus_address=address).connect()
    manager = FakeNetworkManager(bus)
    bus.add_message_handler(manager.handle)
    for name in (NM, SUPPLICANT):
        await bus.request_name(name)
    try:
        yield manager
    finally:
        if bus.connected:
            bus.disconnect()
        with contextlib.suppress(OSError, EOFError):
            await bus.wait_for_disconnect()
