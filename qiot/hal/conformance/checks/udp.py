"""Udp: real sockets, busy ports told, a bounded queue that counts."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

from qiot.errors import MediumError
from qiot.hal.conformance.bench import CUTS, Bench
from qiot.hal.conformance.check import check, expect, not_claimed
from qiot.hal.contract import Datagram, Endpoint, Udp
from qiot.model import Reason

_ALL: Final = "0.0.0.0"  # noqa: S104 - every address of the platform
_LOOPBACK: Final = "lo"
_GROUP: Final = "239.255.77.1"
"""A group of this site's own (RFC 2365, 6.1)."""
_FLOOD: Final = 4000
_BURST: Final = 20
"""Datagrams that any system takes before somebody reads them."""
_LARGE: Final = 1400
"""Octets of a datagram that fits every link."""
_FRAGMENTED: Final = 9000
"""Octets of one that the system's own sockets take, in several packets where it has to be."""


async def _endpoint(bench: Bench, host: str = "", port: int = 0) -> Endpoint:
    udp = bench.port(Udp)
    return await bench.call("Udp.open", udp.open(host or _reach(bench), port))


def _reach(bench: Bench) -> str:
    reach = bench.environment.reach
    if reach is None:
        not_claimed("the environment cannot reach the platform's sockets (reach)")
    return reach


