"""A codec on several ports: which door hears what, busy ports, where broadcasts leave."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence

import pytest

from qiot.errors import MediumError
from qiot.hal.contract import ListenContext
from qiot.hal.linux.udp import SocketUdp
from qiot.model import Event, Outcome, Peer, Reason, Step
from qiot.protocols.base import Input, News, Output, Seen, Send
from qiot.wifi_config.drivers.udp import UdpListener

NEWS = Event(1, 0.0, 1, Step.JOINING, Outcome.OK)
PATIENCE = 10.0


class Echo:
    """Says what it hears by which door; tells three copies to somebody."""

    def __init__(self, to: str = "") -> None:
        self.to = to
        self.due: list[float] = []

    def feed(self, port: str, data: Input, peer: Peer, now: float) -> Sequence[Output]:
        assert isinstance(data, bytes)
        return [Seen(0, None, f"{port}: {data.decode()}"), Send(port, b"heard", peer)]

    def tell(self, news: News, now: float) -> Sequence[Output]:
        self.due = [now + 0.01, now + 0.02]
        return [Send("one", b"told", Peer("m", self.to))]

    def deadline(self) -> float | None:
        return self.due[0] if self.due else None

    def tick(self, now: float) -> Sequence[Output]:
        sends = [Send("one", b"told", Peer("m", self.to)) for due in self.due if due <= now]
        self.due = [due for due in self.due if due > now]
        return sends


@pytest.fixture
async def udp() -> AsyncIterator[SocketUdp]:
    made = SocketUdp()
    yield made
    await made.close()


@pytest.fixture
def phone() -> AsyncIterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(PATIENCE)
        yield sock


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listener(udp: SocketUdp, codec: Echo, **options) -> UdpListener:
    options.setdefault("port", 0)
    return UdpListener(udp, codec, door="one", method="m", host="127.0.0.1", **options)


async def heard(listening: UdpListener, count: int) -> set[str]:
    texts: set[str] = set()
    async with asyncio.timeout(PATIENCE):
        while len(texts) < count:
            texts |= {each.text for each in await listening.read() if isinstance(each, Seen)}
    return texts


async def test_each_port_is_a_door_of_its_own_and_answers_from_there(udp, phone) -> None:
    second = free_port()
    listening = listener(udp, Echo(), more={"two": second})
    await listening.start(ListenContext("", ""))
    phone.sendto(b"a", listening.local)
    phone.sendto(b"b", ("127.0.0.1", second))
    assert await heard(listening, 2) == {"one: a", "two: b"}
    senders = {phone.recvfrom(100)[1][1] for _ in range(2)}
    assert senders == {listening.local[1], second}
    await listening.stop()
    await listening.stop()
    assert not udp._endpoints


async def test_a_busy_port_ends_the_start_and_nothing_is_left_of_it(udp, phone) -> None:
    listening = listener(udp, Echo(), more={"two": phone.getsockname()[1]})
    with pytest.raises(MediumError) as error:
        await listening.start(ListenContext("", ""))
    assert error.value.reason is Reason.PORT_BUSY
    assert not udp._endpoints


async def test_where_any_port_will_do_a_busy_one_is_only_said(udp, phone, caplog) -> None:
    codec = Echo()
    listening = listener(udp, codec, port=phone.getsockname()[1], any_port=True)
    await listening.start(ListenContext("", ""))
    assert listening.local[1] != phone.getsockname()[1]
    assert "in use" in caplog.text
    codec.to = "{}:{}".format(*phone.getsockname())
    await listening.tell(NEWS)
    assert phone.recvfrom(100) == (b"told", listening.local)
    await listening.stop()


async def test_drain_waits_for_the_copies_but_not_for_who_announces_for_ever(udp, phone) -> None:
    to = "{}:{}".format(*phone.getsockname())
    listening = listener(udp, Echo(to))
    await listening.start(ListenContext("", ""))
    reading = asyncio.create_task(listening.read())
    await listening.tell(NEWS)
    async with asyncio.timeout(PATIENCE):
        await listening.drain()
    assert [phone.recvfrom(100)[0] for _ in range(3)] == [b"told"] * 3
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await listening.stop()

    announcing = listener(udp, Echo(to), announces=True)
    await announcing.start(ListenContext("", ""))
    await announcing.tell(NEWS)
    await announcing.drain()  # nobody reads: its copies never end
    await announcing.stop()


async def test_what_goes_to_everybody_leaves_by_the_networks_own_address(udp) -> None:
    everybody = "127.255.255.255"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("0.0.0.0", 0))
        ear.settimeout(PATIENCE)
        codec = Echo(f"{everybody}:{ear.getsockname()[1]}")
        listening = UdpListener(
            udp,
            codec,
            door="one",
            method="m",
            host="0.0.0.0",
            port=0,
            broadcasts=(everybody, "127.0.7.7"),
        )
        await listening.start(ListenContext("", ""))
        await listening.tell(NEWS)
        assert ear.recvfrom(100)[1][0] == "127.0.7.7"
        await listening.stop()
        assert not udp._endpoints


async def test_an_address_that_is_only_simulated_costs_nothing(udp) -> None:
    listening = UdpListener(
        udp, Echo(), door="one", method="m", host="0.0.0.0", port=0, broadcasts=("127.0.0.1", "192.0.2.9")
    )
    await listening.start(ListenContext("", ""))
    assert len(udp._endpoints) == 1
    await listening.stop()
