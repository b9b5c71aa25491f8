"""The embedded broker (amqtt) behind the gate, and what is common to all MQTT connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from amqtt.adapters import StreamReaderAdapter, WriterAdapter  # type: ignore[import-untyped]
from amqtt.broker import Broker  # type: ignore[import-untyped]
from amqtt.contexts import (  # type: ignore[import-untyped]
    Action,
    BaseContext,
    BrokerConfig,
    ListenerConfig,
    ListenerType,
)
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin  # type: ignore[import-untyped]
from amqtt.session import Session  # type: ignore[import-untyped]

from qiot.testbed.cloud import access
from qiot.testbed.cloud.faults import Faults
from qiot.testbed.cloud.gate import Client, Connection
from qiot.testbed.cloud.journal import Journal, Kind, shown
from qiot.testbed.cloud.packets import Packet, publish
from qiot.testbed.cloud.registry import Device, Registry

__all__ = ["MqttService"]

_LISTENER: Final = "default"


class MqttService:
    """Serves MQTT connections.

    Args:
        registry: The devices.
        faults: What goes wrong with the answers.
        journal: Where everything is written down.
        answer: Takes a device's message (topic, payload) and gives the answers.
        connect_interval: Seconds between two connections of one device (contract section 9).
    """

    def __init__(
        self,
        registry: Registry,
        faults: Faults,
        journal: Journal,
        answer: Callable[[str, bytes], Iterator[tuple[str, bytes]]],
        connect_interval: float,
    ) -> None:
        self.registry = registry
        self.faults = faults
        self.journal = journal
        self._answer = answer
        self._interval = connect_interval
        self._broker: Broker | None = None
        self._connections: dict[str, Connection] = {}
        self._accepted: dict[str, float] = {}

    async def start(self) -> None:
        """Start the broker."""
        _silence()
        plugins = {
            f"{_AllowPlugin.__module__}.{_AllowPlugin.__name__}": {},
            f"{_TopicPlugin.__module__}.{_TopicPlugin.__name__}": {"registry": self.registry},
        }
        listener = ListenerConfig(type=ListenerType.EXTERNAL)
        self._broker = Broker(BrokerConfig(listeners={_LISTENER: listener}, plugins=plugins))
        await self._running.start()

    async def close(self) -> None:
        """Stop the broker; the listener has ended the connections before. Idempotent."""
        if self._broker is not None:
            await self._broker.shutdown()
            self._broker = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends; the caller closes it."""
        await Connection(self, reader, writer).run()

    async def attach(self, connection: Connection, pipe: asyncio.StreamReader) -> None:
        """The broker's part of a connection: it reads from `pipe` and writes to the connection's `send`."""
        await self._running.external_connected(StreamReaderAdapter(pipe), _Writer(connection), _LISTENER)

    def received(self, topic: str, payload: bytes) -> None:
        """A device has sent a message that it may send."""
        for reply_topic, reply in self._answer(topic, payload):
            self.send(reply_topic, reply)

    def send(self, topic: str, payload: bytes) -> None:
        """Publish to whoever has subscribed, with QoS 0 as the platform does."""
        self.journal.note(Kind.SEND, topic, payload=shown(payload))
        # Not amqtt's own broadcast: it walks over all subscriptions while others change them, and fails then.
        # Topic filters are topics here (see `access`), so that looking one up is all there is to do.
        for session, _ in self._running.subscriptions.get(topic, ()):
            connection = self._connections.get(str(session.client_id))
            if connection is not None:
                connection.send(publish(topic, payload))

    def too_early(self, device: Client) -> bool:
        """True while the last connection of this device is too fresh for another; rlink has no such limit."""
        if not isinstance(device, Device):
            return False
        last = self._accepted.get(device.client_id)
        return last is not None and asyncio.get_running_loop().time() - last < self._interval

    def accepted(self, device: Client) -> None:
        """A device has got its CONNACK 0."""
        self._accepted[device.client_id] = asyncio.get_running_loop().time()
        device.activated = True

    async def take_over(self, device: Client, connection: Connection) -> None:
        """End an older connection of this device and take its place (MQTT-3.1.4-2)."""
        old = self._connections.get(device.client_id)
        self._connections[device.client_id] = connection
        if old is not None:
            self.journal.note(Kind.DISCONNECT, "taken over by a new connection", device=device.path)
            await old.end()

    def left(self, device: Client, connection: Connection) -> None:
        """A connection has ended."""
        if self._connections.get(device.client_id) is connection:
            del self._connections[device.client_id]

    @property
    def _running(self) -> Broker:
        assert self._broker is not None, "not started"  # noqa: S101 - a fault of the caller
        return self._broker


class _Writer(WriterAdapter):  # type: ignore[misc]
    """What the broker writes to: each of its writes is one packet, and goes through the gate."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def write(self, data: bytes) -> None:
        self._connection.send(Packet.parse(bytes(data)))

    async def drain(self) -> None:
        """Nothing: what waits is bounded by the gate."""

    def get_peer_info(self) -> tuple[str, int]:
        return self._connection.peer

    def get_ssl_info(self) -> None:
        return None

    async def close(self) -> None:
        """Nothing: the gate closes the connection."""


class _AllowPlugin(BaseAuthPlugin):  # type: ignore[misc]
    """Lets everyone in: the gate has checked before."""

    async def authenticate(self, *, session: Session) -> bool:  # noqa: ARG002 - amqtt calls it by name
        return True


class _TopicPlugin(BaseTopicPlugin):  # type: ignore[misc]
    """Asks `access` about subscriptions; a refusal is 0x80 in SUBACK."""

    @dataclass
    class Config(BaseTopicPlugin.Config):  # type: ignore[misc]
        """What the broker's configuration hands over."""

        registry: Any = None

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        config: Any = context.config
        self._registry: Registry = config.registry

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool:
        if action is not Action.SUBSCRIBE or session is None or topic is None:
            return True
        device = self._registry.by_client_id(session.client_id or "")
        return device is not None and access.may_subscribe(device, topic)


def _silence() -> None:
    """Keep amqtt's log from the terminal and from the application's handlers: it shows whole messages."""
    log = logging.getLogger("amqtt")
    log.propagate = False
    log.setLevel(logging.CRITICAL + 1)
    if not log.handlers:
        log.addHandler(logging.NullHandler())