@contextlib.contextmanager
def _outside(bench: Bench) -> Iterator[socket.socket]:
    """A socket of this process, as the other side."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.setblocking(False)
        made.bind((_reach(bench), 0))
        yield made


async def _heard(bench: Bench, outside: socket.socket) -> tuple[bytes, tuple[str, int]]:
    loop = asyncio.get_running_loop()
    heard: tuple[bytes, tuple[str, int]] = await bench.call(
        "a datagram from the platform", loop.sock_recvfrom(outside, 65535)
    )
    return heard


async def _receive(bench: Bench, endpoint: Endpoint) -> Datagram:
    return await bench.call("Endpoint.receive", endpoint.receive())


@check(Udp, "send, receive")
async def datagrams_go_both_ways_with_the_address_of_their_header(bench: Bench) -> None:
    """Whole, the empty and a large one too."""
    endpoint = await _endpoint(bench)
    here = endpoint.local[0]
    expect(here == _reach(bench), f"{_reach(bench)} was asked for, it is bound to {here}")
    with _outside(bench) as outside:
        larger = [b"x" * _FRAGMENTED] if _reach(bench) == "127.0.0.1" else []
        for data in (b"hello", b"", b"x" * _LARGE, *larger):
            outside.sendto(data, (_reach(bench), endpoint.local[1]))
            heard = await _receive(bench, endpoint)
            expect(heard.data == data, f"{len(data)} octets were sent, {len(heard.data)} came")
            here = outside.getsockname()
            expect((heard.host, heard.port) == here, f"it says {heard.address}, it was sent by {here}")
            await bench.call("Endpoint.send", endpoint.send(data, heard.host, heard.port))
            back, _ = await _heard(bench, outside)
            expect(back == data, f"{len(data)} octets were sent back, {len(back)} came")


@check(Udp, "open")
async def a_busy_port_is_never_silent(bench: Bench) -> None:
    """PORT_BUSY for the second, and the first goes on."""
    udp, first = bench.port(Udp), await _endpoint(bench)
    port = first.local[1]
    error = await bench.refused(
        "Udp.open", udp.open(_reach(bench), port), MediumError, reasons=(Reason.PORT_BUSY,)
    )
    expect(error.code is not None, "PORT_BUSY without the system's number")
    with _outside(bench) as outside:
        outside.sendto(b"still there", (_reach(bench), port))
        expect((await _receive(bench, first)).data == b"still there", "the first endpoint lost a datagram")
    await bench.call("Endpoint.close", first.close())
    again = await _endpoint(bench, port=port)
    expect(again.local[1] == port, f"port {port} was asked for, {again.local[1]} was given")


@check(Udp, "open")
async def a_port_of_another_program_is_busy_and_ours_is_not_taken(bench: Bench) -> None:
    """Neither side may share it unasked, which SO_REUSEADDR and SO_REUSEPORT would allow."""
    udp = bench.port(Udp)
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.setsockopt(socket.SOL_SOCKET, option, 1)
            other.bind((_reach(bench), 0))
            busy = udp.open(_reach(bench), other.getsockname()[1])
            await bench.refused("Udp.open", busy, MediumError, reasons=(Reason.PORT_BUSY,))
        ours = await _endpoint(bench)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
            thief.setsockopt(socket.SOL_SOCKET, option, 1)
            try:
                thief.bind((_reach(bench), ours.local[1]))
            except OSError:
                continue
            expect(condition=False, why="another program can take our port over in silence")


@check(Udp, "open")
async def what_cannot_be_bound_is_typed(bench: Bench) -> None:
    """An address that is not ours, none at all, a port and an interface that do not exist."""
    udp = bench.port(Udp)
    for host, port in (
        ("203.0.113.77", 0),
        ("not an address", 0),
        ("", 0),
        (_ALL, 65536),
        (_ALL, -1),
    ):
        await bench.refused("Udp.open", udp.open(host, port), MediumError)
    for interface in ("no-such-iface", "much-too-long-a-name-for-an-interface"):
        await bench.refused("Udp.open", udp.open(_ALL, 0, interface=interface), MediumError)
    await bench.refused("Udp.open", udp.open(_ALL, 0, groups=["192.168.1.1"]), MediumError)


@check(Udp, "open")
async def a_group_is_heard(bench: Bench) -> None:
    """By who asked for it, and on the interface that was asked for."""
    if _reach(bench) != "127.0.0.1" or _LOOPBACK not in {name for _, name in socket.if_nameindex()}:
        not_claimed("the environment reaches the platform by no multicast that is known here")
    opening = bench.port(Udp).open(_ALL, 0, interface=_LOOPBACK, groups=[_GROUP])
    endpoint = await bench.call("Udp.open", opening)
    with _outside(bench) as outside:
        outside.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        outside.sendto(b"to all", (_GROUP, endpoint.local[1]))
        hanging = f"a datagram to the group {_GROUP}, which was asked for, did not come"
        heard = await bench.call("Endpoint.receive", endpoint.receive(), hanging=hanging)
        expect(heard.data == b"to all", f"{heard.data!r} came, which was not sent to the group")


@check(Udp, "open")
async def broadcast_only_where_it_was_asked_for(bench: Bench) -> None:
    """NO_PERMISSION for the others."""
    if _reach(bench) != "127.0.0.1":
        not_claimed("the environment reaches the platform by no broadcast address that is known here")
    udp = bench.port(Udp)
    plain = await _endpoint(bench)
    allowed = await bench.call("Udp.open", udp.open("127.0.0.1", 0, broadcast=True))
    send = plain.send(b"x", "127.255.255.255", 9)
    await bench.refused("Endpoint.send", send, MediumError, reasons=(Reason.NO_PERMISSION,))
    await bench.call("Endpoint.send", allowed.send(b"x", "127.255.255.255", 9))


@check(Udp, "receive")
async def the_queue_is_bounded_and_drops_are_counted(bench: Bench) -> None:
    """Every datagram is either received or counted, in order, and the queue does not grow for ever."""
    endpoint = await _endpoint(bench)
    with _outside(bench) as outside:
        for number in range(_FLOOD):
            outside.sendto(number.to_bytes(4, "big"), (_reach(bench), endpoint.local[1]))
            if not number % _BURST:  # the platform may read; nobody reads from it
                await asyncio.sleep(0)
        received = []
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(0.2 * bench.patience):
                    received.append(int.from_bytes((await endpoint.receive()).data, "big"))
        outside.sendto(b"last", (_reach(bench), endpoint.local[1]))  # some systems tell their drops only now
        expect((await _receive(bench, endpoint)).data == b"last", "it stopped receiving after a flood")
    expect(received == sorted(set(received)), "datagrams came out of order or twice")
    lost = _FLOOD - len(received)
    expect(len(received) < _FLOOD, f"{_FLOOD} datagrams wait unread: the queue has no bound")
    expect(endpoint.dropped == lost, f"{lost} datagrams were lost, dropped says {endpoint.dropped}")


@check(Udp, "receive")
async def a_cancelled_receive_loses_nothing(bench: Bench) -> None:
    """Wherever it is cut off: the next receive gives the datagram."""
    endpoint = await _endpoint(bench)
    with _outside(bench) as outside:
        for turns in range(CUTS):
            data = f"kept {turns}".encode()
            waiting = asyncio.ensure_future(endpoint.receive())
            await asyncio.sleep(0)
            outside.sendto(data, (_reach(bench), endpoint.local[1]))
            for _ in range(turns):
                await asyncio.sleep(0)
            waiting.cancel()
            (result,) = await asyncio.gather(waiting, return_exceptions=True)
            if not isinstance(result, Datagram):
                lost = f"a receive that was cut off after {turns} turns lost its datagram"
                result = await bench.call("Endpoint.receive", endpoint.receive(), hanging=lost)
            expect(result.data == data, f"{result.data!r} came, where {data!r} was due")


@check(Udp, "send")
async def a_refused_send_leaves_the_endpoint_open(bench: Bench) -> None:
    """MediumError with the system's number, and then it works again."""
    endpoint = await _endpoint(bench)
    for host, port in (("not an address", 1), (_reach(bench), 0), (_reach(bench), 70000)):
        await bench.refused("Endpoint.send", endpoint.send(b"x", host, port), MediumError)
    await bench.refused("Endpoint.send", endpoint.send(b"x" * 70_000, _reach(bench), 9), MediumError)
    with _outside(bench) as outside:
        await bench.call("Endpoint.send", endpoint.send(b"usable", *outside.getsockname()))
        expect((await _heard(bench, outside))[0] == b"usable", "a send after a refused one went wrong")


