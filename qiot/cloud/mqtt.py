"""One MQTT 3.1.1 connection: paho speaks, the event loop drives it, and no thread exists.

Rules of this file:

- paho gets a socket that is connected (and secured) already, so that it never blocks. It tells through its
  hooks for external loops when it wants to read or write.
- A client of paho lives for one connection. Reconnecting is the session's business.
- Everything that waits (CONNACK, SUBACK, PUBACK) waits in a future with a limit; when the connection ends,
  every such future fails with the same cause.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from qiot.cloud.sockets import at_most, connect
from qiot.errors import CloudError
from qiot.hal.contract import MqttParameters
from qiot.log import get_logger
from qiot.model import Failure, Message, Reason, Step

__all__ = ["MqttLink", "open_link"]

log = get_logger()

_CONNACK_CODES: Final = {132: 1, 133: 2, 136: 3, 134: 4, 135: 5}
"""paho gives MQTT 5 reason codes; these are the return codes of MQTT 3.1.1, table 3.1."""
_CONNACK_TEXTS: Final = {
    1: "protocol version not accepted",
    2: "client identifier rejected",
    3: "server unavailable",
    4: "bad user name or password",
    5: "not authorized",
}
_PASSING: Final = 3
"""The one CONNACK code that another try can cure: server unavailable."""
_SUBACK_FAILURE: Final = 0x80
_GOODBYE: Final = 1.0
"""Seconds that a DISCONNECT may take to leave a full socket."""


async def open_link(parameters: MqttParameters) -> MqttLink:
    """Open a connection; return after CONNACK 0.

    Raises:
        CloudError: DNS, TCP, TLS, CLOUD_TIMEOUT, MQTT_REFUSED (code: CONNACK's 1 to 5, all but 3 permanent),
            MQTT_LOST, CLOUD_MALFORMED. Nothing is left of it, as after a cancellation.
        ConfigurationError: A file that `parameters.tls` names cannot be used.
        NotSupportedError: This Python has no TLS-PSK.
    """
    deadline = asyncio.get_running_loop().time() + parameters.timeout
    sock = await connect(parameters.host, parameters.port, parameters.tls, deadline)
    link = MqttLink(parameters, sock)
    try:
        await link.begin(deadline)
    except BaseException:
        link.drop()
        raise
    return link


class _ProtocolRefusedError(Exception):
    """CONNACK 1: paho answers it by opening another socket for MQTT 3.1, which it does not get."""


class _Client(paho.Client):
    def __init__(self, parameters: MqttParameters, sock: socket.socket) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=parameters.client_id,
            clean_session=True,
            protocol=paho.MQTTv311,
        )
        self._given: socket.socket | None = sock

    def _create_socket(self) -> Any:  # the one place where paho would block
        given, self._given = self._given, None
        if given is None:
            raise _ProtocolRefusedError
        return given


class MqttLink:
    """An open connection (`model.CloudLink`); made by `open_link`.

    Args:
        parameters: Of the connection.
        sock: Connected and non-blocking; the link closes it.
    """

    def __init__(self, parameters: MqttParameters, sock: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._parameters = parameters
        self._name = f"{parameters.host}:{parameters.port}"
        self._sock = sock
        self._descriptor: int | None = None
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[Failure | None] = self._loop.create_future()
        self._waiting: dict[int, asyncio.Future[list[ReasonCode]]] = {}
        self._handlers: dict[str, Callable[[Message], None]] = {}
        self._closing = False
        self._cause = ""
        self._goodbye = ""
        self._timer: asyncio.TimerHandle | None = None
        client = self._client = _Client(parameters, sock)
        password = parameters.password
        client.username_pw_set(parameters.username, None if password is None else password.text())
        client.on_socket_open = self._on_socket_open
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_register_write
        client.on_socket_unregister_write = self._on_unregister_write
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_log = self._on_log

    # --- what the session and the application use -------------------------------------------------------

    @property
    def connected(self) -> bool:
        """False once the connection is lost or closed."""
        return self._connected.done() and not self._ended.done()

    async def subscribe(self, topic: str, handler: Callable[[Message], None], qos: int = 0) -> None:
        """Hand every message of `topic` to `handler`, in order; a later handler replaces an earlier one.

        Args:
            topic: Topic filter.
            handler: Is called in the event loop and must not block. What it raises is logged.
            qos: 0 or 1.

        Raises:
            CloudError: MQTT_SUBSCRIBE (code 0x80), MQTT_LOST or CLOUD_TIMEOUT.
        """
        self._still_there()
        before = self._handlers.get(topic)
        self._handlers[topic] = handler  # now: the first message may come with the SUBACK
        granted = False
        try:
            codes = await self._answer(self._client.subscribe(topic, qos)[1], f"SUBACK for {topic}")
            granted = not any(code.is_failure for code in codes)
        finally:
            if not granted:
                self._handlers.pop(topic)
                if before is not None:
                    self._handlers[topic] = before
        if not granted:
            text = f"{self._name} refused the subscription of {topic}"
            raise CloudError(text, reason=Reason.MQTT_SUBSCRIBE, code=_SUBACK_FAILURE, permanent=True)

    async def publish(self, topic: str, payload: bytes, qos: int = 0) -> int:
        """Send; return the packet id when it has been sent (QoS 0) or the cloud has it (QoS 1).

        Raises:
            CloudError: MQTT_LOST or CLOUD_TIMEOUT.
        """
        self._still_there()
        packet_id = self._client.publish(topic, payload, qos).mid
        await self._answer(packet_id, f"PUBACK for {topic}")
        return packet_id

    async def wait_lost(self) -> Failure | None:
        """Return when the connection is gone: why, or None where `close` was called."""
        return await asyncio.shield(self._ended)

    async def close(self) -> None:
        """Disconnect. Idempotent; nothing of it is left afterwards."""
        if self._ended.done():
            return
        self._closing = True
        try:
            self._client.disconnect()
            self._drive(self._client.loop_write)
            if not self._ended.done():
                await asyncio.wait([self._ended], timeout=_GOODBYE)
        finally:
            self.drop()
        log.info("mqtt disconnect!")

    # --- for open_link ----------------------------------------------------------------------------------

    async def begin(self, deadline: float) -> None:
        """Send CONNECT and wait for CONNACK 0."""
        parameters = self._parameters
        self._client.connect_async(parameters.host, parameters.port, parameters.keep_alive)
        self._client.reconnect()
        self._keep_alive()
        async with at_most(deadline, Reason.CLOUD_TIMEOUT, f"{self._name} sent no CONNACK in time"):
            await self._connected

    def drop(self) -> None:
        """Close the socket without a word and make paho notice."""
        self._closing = True
        self._forget_socket()
        self._sock.close()
        with contextlib.suppress(OSError):
            self._client.loop_read()
        self._end(None)

    # --- waiting ----------------------------------------------------------------------------------------

    def _still_there(self) -> None:
        if not self.connected:
            raise self._lost()

    def _lost(self) -> CloudError:
        failure = self._ended.result() if self._ended.done() else None
        if failure is None:
            return CloudError(f"the connection to {self._name} is closed", reason=Reason.MQTT_LOST)
        refused = failure.reason is Reason.MQTT_REFUSED and failure.code != _PASSING
        return CloudError(failure.text, reason=failure.reason, code=failure.code, permanent=refused)

    async def _answer(self, packet_id: int | None, what: str) -> list[ReasonCode]:
        if packet_id is None:
            raise self._lost()
        future: asyncio.Future[list[ReasonCode]] = self._loop.create_future()
        self._waiting[packet_id] = future
        deadline = self._loop.time() + self._parameters.timeout
        try:
            async with at_most(deadline, Reason.CLOUD_TIMEOUT, f"{self._name} sent no {what} in time"):
                return await future
        finally:
            self._waiting.pop(packet_id, None)

    def _end(self, failure: Failure | None) -> None:
        """The connection is over: whoever waits learns why."""
        if self._ended.done():
            return
        self._ended.set_result(failure)
        if self._timer is not None:
            self._timer.cancel()
        if not self._connected.done():
            self._connected.set_exception(self._lost())
            self._connected.exception()  # it may have been given up already: then nobody else looks
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(self._lost())

    def _fail(self, reason: Reason, text: str, code: int | None = None) -> None:
        self._end(Failure(Step.CONNECTING, reason, code=code, text=text))

    # --- driving paho -----------------------------------------------------------------------------------

    def _on_socket_open(self, _client: paho.Client, _data: object, sock: Any) -> None:
        self._descriptor = sock.fileno()
        self._loop.add_reader(sock.fileno(), self._readable)

    def _on_socket_close(self, _client: paho.Client, _data: object, _sock: object) -> None:
        self._forget_socket()

    def _on_register_write(self, _client: paho.Client, _data: object, _sock: object) -> None:
        if self._descriptor is not None:
            self._loop.add_writer(self._descriptor, self._writable)

    def _on_unregister_write(self, _client: paho.Client, _data: object, _sock: object) -> None:
        if self._descriptor is not None:
            self._loop.remove_writer(self._descriptor)

    def _forget_socket(self) -> None:
        # By number, and once: a closed socket has none, and its number may be another's by then.
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            self._loop.remove_reader(descriptor)
            self._loop.remove_writer(descriptor)

    def _readable(self) -> None:
        self._drive(self._read)

    def _writable(self) -> None:
        self._drive(self._client.loop_write)

    def _read(self) -> MQTTErrorCode:
        while True:
            code = self._client.loop_read()
            # TLS may hold further octets that no selector shows.
            if (
                self._descriptor is None
                or not isinstance(self._sock, ssl.SSLSocket)
                or not self._sock.pending()
            ):
                return code

    def _drive(self, action: Callable[[], MQTTErrorCode]) -> None:
        try:
            code = action()
        except _ProtocolRefusedError:
            self._refused(1)
        except Exception as error:  # noqa: BLE001 - no packet of a broker may break the event loop
            self._fail(
                Reason.CLOUD_MALFORMED, f"{self._name}: packet not understood ({type(error).__name__})"
            )
            self.drop()
        else:
            if self._goodbye:
                self._over(code)

    def _over(self, code: MQTTErrorCode) -> None:
        """The connection was closed by paho."""
        if self._closing:
            self._end(None)
        elif "[SSL" in self._cause and not self._connected.done():
            # With TLS 1.3 a refused client certificate is told only after our side of the handshake.
            self._fail(Reason.TLS, f"{self._name}: {self._cause}")
        elif code == MQTTErrorCode.MQTT_ERR_PROTOCOL:
            self._fail(Reason.CLOUD_MALFORMED, f"{self._name}: no MQTT")
        else:
            silent = self._goodbye == "Keep alive timeout"
            why = self._cause or ("no answer to ping" if silent else "closed by the server")
            self._fail(Reason.MQTT_LOST, f"{self._name}: {why}")

    def _keep_alive(self) -> None:
        """Let paho ping: it looks at its clock only when it is called."""
        self._drive(self._client.loop_misc)
        if not self._ended.done():
            self._timer = self._loop.call_later(min(self._parameters.keep_alive / 4, 5.0), self._keep_alive)

    # --- what paho tells --------------------------------------------------------------------------------

    def _refused(self, code: int) -> None:
        self._fail(Reason.MQTT_REFUSED, f"{self._name}: {_CONNACK_TEXTS[code]}", code)

    def _on_connect(
        self, _client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if not reason.is_failure:
            if not self._connected.done():
                self._connected.set_result(None)
        elif reason.value in _CONNACK_CODES:
            self._refused(_CONNACK_CODES[reason.value])
        else:
            self._fail(Reason.CLOUD_MALFORMED, f"{self._name}: CONNACK with an unknown code")

    def _on_disconnect(
        self, _client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        self._goodbye = str(reason)

    def _on_log(self, _client: paho.Client, _data: object, level: int, text: str) -> None:
        # paho gives the cause of a broken connection nowhere else.
        if level == paho.MQTT_LOG_ERR:
            self._cause = text

    def _on_subscribe(
        self,
        _client: paho.Client,
        _data: object,
        packet_id: int,
        codes: list[ReasonCode],
        _: Properties | None,
    ) -> None:
        self._answered(packet_id, codes)

    def _on_publish(
        self, _client: paho.Client, _data: object, packet_id: int, code: ReasonCode, _: Properties
    ) -> None:
        self._answered(packet_id, [code])

    def _answered(self, packet_id: int, codes: list[ReasonCode]) -> None:
        future = self._waiting.get(packet_id)
        if future is not None and not future.done():
            future.set_result(codes)

    def _on_message(self, _client: paho.Client, _data: object, received: paho.MQTTMessage) -> None:
        try:
            message = Message(received.topic, bytes(received.payload))
        except UnicodeDecodeError:
            log.warning("a message whose topic is not UTF-8 was ignored")
            return
        for topic, handler in list(self._handlers.items()):
            if paho.topic_matches_sub(topic, message.topic):
                try:
                    handler(message)
                except Exception:  # a handler's fault is not the connection's
                    log.exception(f"the handler of {topic} failed")
