"""The local cloud's HTTP side: requests in, answers out, and the faults of an HTTP answer (RFC 9112).

The application is not here: routes lead to it. Connections are kept alive as HTTP/1.1 has it, so that a
client that waits for their end instead of reading Content-Length shows itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import attrs
import h11

from qiot.testbed.cloud.faults import Do, Fault, Faults, Point
from qiot.testbed.cloud.journal import Journal, Kind
from qiot.testbed.cloud.jsontext import dump_object, load_object

__all__ = ["BODY_MAX", "HttpServer", "Request", "Response", "Route"]

BODY_MAX: Final = 64 * 1024
"""Longest body in octets that is taken."""
_DISCARD_MAX: Final = 1024 * 1024
"""So much of a longer body is read and thrown away, so that the client gets the 413."""
_HEADER_MAX: Final = 16 * 1024
_IDLE: Final = 60.0
"""Seconds without a byte after which a connection is closed."""
_CHUNK: Final = 20
_OVERSIZED: Final = 1024 * 1024
_GARBAGE: Final = b"\x00\xff this is no HTTP \r\n\r\n"


@attrs.frozen
class Request:
    """One request.

    Attributes:
        method: "POST".
        path: The target without its query.
        headers: By name in lower case.
        body: At most 64 KiB.
    """

    method: str
    path: str
    headers: Mapping[str, str] = attrs.field(hash=False)
    body: bytes = b""

    def json(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            ValueError: It is none.
        """
        return load_object(self.body)


@attrs.frozen
class Response:
    """One answer."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)

    @classmethod
    def of(cls, data: Mapping[str, Any], status: int = 200) -> Response:
        """An answer with a JSON object, without blanks as the platform sends it."""
        return cls(status, dump_object(data))


@attrs.frozen
class Route:
    """Where a path leads: POST only; `point` is where its faults are found."""

    point: Point
    answer: Callable[[Request, Fault], Response]


class _TooLargeError(Exception):
    """The body is longer than BODY_MAX."""


class HttpServer:
    """Serves connections.

    Args:
        routes: What answers which path; `/*` at its end stands for one part of any name.
        faults: What goes wrong with the answers.
        journal: Where requests that reach no route are written down.
    """

    def __init__(self, routes: Mapping[str, Route], faults: Faults, journal: Journal) -> None:
        self._routes = routes
        self._faults = faults
        self._journal = journal

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until it ends; the caller closes it."""
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEADER_MAX)
        try:
            while True:
                response, fault = await self._exchange(connection, reader, writer)
                if response is None:
                    return
                if not await _deliver(connection, reader, writer, response, fault):
                    return
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    return
                connection.start_next_cycle()
        except (ConnectionError, TimeoutError):
            return

    async def _exchange(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[Response | None, Fault]:
        """Read one request and find its answer; None where the client has left."""
        response: Response | None = None
        try:
            request = await _receive(connection, reader, writer)
        except h11.RemoteProtocolError as error:
            if connection.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
                response = self._refuse(error.error_status_hint, "request not understood")
            return response, Fault()
        except _TooLargeError:
            return self._refuse(413, f"body over {BODY_MAX} octets"), Fault()
        route = self._route(request.path) if request is not None else None
        if request is not None and route is not None and request.method == "POST":
            fault = await self._faults.take(route.point)
            return route.answer(request, fault), fault
        if request is not None:
            status, text = (404, "no such path") if route is None else (405, "POST only")
            response = self._refuse(status, text, request)
        return response, Fault()

    def _route(self, path: str) -> Route | None:
        return self._routes.get(path) or self._routes.get(f"{path.rpartition('/')[0]}/*")

    def _refuse(self, status: int, text: str, request: Request | None = None) -> Response:
        detail = {"path": request.path[:100]} if request is not None else {}
        self._journal.note(Kind.HTTP, text, code=status, **detail)
        response = Response.of({"code": status, "message": text}, status)
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            response = attrs.evolve(response, headers=(*response.headers, ("Allow", "POST")))
        if request is not None and request.method == "HEAD":
            response = attrs.evolve(response, body=b"")
        return response


async def _receive(
    connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Request | None:
    head: h11.Request | None = None
    body = bytearray()
    discarded = 0
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                writer.write(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            async with asyncio.timeout(_IDLE):
                connection.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            if len(body) + len(event.data) <= BODY_MAX and not discarded:
                body += event.data
            else:
                discarded += len(event.data)
            if discarded > _DISCARD_MAX:
                raise _TooLargeError
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            if discarded:
                raise _TooLargeError
            headers = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}
            path = head.target.decode("ascii", "replace").partition("?")[0]
            return Request(head.method.decode("ascii"), path, headers, bytes(body))
        else:
            return None


async def _deliver(
    connection: h11.Connection,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    response: Response,
    fault: Fault,
) -> bool:
    """Send the answer the way the fault wants it; False where the connection is to be closed."""
    match fault.do:
        case Do.REFUSE:
            return False
        case Do.HANG | Do.DROP:
            while await reader.read(65536):
                pass
            return False
        case Do.MALFORMED if fault.kind == "garbage":
            writer.write(_GARBAGE)
            await writer.drain()
            return False
        case Do.MALFORMED if fault.kind == "truncated":
            head = f"HTTP/1.1 {response.status} OK\r\nContent-Length: {len(response.body)}\r\n\r\n"
            writer.write(head.encode() + response.body[: len(response.body) // 2])
            await writer.drain()
            return False
    response = _altered(response, fault)
    headers = list(response.headers)
    if fault.do is Do.CHUNKED:
        headers.append(("Transfer-Encoding", "chunked"))
        pieces = [response.body[at : at + _CHUNK] for at in range(0, len(response.body), _CHUNK)]
    else:
        headers.append(("Content-Length", str(len(response.body))))
        pieces = [response.body]
    if fault.do is Do.LOWER_CASE:
        headers = [(name.lower(), value) for name, value in headers]
    events: list[h11.Event] = [
        h11.Response(status_code=response.status, headers=headers, reason=_reason(response.status)),
        *(h11.Data(data=piece) for piece in pieces),
        h11.EndOfMessage(),
    ]
    for event in events:
        writer.write(connection.send(event) or b"")
    await writer.drain()
    return True


def _altered(response: Response, fault: Fault) -> Response:
    match fault.do:
        case Do.STATUS:
            return Response.of({"message": "fault on purpose"}, fault.code or 500)
        case Do.EMPTY:
            return attrs.evolve(response, body=b"")
        case Do.OVERSIZED:
            return attrs.evolve(response, body=response.body + b" " * (_OVERSIZED - len(response.body)))
        case Do.REDIRECT:
            location = fault.location or "/register/dev"
            return Response(302, b"", (("Location", location),))
        case Do.MALFORMED if fault.kind == "json":
            return attrs.evolve(response, body=response.body[: len(response.body) // 2])
    return response


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""
