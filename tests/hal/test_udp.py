"""Udp on linux and on the mock, and what only one of them does."""

from __future__ import annotations

import asyncio
import errno
import socket
import subprocess
import sys

import pytest

from qiot.errors import MediumError
from qiot.hal.contract import Endpoint, Platform, Udp
from qiot.hal.linux import LinuxPlatform
from qiot.hal.mock import MockPlatform
from qiot.hal.registry import parse_spec
from qiot.model import Reason
from qiot.sim import World
from tests.hal.helpers import open_descriptors
from tests.hal.udp_port import LOOPBACK, UdpPort


class TestLinuxUdp(UdpPort):
    @pytest.fixture
    def platform(self) -> Platform:
        return LinuxPlatform(parse_spec("linux"))


class TestMockUdp(UdpPort):
    @pytest.fixture
    def platform(self) -> Platform:
        return MockPlatform(parse_spec("mock"))


FD_0 = """
import asyncio, os
from qiot.hal.contract import Udp
from qiot.hal.registry import open_platform

async def main():
    platform = open_platform("linux")
    udp = platform.port(Udp)
    os.close(0)
    endpoint = await udp.open("127.0.0.1", 0)
    assert endpoint._socket.fileno() == 0, endpoint._socket.fileno()
    other = await udp.open("127.0.0.1", 0)
    await other.send(b"ping", *endpoint.local)
    heard = await asyncio.wait_for(endpoint.receive(), 10)
    await endpoint.send(b"pong", heard.host, heard.port)
    assert (await asyncio.wait_for(other.receive(), 10)).data == b"pong"
    await platform.close()
    try:
        os.fstat(0)
    except OSError:
        print("works on 0 and closes it")

asyncio.run(main())
"""


def test_weakness_06_file_descriptor_0_is_a_socket_like_any_other() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FD_0], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("works on 0 and closes it\n", "")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
@pytest.mark.parametrize("verb", ["bind", "setsockopt"])
async def test_no_permission_is_typed_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, verb: str, number: int
) -> None:
    class Forbidden(socket.socket):
        pass

    def refuse(*_: object) -> None:
        raise OSError(number, "no")

    platform = LinuxPlatform(parse_spec("linux"))
    before = open_descriptors()
    setattr(Forbidden, verb, refuse)
    monkeypatch.setattr(socket, "socket", Forbidden)
    with pytest.raises(MediumError) as caught:
        await platform.port(Udp).open(LOOPBACK, 0, interface="lo")
    assert (caught.value.reason, caught.value.code) == (Reason.NO_PERMISSION, number)
    assert open_descriptors() == before


async def test_no_descriptor_left_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "too many")

    platform = LinuxPlatform(parse_spec("linux"))
    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(MediumError) as caught:
        await platform.port(Udp).open(LOOPBACK, 0)
    assert caught.value.code == errno.EMFILE


async def test_a_refused_open_leaves_no_descriptor() -> None:
    platform = LinuxPlatform(parse_spec("linux"))
    udp = platform.port(Udp)
    taken = await udp.open(LOOPBACK, 0)
    before = open_descriptors()
    for arguments in (
        {"host": LOOPBACK, "port": taken.local[1]},
        {"host": "203.0.113.77", "port": 0},
        {"host": LOOPBACK, "port": 0, "groups": ["10.0.0.1"]},
        {"host": LOOPBACK, "port": 0, "interface": "no-such-iface"},
    ):
        with pytest.raises(MediumError):
            await udp.open(**arguments)
    assert open_descriptors() == before
    await platform.close()


async def test_a_socket_that_breaks_ends_the_endpoint_with_its_errno(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __init__(self, real: socket.socket) -> None:
            self._real = real

        def recvmsg(self, *_: int) -> None:
            raise OSError(errno.ENODEV, "gone")

        def __getattr__(self, name: str) -> object:
            return getattr(self._real, name)

    platform = LinuxPlatform(parse_spec("linux"))
    endpoint = await platform.port(Udp).open(LOOPBACK, 0)
    monkeypatch.setattr(endpoint, "_socket", Broken(endpoint._socket))  # type: ignore[attr-defined]
    await endpoint.send(b"wake", *endpoint.local)
    with pytest.raises(MediumError) as caught:
        await asyncio.wait_for(endpoint.receive(), 10)
    assert caught.value.code == errno.ENODEV
    await platform.close()


async def _through(platform: Platform, sent: int) -> tuple[list[int], list[int]]:
    """Send numbers out of the platform and into it; gives what arrived on either side."""
    plain = LinuxPlatform(parse_spec("linux"))
    phone = await plain.port(Udp).open(LOOPBACK, 0)
    device = await platform.port(Udp).open(LOOPBACK, 0)
    for number in range(sent):
        await device.send(str(number).encode(), *phone.local)
    await phone.send(b"end", *phone.local)
    out = [int(data) for data in await _until_end(phone)]
    for number in range(sent):
        await phone.send(str(number).encode(), *device.local)
    reading = asyncio.ensure_future(_until_end(device))
    while not reading.done():  # the end mark may be lost as well
        await phone.send(b"end", *device.local)
        await asyncio.sleep(0)
    into = [int(data) for data in await reading]
    await platform.close()
    await plain.close()
    return out, into


async def _until_end(endpoint: Endpoint) -> list[bytes]:
    heard: list[bytes] = []
    async with asyncio.timeout(10):
        while (data := (await endpoint.receive()).data) != b"end":
            heard.append(data)
    return heard


@pytest.mark.parametrize("spec", ["mock,udp_loss=0.3,seed=7", "mock,loss=0.3,seed=7"])
async def test_loss_hits_both_ways_and_repeats_with_the_seed(spec: str) -> None:
    out, into = await _through(MockPlatform(parse_spec(spec)), 200)
    for arrived in (out, into):
        assert arrived == sorted(set(arrived))
        assert 100 < len(arrived) < 180
    assert (out, into) == await _through(MockPlatform(parse_spec(spec)), 200)


async def test_duplicates_come_in_both_ways() -> None:
    twice = [number for number in range(20) for _ in range(2)]
    assert await _through(MockPlatform(parse_spec("mock,udp_dup=1")), 20) == (twice, twice)


async def test_a_device_has_its_own_figure_in_a_bad_world() -> None:
    everything = list(range(20))
    platform = MockPlatform(parse_spec("mock,udp_loss=0,udp_dup=0"), World(loss=1.0, duplication=1.0))
    assert await _through(platform, 20) == (everything, everything)


async def test_a_bad_medium_still_closes_and_wakes() -> None:
    platform = MockPlatform(parse_spec("mock,udp_loss=1"))
    endpoint = await platform.port(Udp).open(LOOPBACK, 0)
    waiting = asyncio.ensure_future(endpoint.receive())
    await endpoint.send(b"lost", *endpoint.local)
    await endpoint.close()
    with pytest.raises(MediumError):
        await asyncio.wait_for(waiting, 10)
    assert endpoint.dropped == 0
    await platform.close()
