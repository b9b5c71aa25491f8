"""One HTTP/1.1 request over the host's sockets: h11 reads and writes, `sockets` carries."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Final
from urllib.parse import SplitResult, urlsplit

import h11

from qiot.cloud.sockets import at_most, connect, receive, send
from qiot.errors import CloudError, ConfigurationError
from qiot.hal.contract import HttpRequest, HttpResponse, Tls
from qiot.model import Reason

__all__ = ["request"]

BODY_MAX: Final = 65536
"""Longest answer in octets; the C SDK's buffers are 256 and 5120 (contract section 8)."""


async def request(asked: HttpRequest) -> HttpResponse:
    """Send one request and give the answer as soon as its body is complete.

    The headers go out in the order given, behind `Host`; `Content-Length` is added where it is missing.

    Raises:
        CloudError: DNS, TCP, TLS, CLOUD_TIMEOUT (no whole answer in time), CLOUD_MALFORMED (no HTTP, or
            longer than 64 KiB). Nothing is left open, as after a cancellation.
        ConfigurationError: The URL, or a file that `tls` names, cannot be used.
    """
    url = _checked(asked.url)
    secure = url.scheme == "https"
    deadline = asyncio.get_running_loop().time() + asked.timeout
    tls = (asked.tls or Tls()) if secure else None
    sock = await connect(url.hostname or "", url.port or (443 if secure else 80), tls, deadline)
    try:
        async with at_most(deadline, Reason.CLOUD_TIMEOUT, f"{url.netloc} sent no whole answer in time"):
            return await _exchange(sock, asked, url)
    except h11.ProtocolError as error:
        raise CloudError(f"{url.netloc}: no HTTP answer: {error}", reason=Reason.CLOUD_MALFORMED) from None
    except OSError as error:
        reason = Reason.TLS if isinstance(error, ssl.SSLError) else Reason.TCP
        text = error.strerror or type(error).__name__
        raise CloudError(f"{url.netloc}: connection broke: {text}", reason=reason, code=error.errno) from None
    finally:
        sock.close()


def _checked(text: str) -> SplitResult:
    url = urlsplit(text)
    try:
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(f"{text!r} is no HTTP URL", hint="Write http://HOST[:PORT] or https://….")
    return url


async def _exchange(sock: socket.socket, asked: HttpRequest, url: SplitResult) -> HttpResponse:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=BODY_MAX)
    headers = [("Host", url.netloc.rpartition("@")[2]), *asked.headers.items()]
    if "content-length" not in {name.lower() for name, _ in headers}:
        headers.append(("Content-Length", str(len(asked.body))))
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    await send(
        sock,
        connection.send(h11.Request(method=asked.method, target=target, headers=headers))
        + connection.send(h11.Data(asked.body))
        + connection.send(h11.EndOfMessage()),
    )
    status = 0
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            data = await receive(sock)
            if not data and connection.their_state is h11.SEND_RESPONSE:
                raise CloudError(f"{url.netloc} hung up without an answer", reason=Reason.CLOUD_MALFORMED)
            connection.receive_data(data)
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_MAX:
                raise CloudError(
                    f"{url.netloc}: the answer is longer than {BODY_MAX} bytes", reason=Reason.CLOUD_MALFORMED
                )
        elif isinstance(event, h11.EndOfMessage):
            return HttpResponse(status=status, body=bytes(body))
        elif isinstance(event, h11.ConnectionClosed):
            raise CloudError(f"{url.netloc} hung up without an answer", reason=Reason.CLOUD_MALFORMED)
