"""What a phone knows of its own place in the network: its address, its MAC, its access point."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from typing import Final

import attrs

from qiot.errors import ConfigurationError

__all__ = ["Adapter", "find_adapter"]

# linux/sockios.h, linux/wireless.h
_GET_ADDRESS: Final = 0x8915  # SIOCGIFADDR
_GET_HARDWARE_ADDRESS: Final = 0x8927  # SIOCGIFHWADDR
_GET_ACCESS_POINT: Final = 0x8B15  # SIOCGIWAP
_NAME_SIZE: Final = 16
_REQUEST_SIZE: Final = 40
_SOCKADDR: Final = struct.Struct("=H6s")
_ANYWHERE: Final = ("192.0.2.1", 9)
"""An address behind the default route (RFC 5737); nothing is sent there."""


@attrs.frozen
class Adapter:
    """One network interface.

    Attributes:
        name: Its name, or empty where it is not known.
        ip: IPv4 address, dotted; empty where there is none.
        mac: MAC address, six octets, or None where it is not known.
        bssid: The access point it is joined to, six octets, or None.
    """

    name: str = ""
    ip: str = ""
    mac: bytes | None = None
    bssid: bytes | None = None


def find_adapter(host: str | None = None, interface: str | None = None) -> Adapter:
    """The interface that the phone sends by: the one that is named, else the default route's.

    Names, MAC addresses and access points are known on Linux only.

    Args:
        host: Its IPv4 address, where the user says so.
        interface: Its name, where the user says so.

    Raises:
        ConfigurationError: There is no such interface, or it has no IPv4 address.
    """
    if interface is not None:
        ip = host or _address_of(interface)
        if not ip:
            known = ", ".join(name for _, name in socket.if_nameindex())
            raise ConfigurationError(
                f"--interface: {interface} has no IPv4 address",
                hint=f"Join the network first, or choose another: {known}.",
            )
        return Adapter(interface, ip, _mac_of(interface), _bssid_of(interface))
    ip = host or _routed_address()
    names = [name for _, name in socket.if_nameindex() if ip and _address_of(name) == ip]
    return Adapter(names[0], ip, _mac_of(names[0]), _bssid_of(names[0])) if names else Adapter(ip=ip)


def _routed_address() -> str:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(_ANYWHERE)
        return str(sock.getsockname()[0])
    return ""


def _ask(request: int, interface: str) -> bytes:
    """What the kernel says of an interface, behind its name; empty where it says nothing."""
    if sys.platform != "linux":
        return b""
    import fcntl

    packed = interface.encode(errors="surrogateescape")[: _NAME_SIZE - 1].ljust(_REQUEST_SIZE, b"\0")
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return fcntl.ioctl(sock, request, packed)[_NAME_SIZE:]
    return b""


def _address_of(interface: str) -> str:
    answer = _ask(_GET_ADDRESS, interface)
    return socket.inet_ntoa(answer[4:8]) if answer else ""


def _hardware_address(answer: bytes) -> bytes | None:
    if not answer:
        return None
    _, address = _SOCKADDR.unpack_from(answer)
    return address if any(address) else None


def _mac_of(interface: str) -> bytes | None:
    return _hardware_address(_ask(_GET_HARDWARE_ADDRESS, interface))


def _bssid_of(interface: str) -> bytes | None:
    return _hardware_address(_ask(_GET_ACCESS_POINT, interface))
