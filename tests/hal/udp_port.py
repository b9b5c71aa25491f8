"""What the host's sockets do beyond the contract, for each platform that uses them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator

import pytest

from qiot.errors import MediumError
from qiot.hal.contract import Endpoint, Platform, Udp
from qiot.hal.linux.udp import QUEUE_MAX
from qiot.model import Reason
from tests.hal.helpers import until

LOOPBACK = "127.0.0.1"
IP_RECVERR = 11


class UdpPort:
    """Inherit and give the fixture `platform`."""

    @pytest.fixture
    async def udp(self, platform: Platform) -> AsyncIterator[Udp]:
        yield platform.port(Udp)
        await platform.close()

    async def test_the_largest_datagram_is_whole(self, udp: Udp) -> None:
        one, other = await udp.open(LOOPBACK, 0), await udp.open(LOOPBACK, 0)
        data = bytes(range(256)) * 255 + b"x" * (65507 - 256 * 255)
        await one.send(data, *other.local)
        assert (await asyncio.wait_for(other.receive(), 10)).data == data
        with pytest.raises(MediumError) as caught:
            await one.send(data + b"x", *other.local)
        assert caught.value.code == errno.EMSGSIZE

    async def test_order_is_kept_and_the_queue_is_bounded_and_counts(self, udp: Udp) -> None:
        one, other = await udp.open(LOOPBACK, 0), await udp.open(LOOPBACK, 0)
        sent = QUEUE_MAX + 100
        for number in range(sent):
            await one.send(str(number).encode(), *other.local)
            if number % 50 == 49:
                await asyncio.sleep(0)
        await until(lambda: other.dropped == sent - QUEUE_MAX)
        received = [int((await other.receive()).data) for _ in range(QUEUE_MAX)]
        assert received == list(range(QUEUE_MAX))
        assert other.dropped == 100

    async def test_what_the_kernel_drops_is_counted_too(self, udp: Udp) -> None:
        one, other = await udp.open(LOOPBACK, 0), await udp.open(LOOPBACK, 0)
        sent = 3000
        for _ in range(sent):  # the loop never gets to read, so the kernel's own buffer overflows
            await one.send(b"x" * 1000, *other.local)
        heard: list[bytes] = []

        async def read() -> None:
            while True:
                heard.append((await other.receive()).data)

        reading = asyncio.ensure_future(read())
        async with asyncio.timeout(10):
            while b"room" not in heard:
                await one.send(b"room", *other.local)
                sent += 1
                await asyncio.sleep(0)
        await until(lambda: heard[-1] == b"room" and not len(inner(other)._inbox))  # type: ignore[attr-defined]
        await one.send(b"last", *other.local)  # the kernel tells what it dropped with the next datagram
        await until(lambda: b"last" in heard)
        reading.cancel()
        assert other.dropped > 0
        assert len(heard) + other.dropped == sent + 1

    async def test_weakness_06_a_busy_port_is_an_error_that_names_the_port(self, udp: Udp) -> None:
        first = await udp.open("0.0.0.0", 0)
        port = first.local[1]
        for host in ("0.0.0.0", LOOPBACK):
            with pytest.raises(MediumError) as caught:
                await udp.open(host, port)
            assert caught.value.reason is Reason.PORT_BUSY
            assert caught.value.code == errno.EADDRINUSE
            assert str(port) in str(caught.value)
            assert str(port) in caught.value.hint
        await first.send(b"still there", LOOPBACK, port)
        assert (await asyncio.wait_for(first.receive(), 10)).data == b"still there"
        await first.close()
        again = await udp.open("0.0.0.0", port)
        assert again.local == ("0.0.0.0", port)

    async def test_a_closed_socket_leaves_no_descriptor(self, udp: Udp) -> None:
        endpoint = await udp.open(LOOPBACK, 0)
        port = endpoint.local[1]
        await endpoint.close()
        await endpoint.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind((LOOPBACK, port))
        assert endpoint.local == (LOOPBACK, port)
        with pytest.raises(MediumError):
            await endpoint.send(b"x", LOOPBACK, port)
        with pytest.raises(MediumError):
            await endpoint.receive()

    async def test_close_wakes_every_receive(self, udp: Udp) -> None:
        endpoint = await udp.open(LOOPBACK, 0)
        waiting = [asyncio.ensure_future(endpoint.receive()) for _ in range(3)]
        await asyncio.sleep(0)
        await endpoint.close()
        results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)
        assert [type(result) for result in results] == [MediumError] * 3
        assert len({id(result) for result in results}) == 3

    async def test_closing_the_platform_closes_endpoints_and_opens_no_more(
        self, platform: Platform, udp: Udp
    ) -> None:
        endpoint = await udp.open(LOOPBACK, 0)
        waiting = asyncio.ensure_future(endpoint.receive())
        await asyncio.sleep(0)
        await platform.close()
        await platform.close()
        with pytest.raises(MediumError):
            await asyncio.wait_for(waiting, 10)
        with pytest.raises(MediumError):
            await udp.open(LOOPBACK, 0)

    @pytest.mark.parametrize(
        ("host", "port", "code"),
        [
            ("203.0.113.77", 0, errno.EADDRNOTAVAIL),
            ("localhost", 0, errno.EINVAL),
            ("", 0, errno.EINVAL),
            ("1.2.3", 0, errno.EINVAL),
            ("1.2.3.4\0", 0, errno.EINVAL),
            ("::1", 0, errno.EINVAL),
            (LOOPBACK, -1, errno.EINVAL),
            (LOOPBACK, 65536, errno.EINVAL),
        ],
    )
    async def test_an_address_that_cannot_be_bound(self, udp: Udp, host: str, port: int, code: int) -> None:
        with pytest.raises(MediumError) as caught:
            await udp.open(host, port)
        assert (caught.value.reason, caught.value.code) == (Reason.MEDIUM, code)
        assert caught.value.hint

    @pytest.mark.parametrize("interface", ["no-such-iface", "much-too-long-a-name-for-an-interface", "a\0b"])
    async def test_an_interface_that_is_not_there(self, udp: Udp, interface: str) -> None:
        with pytest.raises(MediumError) as caught:
            await udp.open("0.0.0.0", 0, interface=interface)
        assert caught.value.code is not None

    async def test_one_interface_only(self, udp: Udp) -> None:
        device = await udp.open("0.0.0.0", 0, interface="lo")
        phone = await udp.open(LOOPBACK, 0)
        await phone.send(b"over lo", LOOPBACK, device.local[1])
        assert (await asyncio.wait_for(device.receive(), 10)).data == b"over lo"

    async def test_a_multicast_group(self, udp: Udp) -> None:
        group = "239.255.77.88"
        device = await udp.open("0.0.0.0", 0, interface="lo", groups=[group])
        phone = await udp.open(LOOPBACK, 0, groups=[group])
        await phone.send(b"to the group", group, device.local[1])
        assert (await asyncio.wait_for(device.receive(), 10)).data == b"to the group"

    @pytest.mark.parametrize("group", ["not a group", "192.168.1.1"])
    async def test_a_group_that_is_none(self, udp: Udp, group: str) -> None:
        with pytest.raises(MediumError):
            await udp.open(LOOPBACK, 0, groups=[group])

    async def test_a_refused_send_leaves_the_endpoint_usable(self, udp: Udp) -> None:
        one, other = await udp.open(LOOPBACK, 0), await udp.open(LOOPBACK, 0)
        for host, port in (("8.8.8.8", 53), ("not an address", 1), (LOOPBACK, 0), (LOOPBACK, 70000)):
            with pytest.raises(MediumError) as caught:  # from 127.0.0.1 there is no way to the outside
                await one.send(b"x", host, port)
            assert caught.value.code == errno.EINVAL
        await one.send(b"usable", *other.local)
        assert (await asyncio.wait_for(other.receive(), 10)).data == b"usable"

    async def test_an_icmp_error_does_not_kill_the_endpoint(self, udp: Udp) -> None:
        one, other = await udp.open(LOOPBACK, 0), await udp.open(LOOPBACK, 0)
        gone = await udp.open(LOOPBACK, 0)
        await gone.close()
        raw_socket(one).setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)  # makes the system report ICMP errors
        waiting = asyncio.ensure_future(one.receive())
        for _ in range(5):
            with contextlib.suppress(MediumError):  # the report of the one before may come here
                await one.send(b"into the void", *gone.local)
            await asyncio.sleep(0)
        assert not waiting.done()
        await other.send(b"alive", *one.local)
        assert (await asyncio.wait_for(waiting, 10)).data == b"alive"

    async def test_a_full_send_buffer_waits_and_can_be_closed(
        self, udp: Udp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other = await udp.open(LOOPBACK, 0), await udp.open(LOOPBACK, 0)
        full = FullSocket(raw_socket(one))
        monkeypatch.setattr(inner(one), "_socket", full)
        full.times = 2
        await asyncio.wait_for(one.send(b"at last", *other.local), 10)
        assert (await asyncio.wait_for(other.receive(), 10)).data == b"at last"
        full.times = 10**9
        sending = asyncio.ensure_future(one.send(b"never", *other.local))
        await asyncio.sleep(0)
        await one.close()
        with pytest.raises(MediumError):
            await asyncio.wait_for(sending, 10)


class FullSocket:
    """A socket that has no room for the next sends."""

    def __init__(self, real: socket.socket) -> None:
        self._real = real
        self.times = 0

    def sendto(self, data: bytes, address: tuple[str, int]) -> int:
        if self.times:
            self.times -= 1
            raise BlockingIOError(errno.EAGAIN, "no room")
        return self._real.sendto(data, address)

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)


def inner(endpoint: Endpoint) -> Endpoint:
    """The endpoint that has the socket; a bad medium wraps it."""
    return getattr(endpoint, "_endpoint", endpoint)


def raw_socket(endpoint: Endpoint) -> socket.socket:
    found = inner(endpoint)._socket  # type: ignore[attr-defined]
    assert isinstance(found, socket.socket)
    return found
