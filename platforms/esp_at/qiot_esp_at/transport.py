"""The internet by way of the module: its own MQTT client, and its sockets for HTTP."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar, Final
from urllib.parse import urlsplit

import h11

from qiot.errors import CloudError, ConfigurationError, HalError, MediumError
from qiot.hal.contract import HttpRequest, HttpResponse, MqttParameters, Transport
from qiot.log import get_logger
from qiot.model import CloudLink, Failure, Message, Reason, Step
from qiot_esp_at.identity import Identity
from qiot_esp_at.lines import Published
from qiot_esp_at.modem import PAYLOAD_MAX, Modem, ModuleError, command

__all__ = ["ModuleLink", "ModuleTransport"]

log = get_logger()

_SUBSCRIPTIONS_MAX: Final = 10
_TOPIC_MAX: Final = 128
_BODY_MAX: Final = 65536
_CHUNK: Final = 1024
_KEEP_ALIVE: Final = range(60, 691)
_LIMIT: Final = 10.0
_TLS: Final = "SSL"
_HOSTS: Final = ".tencentdevices.com"


class ModuleLink(CloudLink):
    """The module's MQTT connection.

    Args:
        modem: The module, connected to the broker.
    """

    def __init__(self, modem: Modem) -> None:
        self._modem = modem
        self._handlers: dict[str, Callable[[Message], None]] = {}
        self._lost: asyncio.Future[Failure | None] = asyncio.get_running_loop().create_future()
        self._ids = itertools.count(1)
        self._modem.on_published = self._on_published
        self._stack = [modem.hearing("+TCMQTTDISCON,", self._on_disconnected), modem.watching(self._on_lost)]
        for each in self._stack:
            each.__enter__()

    @property
    def connected(self) -> bool:
        """False once the module has said that it is lost, or after `close`."""
        return not self._lost.done()

    async def subscribe(self, topic: str, handler: Callable[[Message], None], qos: int = 0) -> None:
        """AT+TCMQTTSUB."""
        if topic not in self._handlers and len(self._handlers) >= _SUBSCRIPTIONS_MAX:
            raise CloudError("the module takes 10 subscriptions", reason=Reason.MQTT_SUBSCRIBE)
        if len(topic) > _TOPIC_MAX:
            raise CloudError("the module takes topics of 128 characters", reason=Reason.MQTT_SUBSCRIBE)
        self._handlers[topic] = handler
        try:
            await self._say(command("TCMQTTSUB", topic, min(qos, 1)), Reason.MQTT_SUBSCRIBE)
        except BaseException:
            del self._handlers[topic]
            raise

    async def publish(self, topic: str, payload: bytes, qos: int = 0) -> int:
        """AT+TCMQTTPUBL; with QoS 1 its result comes when the broker has it."""
        if not 1 <= len(payload) <= PAYLOAD_MAX:
            raise CloudError(
                f"the module publishes 1 to {PAYLOAD_MAX} octets, not {len(payload)}",
                reason=Reason.TOKEN_SEND,
            )
        await self._say(
            command("TCMQTTPUBL", topic, min(qos, 1), len(payload)), Reason.CLOUD_TIMEOUT, payload
        )
        return next(self._ids)

    async def wait_lost(self) -> Failure | None:
        """Return when it is gone."""
        return await asyncio.shield(self._lost)

    async def close(self) -> None:
        """AT+TCMQTTDISCONN."""
        if self._end(None):
            with suppress(HalError):
                await self._modem.say("AT+TCMQTTDISCONN", result=True)

    async def _say(self, text: str, refused: Reason, payload: bytes | None = None) -> None:
        if not self.connected:
            raise CloudError("the module has lost the broker", reason=Reason.MQTT_LOST)
        try:
            await self._modem.say(text, result=True, payload=payload, timeout=_LIMIT)
        except ModuleError as error:
            raise CloudError(str(error), reason=refused, code=error.code) from None
        except MediumError as error:
            reason = Reason.CLOUD_TIMEOUT if error.reason is Reason.TIMEOUT else Reason.MQTT_LOST
            raise CloudError(str(error), reason=reason, hint=error.hint) from None

    def _on_published(self, published: Published) -> None:
        handler = self._handlers.get(published.topic)
        if handler is None:
            log.warning(f"a message for {published.topic}, which nobody has asked for")
        else:
            handler(Message(published.topic, published.payload))

    def _on_disconnected(self, rest: str) -> None:
        self._end(Failure(Step.CONNECTING, Reason.MQTT_LOST, text=f"the module lost the broker ({rest})"))

    def _on_lost(self, error: HalError) -> None:
        self._end(Failure(Step.CONNECTING, Reason.MQTT_LOST, text=str(error), hint=error.hint))

    def _end(self, why: Failure | None) -> bool:
        if self._lost.done():
            return False
        self._lost.set_result(why)
        self._modem.on_published = None
        for each in self._stack:
            each.__exit__(None, None, None)
        return True


class ModuleTransport(Transport):
    """The module's sockets.

    Args:
        modem: The module.
        identity: Whose secret the module uses for MQTT: it makes the password by itself.
    """

    any_broker: ClassVar[bool] = False

    def __init__(self, modem: Modem, identity: Identity) -> None:
        self._modem = modem
        self._identity = identity
        self._socket = asyncio.Lock()

    async def mqtt(self, parameters: MqttParameters) -> CloudLink:
        """AT+TCMQTTCONN: the module logs in as itself, not with the parameters' user name and password."""
        try:
            await self._modem.open()
            await self._identity.give()
            if not parameters.host.endswith(_HOSTS):
                await self._modem.say(command("TCMQTTSRV", parameters.host), result=True)
            milliseconds = round(min(max(parameters.timeout, 1.0), 10.0) * 1000)
            keep_alive = min(max(parameters.keep_alive, _KEEP_ALIVE[0]), _KEEP_ALIVE[-1])
            await self._modem.say(
                command("TCMQTTCONN", 1, milliseconds, keep_alive, 1, 0),
                result=True,
                timeout=parameters.timeout + 2,
            )
        except ModuleError as error:
            raise CloudError(str(error), reason=Reason.MQTT_REFUSED, code=error.code) from None
        except MediumError as error:
            reason = Reason.CLOUD_TIMEOUT if error.reason is Reason.TIMEOUT else Reason.TCP
            raise CloudError(str(error), reason=reason, hint=error.hint) from None
        return ModuleLink(self._modem)

    async def request(self, request: HttpRequest) -> HttpResponse:
        """One request over one of the module's sockets (AT+CIPSTART, AT+CIPSEND, +IPD)."""
        parts = urlsplit(request.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(f"{request.url!r} is no http(s) URL")
        kind = "TCP" if parts.scheme == "http" else _TLS
        port = parts.port or (80 if kind == "TCP" else 443)
        async with self._socket:
            try:
                async with asyncio.timeout(request.timeout):
                    await self._modem.open()
                    return await self._exchange(request, kind, parts.hostname, port)
            except TimeoutError:
                raise CloudError(f"no answer from {parts.hostname}", reason=Reason.CLOUD_TIMEOUT) from None
            except ModuleError as error:
                reason = Reason.TCP if kind == "TCP" else Reason.TLS
                raise CloudError(f"{parts.hostname}:{port} is not reached: {error}", reason=reason) from None
            except MediumError as error:
                raise CloudError(str(error), reason=Reason.TCP, hint=error.hint) from None
            except h11.ProtocolError as error:
                raise CloudError(f"no HTTP answer: {error}", reason=Reason.CLOUD_MALFORMED) from None

    async def _exchange(self, request: HttpRequest, kind: str, host: str, port: int) -> HttpResponse:
        incoming: asyncio.Queue[bytes] = asyncio.Queue()
        self._modem.on_socket_data = incoming.put_nowait
        closed = self._modem.hearing("CLOSED", lambda _: incoming.put_nowait(b""))
        nameless = asyncio.Event()
        connection = h11.Connection(h11.CLIENT)
        await self._modem.ask("AT+CIPMUX=0")
        with closed:
            with self._modem.hearing("DNS Fail", lambda _: nameless.set()):
                try:
                    await self._modem.say(command("CIPSTART", kind, host, port), timeout=request.timeout)
                except ModuleError:
                    if nameless.is_set():
                        raise CloudError(f"there is no host {host}", reason=Reason.DNS) from None
                    raise
            try:
                await self._send(connection, request, host)
                return await _read(connection, incoming)
            finally:
                self._modem.on_socket_data = None
                with suppress(HalError):
                    await self._modem.say("AT+CIPCLOSE")

    async def _send(self, connection: h11.Connection, request: HttpRequest, host: str) -> None:
        parts = urlsplit(request.url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {
            "host": parts.netloc or host,
            "content-length": str(len(request.body)),
            "connection": "close",
        }
        headers |= {name.lower(): value for name, value in request.headers.items()}
        events: list[h11.Request | h11.Data | h11.EndOfMessage] = [
            h11.Request(method=request.method, target=target, headers=list(headers.items())),
            h11.Data(data=request.body),
            h11.EndOfMessage(),
        ]
        data = b"".join(connection.send(event) or b"" for event in events)
        for start in range(0, len(data), _CHUNK):
            chunk = data[start : start + _CHUNK]
            await self._modem.say(f"AT+CIPSEND={len(chunk)}", payload=chunk)


async def _read(connection: h11.Connection, incoming: asyncio.Queue[bytes]) -> HttpResponse:
    status, body = 0, bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await incoming.get())
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > _BODY_MAX:
                raise CloudError("the answer is longer than 64 KiB", reason=Reason.CLOUD_MALFORMED)
        elif isinstance(event, h11.EndOfMessage):
            return HttpResponse(status, bytes(body))
        elif not isinstance(event, h11.InformationalResponse):
            raise CloudError("the connection ended before the answer", reason=Reason.CLOUD_MALFORMED)
