"""What must be installed for the lab, and how to say or do it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.host.trouble import CannotRunError

__all__ = ["REQUIRED", "Need", "complaint", "find", "install", "missing"]

_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


@dataclass(frozen=True, slots=True)
class Need:
    """A file that a Debian package brings.

    Attributes:
        package: the package.
        file: the name of a program, or an absolute path.
        purpose: what the lab does with it.
    """

    package: str
    file: str
    purpose: str


REQUIRED = (
    Need("qemu-system-x86", "qemu-system-x86_64", "the virtual machine"),
    Need("busybox-static", "busybox", "the first program in it, and phones' DHCP"),
    Need("kmod", "depmod", "kernel modules"),
    Need("util-linux", "setpriv", "ends the machine with its runner"),
    Need("iproute2", "ip", "network namespaces"),
    Need("iw", "iw", "radios"),
    Need("rfkill", "rfkill", "radios"),
    Need("wireless-regdb", "/lib/firmware/regulatory.db", "5 GHz channels"),
    Need("hostapd", "hostapd", "access points"),
    Need("wpasupplicant", "wpa_supplicant", "stations"),
    Need("dnsmasq-base", "dnsmasq", "DHCP servers"),
    Need("network-manager", "NetworkManager", "the device's network"),
    Need("dbus-daemon", "dbus-daemon", "the device's system bus"),
    Need("dbus-bin", "dbus-send", "asks it"),
    Need("udev", "/lib/systemd/systemd-udevd", "what NetworkManager waits for"),
    Need("bluez", "/usr/libexec/bluetooth/bluetoothd", "the device's Bluetooth"),
    Need("libusb-1.0-0", "/usr/lib/x86_64-linux-gnu/libusb-1.0.so.0", "USB devices"),
)


def find(name: str) -> Path | None:
    """Where the program `name` (or the absolute path) is, None when it is not."""
    if name.startswith("/"):
        return Path(name) if Path(name).exists() else None
    found = shutil.which(name, path=os.pathsep.join(_FOLDERS))
    return Path(found) if found else None


def missing(
    needs: Sequence[Need] = REQUIRED, look: Callable[[str], Path | None] = find, static: bool | None = None
) -> list[Need]:
    """Which of `needs` this machine lacks.

    Args:
        needs: what to look for.
        look: finds one.
        static: whether busybox needs no shared libraries (the one of the package busybox does); looked up
            when None.
    """
    lacking = [need for need in needs if look(need.file) is None]
    busybox = next((need for need in needs if need.file == "busybox" and need not in lacking), None)
    if busybox is not None and not (_is_static(look("busybox")) if static is None else static):
        lacking.append(busybox)
    return lacking


def _is_static(path: Path | None) -> bool:
    return path is not None and b"/ld-linux" not in path.read_bytes()[:4096]  # the interpreter's segment


def complaint(lacking: Sequence[Need]) -> str:
    """One message: what is missing, what for, and the command that installs all of it."""
    lines = [f"  {need.file:<36} {need.package:<18} {need.purpose}" for need in lacking]
    packages = " ".join(dict.fromkeys(need.package for need in lacking))
    return "\n".join(
        (
            "The lab needs what is not installed:",
            *lines,
            "Install it (as root; no daemon needs to run) or let lab/run --install do it:",
            f"  apt-get install --no-install-recommends {packages}",
        )
    )


def install(lacking: Sequence[Need], policy: Path = Path("/usr/sbin/policy-rc.d")) -> None:
    """Install the packages of `lacking` with apt-get, starting no daemon.

    Raises:
        CannotRunError: not root, or apt-get failed.
    """
    packages = list(dict.fromkeys(need.package for need in lacking))
    if not packages:
        return
    if os.geteuid() != 0:
        raise CannotRunError(f"{complaint(lacking)}\n--install needs root.")
    own_policy = not policy.exists()
    if own_policy:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        if subprocess.run(command, check=False, env=environment).returncode != 0:
            subprocess.run(["apt-get", "update", "-q"], check=False, env=environment)
            if subprocess.run(command, check=False, env=environment).returncode != 0:
                raise CannotRunError(f"apt-get could not install {' '.join(packages)}; see above.")
    finally:
        if own_policy:
            policy.unlink()
