"""The gate in front of the broker: one client's connection, as only this platform handles it.

The gate reads CONNECT and checks it, watches over keep-alive and the device's topics, and sends every answer
through the faults. What is left, sessions and subscriptions, is the broker's. Messages of devices stop at the
gate and are answered by the platform: no device may hear another's, and amqtt closes connections that publish
to topics with a leading "$".
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from qiot.errors import ProtocolError
from qiot.testbed.cloud import access
from qiot.testbed.cloud.journal import Kind, shown
from qiot.testbed.cloud.outgoing import Outgoing
from qiot.testbed.cloud.packets import (
    LEVEL,
    Connect,
    Packet,
    PacketType,
    Publish,
    Topics,
    connack,
    plain_connect,
    puback,
    read_packet,
)
from qiot.testbed.cloud.registry import Device
from qiot.testbed.cloud.rlink.units import Applicant, Unit

if TYPE_CHECKING:
    from qiot.testbed.cloud.broker import MqttService

__all__ = ["Client", "Connection"]

Client = Device | Unit | Applicant
"""Who may be at the other end."""

_CONNECT_WAIT: Final = 10.0
"""Seconds in which CONNECT has to come."""
_BROKER_WAIT: Final = 5.0
"""Seconds in which the broker has to answer or to end; it takes milliseconds."""
_QOS_MAX: Final = 1
"""The platform has no QoS 2."""
_PING: Final = bytes(Packet(PacketType.PINGREQ, 0, b""))
_BODY: Final = {PacketType.PINGREQ: 0, PacketType.PUBACK: 2}


class Connection:
    """One client's connection.

    Args:
        service: The broker and what is common to all connections.
        reader: From the client.
        writer: To the client; whoever made it closes it.
    """

    def __init__(
        self, service: MqttService, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._service = service
        self._reader = reader
        self._writer = writer
        self._outgoing = Outgoing(writer, service.faults, self._accepted)
        self._device: Client | None = None
        self._asked: dict[int, Topics] = {}
        self._answered = asyncio.Event()
        self._started = asyncio.Event()
        self._ended = asyncio.Event()
        self._task = asyncio.current_task()

    @property
    def peer(self) -> tuple[str, int]:
        """Host and port of the client."""
        found = self._writer.get_extra_info("peername") or ("", 0)
        return found[0], found[1]

    async def run(self) -> None:
        """Serve until the end."""
        try:
            connect = await self._admit()
            if connect is not None and self._device is not None:
                await self._session(self._device, connect)
            await self._outgoing.flush()
        except ProtocolError as error:
            self._note(Kind.ERROR, f"closed: {error}")
        except (ConnectionError, TimeoutError):
            self._note(Kind.DISCONNECT, "connection lost")
        finally:
            await self._outgoing.close()
            self._ended.set()

    async def end(self) -> None:
        """End it, and return when the broker has let go of it."""
        if self._task is not None:
            self._task.cancel()
        await self._ended.wait()

    def send(self, packet: Packet) -> None:
        """Send a packet, the broker's or the platform's, to the client."""
        if not self._started.is_set():
            # Before the session is up, only CONNACK goes out; the ping's answer says that it is.
            if packet.type is PacketType.PINGRESP:
                self._started.set()
            if packet.type is not PacketType.CONNACK:
                return
        if packet.type in {PacketType.SUBACK, PacketType.UNSUBACK}:
            self._subscribed(packet)
        self._outgoing.send(packet)

    async def _admit(self) -> Connect | None:
        """Read CONNECT and check it; a refusal is answered here."""
        async with asyncio.timeout(_CONNECT_WAIT):
            packet = await read_packet(self._reader, PacketType.CONNECT)
        if packet is None:
            return None
        connect = Connect.parse(packet)
        self._device = self._service.registry.by_client_id(connect.client_id)
        code, why = self._verdict(connect)
        secure = self._writer.get_extra_info("ssl_object") is not None
        facts = {"client_id": connect.client_id, "keep_alive": connect.keep_alive, "tls": secure}
        self._note(Kind.CONNECT, why, code=code, **facts)
        if code == 0:
            return connect
        self._outgoing.send(connack(code))
        await self._outgoing.flush()
        while self._outgoing.muted and await self._reader.read(65536):
            pass
        return None

    def _verdict(self, connect: Connect) -> tuple[int, str]:
        if connect.level != LEVEL:
            return access.BAD_PROTOCOL, "not MQTT 3.1.1"
        certificate = access.common_name(self._writer.get_extra_info("peercert"))
        login = access.Login(connect.client_id, connect.user_name, connect.password, certificate)
        code, why = access.check_login(login, self._device)
        if code == 0 and self._device is not None and self._service.too_early(self._device):
            return access.UNAVAILABLE, "the last connection is too fresh"
        return code, why

    async def _session(self, device: Client, connect: Connect) -> None:
        await self._service.take_over(device, self)
        pipe = asyncio.StreamReader()
        # An end of the stream that amqtt meets before its handler has fully started is lost on it, and the
        # session would stay for ever: so nothing more goes in before a ping of our own has come back.
        pipe.feed_data(bytes(plain_connect(connect)) + _PING)
        broker = asyncio.create_task(self._service.attach(self, pipe))
        broker.add_done_callback(lambda _: self._started.set())
        # MQTT-3.1.2-24: one and a half times the keep-alive without a packet ends the connection.
        patience = connect.keep_alive * 1.5 or None
        try:
            await self._started.wait()
            while (packet := await self._next(patience)) is not None:
                if not await self._take(device, packet, pipe):
                    break
        finally:
            pipe.feed_eof()
            await self._finish(broker)
            self._service.left(device, self)
            self._note(Kind.DISCONNECT, "disconnected")

    async def _finish(self, broker: asyncio.Task[Any]) -> None:
        """Wait for the broker's part of the connection, which ends by itself once its stream has."""
        await asyncio.wait({broker}, timeout=_BROKER_WAIT)
        broker.cancel()
        results = await asyncio.gather(broker, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                self._note(Kind.ERROR, f"{type(result).__name__} in the broker")

    async def _next(self, patience: float | None) -> Packet | None:
        async with asyncio.timeout(patience):
            return await read_packet(self._reader)

    async def _take(self, device: Client, packet: Packet, pipe: asyncio.StreamReader) -> bool:
        """Handle one packet of the client; False where the connection is to be closed."""
        match packet.type:
            case PacketType.PUBLISH:
                return self._publish(device, Publish.parse(packet))
            case PacketType.SUBSCRIBE | PacketType.UNSUBSCRIBE:
                topics = Topics.parse(packet)
                self._asked[topics.packet_id] = topics
                self._answered.clear()
                pipe.feed_data(bytes(packet))
                # A message that follows at once must find the subscription in force.
                async with asyncio.timeout(_BROKER_WAIT):
                    await self._answered.wait()
            case PacketType.PINGREQ | PacketType.PUBACK if len(packet.body) == _BODY[packet.type]:
                pipe.feed_data(bytes(packet))
            case PacketType.DISCONNECT:
                pipe.feed_data(bytes(packet))
                return False
            case _:
                raise ProtocolError(f"{packet.type.name} is not possible here")
        return True

    def _publish(self, device: Client, message: Publish) -> bool:
        allowed = access.may_publish(device, message.topic) and message.qos <= _QOS_MAX
        code = 0 if allowed else access.NOT_AUTHORIZED
        facts = {"qos": message.qos, "payload": shown(message.payload)}
        self._note(Kind.PUBLISH, message.topic, code=code, **facts)
        if not allowed:
            return False
        if message.packet_id is not None:
            self._outgoing.send(puback(message.packet_id))
        self._service.received(message.topic, message.payload)
        return True

    def _subscribed(self, packet: Packet) -> None:
        topics = self._asked.pop(int.from_bytes(packet.body[:2], "big"), None)
        if topics is not None and packet.type is PacketType.SUBACK:
            for topic, granted in zip(topics.filters, packet.body[2:], strict=False):
                text = "refused" if granted & 0x80 else "subscribed"
                self._note(Kind.SUBSCRIBE, text, code=granted, topic=topic)
        self._answered.set()

    def _accepted(self) -> None:
        if self._device is not None:
            self._service.accepted(self._device)

    def _note(self, kind: Kind, text: str, *, code: int | None = None, **detail: object) -> None:
        device = self._device.path if self._device is not None else ""
        self._service.journal.note(kind, text, device=device, code=code, **detail)
