"""The device's own daemons, in the root namespace: system bus, udev, NetworkManager, wpa_supplicant."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from lab.support.programs import Daemon, run
from lab.support.radios import Radio
from lab.support.waiting import until

__all__ = ["NetworkManager", "Supplicant", "SystemBus", "Udev"]

_NM_CONFIG = """[main]
auth-polkit=root-only
dns=none
rc-manager=unmanaged
plugins=keyfile
[device]
wifi.scan-rand-mac-address=no
[keyfile]
unmanaged-devices={unmanaged}
[logging]
level={level}
"""
_NM_STATE = ("/var/lib/NetworkManager", "/run/NetworkManager", "/etc/NetworkManager")


class SystemBus:
    """The system's D-Bus daemon at its usual address."""

    _socket = Path("/run/dbus/system_bus_socket")

    def __init__(self) -> None:
        self._daemon = Daemon("dbus", ["dbus-daemon", "--system", "--nofork", "--nopidfile"])

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._socket.parent.mkdir(parents=True, exist_ok=True)
        self._socket.unlink(missing_ok=True)
        machine_id = Path("/etc/machine-id")
        if not machine_id.exists() or not machine_id.read_text().strip():
            run(["dbus-uuidgen", "--ensure=/etc/machine-id"])
        self._daemon.start(self._socket.exists)

    def has(self, name: str) -> bool:
        """Whether somebody owns `name` on it, for example "org.bluez"."""
        bus = "org.freedesktop.DBus"
        return "boolean true" in self.send(bus, "/", f"{bus}.NameHasOwner", f"string:{name}")

    def send(self, name: str, path: str, method: str, *arguments: str) -> str:
        """Call a method as dbus-send does; the answer as it prints it, "" when it is an error."""
        command = ["dbus-send", "--system", "--print-reply", f"--dest={name}", path, method, *arguments]
        return run(command, check=False)

    def stop(self) -> None:
        """Stop it. Stopping twice is harmless."""
        self._daemon.stop()


class Udev:
    """systemd-udevd: NetworkManager takes a device, and libusb hears of one, only after udev has."""

    def __init__(self) -> None:
        self._daemon = Daemon("udev", ["/lib/systemd/systemd-udevd"])

    def start(self) -> None:
        """Start it and wait until it listens; what is there already it takes when told."""
        Path("/run/udev").mkdir(exist_ok=True)
        self._daemon.start(Path("/run/udev/control").exists)

    def take(self, subsystem: str) -> None:
        """Wait until it has taken all that is there of a kind of device."""
        run(["udevadm", "trigger", f"--subsystem-match={subsystem}", "--action=add"])
        run(["udevadm", "settle", "-t", "30"])

    def stop(self) -> None:
        """Stop it. Stopping twice is harmless."""
        self._daemon.stop()
        shutil.rmtree("/run/udev", ignore_errors=True)


class NetworkManager:
    """NetworkManager without a memory of earlier tests. The system bus and udev must be running.

    It starts its own wpa_supplicant, through the bus.

    Args:
        unmanaged: interfaces that it leaves alone.
        level: of its log: INFO, DEBUG or TRACE.
    """

    def __init__(self, unmanaged: Sequence[str] = (), level: str = "INFO") -> None:
        self._unmanaged = ";".join(f"interface-name:{name}" for name in unmanaged)
        self._level = level
        self._supplicant = Daemon("nm-wpa", ["wpa_supplicant", "-u", "-t", "-O", "/run/wpa_supplicant"])
        self._daemon = Daemon("networkmanager", ["NetworkManager", "--no-daemon", "--debug"])

    def start(self) -> None:
        """Start it, with nothing that it or the machine's owner had configured, and wait until it runs."""
        for folder in _NM_STATE:
            Path(folder).mkdir(exist_ok=True)
            run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", folder])
        config = Path("/etc/NetworkManager/conf.d/lab.conf")
        config.parent.mkdir()
        Path("/etc/NetworkManager/system-connections").mkdir(mode=0o700)
        config.write_text(_NM_CONFIG.format(unmanaged=self._unmanaged, level=self._level))
        self._supplicant.start()
        self.start_again()

    def start_again(self) -> None:
        """Start it with the memory it has, as after `kill` or `stop_only`."""
        self._daemon.start(
            lambda: "running" in run(["nmcli", "-t", "-f", "RUNNING", "general"], check=False), 60
        )

    def kill(self) -> None:
        """End it at once; its wpa_supplicant stays."""
        self._daemon.kill()

    def stop_only(self) -> None:
        """End it politely; its wpa_supplicant stays."""
        self._daemon.stop()

    def state(self, interface: str) -> str:
        """The state as nmcli says it: unmanaged, unavailable, disconnected, connecting (...), connected."""
        for line in run(["nmcli", "-t", "-f", "DEVICE,STATE", "device"], check=False).splitlines():
            name, _, state = line.partition(":")
            if name == interface:
                return state
        return ""

    def wait_for(self, interface: str, state: str = "disconnected", seconds: float = 60.0) -> None:
        """Wait until the interface has that state; "disconnected" means ready for use."""
        until(lambda: self.state(interface) == state, f"{interface} is {state} in NetworkManager", seconds)

    def stop(self) -> None:
        """Stop it and its wpa_supplicant. Stopping twice is harmless."""
        self._daemon.stop()
        self._supplicant.stop()
        for folder in _NM_STATE:
            if Path(folder).is_mount():
                run(["umount", "--lazy", folder])


class Supplicant:
    """A plain wpa_supplicant with a control interface, for a device without NetworkManager.

    Args:
        radio: what it uses.
        config: more lines of its configuration, as networks known from before.
    """

    def __init__(self, radio: Radio, config: str = "") -> None:
        self.control_folder = Path("/run/wpa_supplicant")
        self.config = Path("/run/device-supplicant", f"{radio.interface}.conf")
        self._config = f"ctrl_interface={self.control_folder}\nupdate_config=1\ncountry=US\n{config}"
        self._radio = radio
        words = ["wpa_supplicant", "-t", "-D", "nl80211", "-i", radio.interface, "-c", str(self.config)]
        self._daemon = Daemon("device-wpa", words)

    @property
    def control(self) -> Path:
        """The socket of its control interface."""
        return self.control_folder / self._radio.interface

    def start(self) -> None:
        """Start it with the configuration that was given, and wait until it answers."""
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.touch(mode=0o600)
        self.config.write_text(self._config)
        self.start_again()

    def start_again(self) -> None:
        """Start it with the configuration file as it is now, as after a reboot."""
        self._daemon.start(lambda: self.control.exists() and "PONG" in self.command("ping"))

    def command(self, *words: str) -> str:
        """One command of wpa_cli."""
        interface = ["-p", str(self.control_folder), "-i", self._radio.interface]
        return run(["wpa_cli", *interface, *words], check=False)

    def kill(self) -> None:
        """End it at once; its socket stays behind."""
        self._daemon.kill()

    def stop(self) -> None:
        """Stop it. Stopping twice is harmless."""
        self._daemon.stop()
