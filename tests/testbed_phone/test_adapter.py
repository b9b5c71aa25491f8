"""What a phone finds out about its own place in the network."""

from __future__ import annotations

import socket
import struct
import sys

import pytest

from qiot.errors import ConfigurationError
from qiot.testbed.phone import adapter
from qiot.testbed.phone.adapter import Adapter, find_adapter

linux = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")


@linux
def test_an_interface_has_its_address_and_no_more_than_it_has() -> None:
    name = socket.if_indextoname(1)
    assert find_adapter(interface=name) == Adapter(name, "127.0.0.1")
    assert find_adapter("127.0.0.1") == Adapter(name, "127.0.0.1")
    assert find_adapter("127.0.0.9", name) == Adapter(name, "127.0.0.9")


@linux
def test_what_the_kernel_says_of_wi_fi_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ioctl(2) gives it: the name, then a socket address (linux/wireless.h, linux/if.h)."""
    answers = {
        0x8915: struct.pack("=HH4s", socket.AF_INET, 0, socket.inet_aton("10.0.0.7")),
        0x8927: struct.pack("=H6s", 1, bytes.fromhex("240ac4010203")),
        0x8B15: struct.pack("=H6s", 1, bytes.fromhex("00e04c8712ab")),
    }

    def ioctl(_: socket.socket, request: int, packed: bytes) -> bytes:
        assert packed[:6] == b"wlan9\0"
        return packed[:16] + answers[request].ljust(24, b"\0")

    monkeypatch.setattr("fcntl.ioctl", ioctl)
    found = find_adapter(interface="wlan9")
    assert (found.ip, found.mac) == ("10.0.0.7", bytes.fromhex("240ac4010203"))
    assert found.bssid == bytes.fromhex("00e04c8712ab")


def test_an_interface_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match="nosuch0") as caught:
        find_adapter(interface="nosuch0")
    assert "choose another" in caught.value.hint


def test_an_address_of_nobody_here_is_taken_as_it_is() -> None:
    assert find_adapter("198.51.100.9") == Adapter(ip="198.51.100.9")


def test_without_a_network_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "_routed_address", lambda: "")
    assert find_adapter() == Adapter()