@check(Udp, "send")
async def a_peer_that_is_gone_does_not_kill_the_endpoint(bench: Bench) -> None:
    """ICMP errors are about one datagram."""
    endpoint = await _endpoint(bench)
    with _outside(bench) as gone:
        nobody = gone.getsockname()
    for _ in range(5):
        with contextlib.suppress(MediumError):
            await endpoint.send(b"into the void", *nobody)
    with _outside(bench) as outside:
        waiting = await bench.pending(endpoint.receive())
        outside.sendto(b"alive", (_reach(bench), endpoint.local[1]))
        heard = await bench.call("Endpoint.receive", waiting)
        expect(heard.data == b"alive", "the endpoint does not hear after an ICMP error")


@check(Udp, "close")
async def close_ends_every_receive_and_frees_the_port(bench: Bench) -> None:
    """Idempotent; afterwards the endpoint refuses, and the port can be bound by others."""
    endpoint = await _endpoint(bench)
    local = endpoint.local
    waiting = [await bench.pending(endpoint.receive()) for _ in range(3)]
    for _ in range(2):
        await bench.call("Endpoint.close", endpoint.close())
    for each in waiting:
        await bench.ends("Endpoint.close", each, MediumError)
    await bench.refused("Endpoint.receive", endpoint.receive(), MediumError)
    await bench.refused("Endpoint.send", endpoint.send(b"x", *local), MediumError)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        try:
            other.bind((_reach(bench), local[1]))
        except OSError as error:
            expect(condition=False, why=f"the port of a closed endpoint cannot be bound: {error}")


@check(Udp, "open")
async def closing_the_platform_closes_endpoints(bench: Bench) -> None:
    """And ends those who wait in them."""
    endpoint = await _endpoint(bench)
    waiting = await bench.pending(endpoint.receive())
    await bench.close(bench.platform)
    await bench.ends("Platform.close", waiting, MediumError)


@check(Udp, "open")
async def a_cancelled_open_leaves_nothing(bench: Bench) -> None:
    """No socket on the port: it can be bound at once."""
    udp = bench.port(Udp)
    with _outside(bench) as outside:
        port = outside.getsockname()[1]
    opening = asyncio.ensure_future(udp.open(_reach(bench), port))
    await asyncio.sleep(0)
    if opening.done() or not await bench.cancelled("Udp.open", opening, 0.0):
        await bench.call("Endpoint.close", opening.result().close())
    again = await _endpoint(bench, port=port)
    expect(again.local[1] == port, f"port {port} was asked for, {again.local[1]} was given")
