"""The other side of these tests: a broker and an HTTP server that write their octets by hand.

They share no code with qiot, so that no bug can sit on both ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Self

PRODUCT = "L4WG9V9M2M"
DEVICE = "TEST2"
SECRET = "XoezQjzzMedF4lAr2CqCkVYK"
PSK = "MLvMHde65nKPk0Lx+ZThaA=="
TOKEN = "69f978dfbb48ec40cadb6d9af470d0f6"

CONNECT, PUBLISH, PUBACK, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 4, 8, 12, 14
SHORT = 0.5
"""Seconds of a time-out that a test waits for."""


async def until(condition: Callable[[], object]) -> None:
    """Return when the condition holds; fails after ten seconds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - conditions of the system, such as open sockets
            await asyncio.sleep(0.005)


def _sockets() -> set[str]:
    held = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            target = str(entry.readlink())
            if target.startswith(("socket:", "/memfd:")):
                held.add(target)
    return held


def _tasks() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if not task.done()}


@contextlib.asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """Fails where a task, a thread or a socket stays behind."""
    sockets, tasks, threads = _sockets(), _tasks(), set(threading.enumerate())
    yield
    await until(lambda: _sockets() <= sockets and _tasks() <= tasks)
    assert set(threading.enumerate()) <= threads


class Server:
    """A TCP server on a free port that writes down who came."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await until(lambda: not self._writers)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            await self.talk(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.transport.abort()
            self._writers.discard(writer)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Say nothing until the other side goes."""
        while await reader.read(4096):
            pass


class HttpServer(Server):
    """Answers one request with given octets."""

    def __init__(
        self, *answer: bytes, context: ssl.SSLContext | None = None, close: bool = False, cut: bool = False
    ) -> None:
        super().__init__(context)
        self.answer = answer
        self._close = close or cut
        self._cut = cut
        self.requests: list[tuple[bytes, bytes]] = []

    @property
    def url(self) -> str:
        return f"http{'s' if self._context else ''}://127.0.0.1:{self.port}"

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        self.requests.append((head, await reader.readexactly(length)))
        for part in self.answer:
            writer.write(part)
            await writer.drain()
        if self._cut:
            linger = struct.pack("ii", 1, 0)  # reset instead of an orderly end
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        elif not self._close:
            await super().talk(reader, writer)


def http_answer(body: bytes | str | dict[str, Any], status: int = 200) -> bytes:
    if isinstance(body, dict):
        body = json.dumps(body)
    data = body.encode() if isinstance(body, str) else body
    return b"HTTP/1.1 %d Status\r\nContent-Length: %d\r\n\r\n%s" % (status, len(data), data)


def packet(kind: int, flags: int, body: bytes) -> bytes:
    """One MQTT control packet (MQTT 3.1.1, section 2.2)."""
    length, encoded = len(body), bytearray()
    while True:
        length, digit = divmod(length, 128)
        encoded.append(digit | (0x80 if length else 0))
        if not length:
            return bytes([kind << 4 | flags]) + bytes(encoded) + body


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(data)) + data


class Broker(Server):
    """Just enough of MQTT 3.1.1; every answer can be changed or withheld."""

    def __init__(
        self,
        *,
        context: ssl.SSLContext | None = None,
        connack: bytes | int | None = 0,
        suback: int | None = 0,
        puback: bool = True,
        ping: bool = True,
        reply: Callable[[dict[str, Any]], dict[str, Any] | bytes | None] | None = None,
        reply_topic: Callable[[str], str] = lambda topic: topic.replace("/up/", "/down/"),
    ) -> None:
        super().__init__(context)
        self.connack, self.suback, self.puback, self.ping, self.reply = connack, suback, puback, ping, reply
        self._reply_topic = reply_topic
        self.packets: list[tuple[int, int, bytes]] = []
        self.writer: asyncio.StreamWriter | None = None

    @property
    def url(self) -> str:
        return f"mqtt{'s' if self._context else ''}://127.0.0.1:{self.port}"

    def of(self, kind: int) -> list[bytes]:
        return [body for each, _, body in self.packets if each == kind]

    @property
    def connects(self) -> list[dict[str, Any]]:
        """What CONNECT packets said."""
        return [_connect(body) for body in self.of(CONNECT)]

    @property
    def published(self) -> list[tuple[str, int, bytes]]:
        """Topic, QoS and payload of what came."""
        found = []
        for kind, flags, body in self.packets:
            if kind == PUBLISH:
                (length,) = struct.unpack_from("!H", body)
                qos = flags >> 1 & 3
                found.append((body[2 : 2 + length].decode(), qos, body[2 + length + (2 if qos else 0) :]))
        return found

    async def send(self, topic: str | bytes, payload: bytes | dict[str, Any]) -> None:
        data = json.dumps(payload).encode() if isinstance(payload, dict) else payload
        assert self.writer is not None
        self.writer.write(packet(PUBLISH, 0, text(topic) + data))
        await self.writer.drain()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        while True:
            first = (await reader.readexactly(1))[0]
            length, shift = 0, 0
            while True:
                digit = (await reader.readexactly(1))[0]
                length |= (digit & 0x7F) << shift
                shift += 7
                if not digit & 0x80:
                    break
            body = await reader.readexactly(length)
            self.packets.append((first >> 4, first & 15, body))
            await self._answer(first >> 4, first & 15, body, writer)

    async def _answer(self, kind: int, flags: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        if kind == CONNECT and self.connack is not None:
            raw = self.connack if isinstance(self.connack, bytes) else packet(2, 0, bytes([0, self.connack]))
            writer.write(raw)
        elif kind == SUBSCRIBE and self.suback is not None:
            writer.write(packet(9, 0, body[:2] + bytes([self.suback])))
        elif kind == PINGREQ and self.ping:
            writer.write(packet(13, 0, b""))
        elif kind == PUBLISH:
            topic, qos, payload = self.published[-1]
            if qos and self.puback:
                writer.write(packet(PUBACK, 0, body[2 + len(topic.encode()) :][:2]))
            if self.reply is not None and (answer := self.reply(json.loads(payload))) is not None:
                await self.send(self._reply_topic(topic), answer)
        await writer.drain()


def _connect(body: bytes) -> dict[str, Any]:
    name, level, flags, keep_alive = struct.unpack_from("!6sBBH", body)
    assert name == b"\0\x04MQTT"
    fields: dict[str, Any] = {"level": level, "flags": flags, "keep_alive": keep_alive}
    rest = body[10:]
    names = ["client_id"] + ["username"] * bool(flags & 0x80) + ["password"] * bool(flags & 0x40)
    for field in names:
        (length,) = struct.unpack_from("!H", rest)
        fields[field], rest = rest[2 : 2 + length].decode(), rest[2 + length :]
    assert not rest
    return fields


def bind_reply(code: Any = 0, **changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The cloud's reply to a token."""

    def reply(asked: dict[str, Any]) -> dict[str, Any]:
        fields = {"method": "app_bind_token_reply", "clientToken": asked["clientToken"], "code": code}
        return {**fields, "status": "success" if code == 0 else "token is bad", **changes}

    return reply


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """A port where a SYN is not answered."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def closed_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
