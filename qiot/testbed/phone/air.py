"""Sends what an encoder of a method over the air gives, at the protocol's own pace.

What is sent means nothing: who, to whom, how long and in what order is the message. So the sender knows no
protocol, and what it sends into is a sink: UDP sockets here, a phone of the simulated air in `qiot.sim`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final, Protocol

from qiot.errors import MediumError
from qiot.model import Reason
from qiot.protocols.air.casts import Cast
from qiot.sim.clock import Clock, LoopClock
from qiot.sim.phone import Phone

__all__ = ["AirSender", "PhoneSink", "Sink", "UdpSink", "open_udp_sink"]

_LATE: Final = 0.05
"""Seconds of lateness up to which the schedule is caught up with; a longer one moves all that follows."""
_FAILURES_MAX: Final = 100
"""Datagrams in a row that the network may refuse, as it does while the phone changes access points."""


class Sink(Protocol):
    """Takes datagrams."""

    async def send(self, to: str, port: int, length: int) -> None:
        """Send one datagram.

        Args:
            to: IPv4 address, dotted; broadcast or multicast.
            port: UDP port.
            length: Octets of payload, 0 or more; which octets does not matter.

        Raises:
            MediumError: The medium cannot send at all.
        """
        ...


class AirSender:
    """Sends datagrams when their time has come.

    Args:
        casts: What to send; asked for one after the other.
        sink: Where to.
        on_part: Is told the part of a datagram, such as "guide", when it is the first of its kind.
        clock: Where time comes from; the running loop's clock by default.

    Attributes:
        sent: Datagrams so far.
    """

    def __init__(
        self,
        casts: Iterable[Cast],
        sink: Sink,
        *,
        on_part: Callable[[str], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.sent = 0
        self._casts = casts
        self._sink = sink
        self._on_part = on_part
        self._clock: Clock = clock or LoopClock()

    async def run(self) -> None:
        """Send all of them. Cancelling stops after the last whole datagram.

        Raises:
            MediumError: The sink cannot send.
        """
        clock, parts = self._clock, set[str]()
        start = clock.now()
        for cast in self._casts:
            ahead = start + cast.t - clock.now()
            if ahead > 0:
                await clock.sleep(ahead)
            elif ahead < -_LATE:
                # What should have gone out long ago must not go out at once: a burst gets lost in queues.
                start -= ahead
            if cast.part not in parts:
                parts.add(cast.part)
                if self._on_part is not None:
                    self._on_part(cast.part)
            await self._sink.send(cast.to, cast.port, cast.length)
            self.sent += 1


class UdpSink:
    """The computer's own network; made by `open_udp_sink`.

    Args:
        sock: Non-blocking, may broadcast.
        fill: The octet that payloads are full of, 0 to 255.
    """

    def __init__(self, sock: socket.socket, fill: int) -> None:
        self._sock = sock
        self._fill = bytes((fill,))
        self._failures = _FAILURES_MAX

    async def send(self, to: str, port: int, length: int) -> None:
        """Send one datagram; a single one that the network refuses is lost, as it is in the air.

        Raises:
            MediumError: The network refused the very first one, or many in a row.
        """
        try:
            await asyncio.get_running_loop().sock_sendto(self._sock, self._fill * length, (to, port))
        except OSError as error:
            self._failures += 1
            if self._failures > _FAILURES_MAX:
                raise _unsendable(to, error) from error
        else:
            self._failures = 0


class PhoneSink:
    """A phone of the simulated world: what it sends is in that world's air.

    Args:
        phone: Joined to an access point.
    """

    def __init__(self, phone: Phone) -> None:
        self._phone = phone

    async def send(self, to: str, port: int, length: int) -> None:
        """Send one datagram.

        Raises:
            MediumError: The phone is not joined.
        """
        try:
            self._phone.send_datagram(to, port, length)
        except ValueError as error:
            raise MediumError(str(error), hint="Let the phone join an access point first.") from error


def _unsendable(to: str, error: OSError) -> MediumError:
    """Why nothing can be sent."""
    if error.errno in {errno.EACCES, errno.EPERM}:
        return MediumError(
            f"this computer may not send to {to}: {error.strerror}",
            reason=Reason.NO_PERMISSION,
            code=error.errno,
            hint="Look at its firewall.",
        )
    return MediumError(
        f"nothing can be sent to {to}: {error.strerror or error}",
        code=error.errno,
        hint="Join the Wi-Fi network first; --interface or --host says which one to send in.",
    )


@contextlib.asynccontextmanager
async def open_udp_sink(host: str, *, fill: int = 0) -> AsyncIterator[UdpSink]:
    """Open a socket that sends to broadcast and multicast addresses; nothing of it is left afterwards.

    Args:
        host: The IPv4 address to send from: it chooses the network (ip(7)). Empty for the default route's.
        fill: The octet that payloads are full of, 0 to 255.

    Raises:
        MediumError: This computer does not have the address (code: errno).
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        try:
            if host:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(host))
            sock.bind((host, 0))
        except OSError as error:
            raise MediumError(
                f"cannot send from {host}: {error.strerror or error}",
                code=error.errno,
                hint="Give --host an IPv4 address of this computer, or --interface its network interface.",
            ) from error
        yield UdpSink(sock, fill)
    finally:
        sock.close()
