"""The phone's other sides, scripted: a device on UDP and an application API on HTTP."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import cast

import h11

INFO = b'{\n\t"cmdType":\t2,\n\t"productId":\t"P1",\n\t"deviceName":\t"D1",\n\t"protoVersion":\t"2.0"\n}'
TOKEN = "6ab82618a9d529a2ee777cdef528a0fd"
PASSWORD = "s3cret-wifi-pass"

Script = Callable[[int, bytes], Sequence[bytes]]
"""What to send back for the n-th datagram, n from 1."""


class Device(asyncio.DatagramProtocol):
    def __init__(self, script: Script) -> None:
        self.heard: list[bytes] = []
        self.port = 0
        self._script = script
        self._phone: tuple[str, int] | None = None
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.heard.append(data)
        self._phone = addr
        for reply in self._script(len(self.heard), data):
            self.say(reply)

    def say(self, data: bytes) -> None:
        assert self._transport is not None
        assert self._phone is not None
        self._transport.sendto(data, self._phone)


@contextlib.asynccontextmanager
async def device(script: Script) -> AsyncIterator[Device]:
    loop = asyncio.get_running_loop()
    transport, scripted = await loop.create_datagram_endpoint(
        lambda: Device(script), local_addr=("127.0.0.1", 0)
    )
    try:
        yield scripted
    finally:
        transport.close()


class Cloud:
    """Answers each action with what its script gives: a JSON value with status 200, or (status, body)."""

    def __init__(self, **script: object) -> None:
        self.calls: list[dict[str, str]] = []
        self.targets: list[str] = []
        self.url = ""
        self._script = script

    def count(self, action: str) -> int:
        return sum(call["Action"] == action for call in self.calls)

    async def _read(self, connection: h11.Connection, reader: asyncio.StreamReader) -> str:
        body = b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Request):
                self.targets.append(event.target.decode())
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                self.calls.append(json.loads(body))
                return self.calls[-1]["Action"]
            else:
                raise ConnectionError

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        try:
            answer = self._script[await self._read(connection, reader)]
            if callable(answer):
                answer = answer(self)
            if isinstance(answer, bytes):
                writer.write(answer)
            elif answer is not None:
                status, text = answer if isinstance(answer, tuple) else (200, json.dumps(answer).encode())
                # Chunked and in two pieces, as a gateway may do it.
                response = h11.Response(status_code=status, headers=[("Transfer-Encoding", "chunked")])
                for each in (response, h11.Data(data=text[:3]), h11.Data(data=text[3:]), h11.EndOfMessage()):
                    writer.write(connection.send(each) or b"")
                    await writer.drain()
            else:
                await reader.read()
        except ConnectionError:
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def cloud(**script: object) -> AsyncIterator[Cloud]:
    scripted = Cloud(**script)
    handlers: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.get_running_loop().create_task(scripted.serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    scripted.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/tokenapi?v=1"
    try:
        yield scripted
    finally:
        server.close()
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
