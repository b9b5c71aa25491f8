"""HTTP over the host's sockets."""

from __future__ import annotations

import asyncio
import errno

import pytest

from qiot.cloud.transport import HostTransport
from qiot.errors import CloudError, ConfigurationError
from qiot.hal.contract import HttpRequest, HttpResponse, Tls
from qiot.model import Reason
from tests.cloud.wire import (
    SHORT,
    HttpServer,
    Server,
    closed_port,
    full_backlog,
    http_answer,
    nothing_left,
    until,
)


async def ask(url: str, *, tls: Tls | None = None, timeout: float = 10, **more) -> HttpResponse:
    return await HostTransport().request(HttpRequest("POST", url, tls=tls, timeout=timeout, **more))


async def refused(url: str, **more) -> CloudError:
    async with nothing_left():
        with pytest.raises(CloudError) as raised:
            await ask(url, **more)
    return raised.value


async def test_the_request_goes_out_as_it_was_given():
    async with HttpServer(http_answer("yes")) as server, nothing_left():
        headers = {"Accept": "*/*", "Content-Length": "5", "X-Own": "a b"}
        assert await ask(f"{server.url}/some/path?q=1", headers=headers, body=b"hello") == HttpResponse(
            200, b"yes"
        )
    head, body = server.requests[0]
    assert body == b"hello"
    assert head.decode().split("\r\n") == [
        "POST /some/path?q=1 HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        "Accept: */*",
        "Content-Length: 5",
        "X-Own: a b",
        "",
        "",
    ]


@pytest.mark.parametrize(
    "answer",
    [
        [b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody"],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nbo\r\n", b"2;x=y\r\ndy\r\n0\r\n\r\n"],
        [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length:4\r\n\r\n", b"bo", b"dy"],
        [bytes([each]) for each in b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"],
    ],
    ids=["lower case", "chunked", "after 100", "octet by octet"],
)
async def test_an_answer_is_given_when_its_body_is_complete(answer):
    async with HttpServer(*answer) as server:  # which keeps the connection open
        assert await ask(server.url) == HttpResponse(200, b"body")


async def test_a_body_may_end_with_the_connection():
    async with HttpServer(b"HTTP/1.0 503 No\r\n\r\nall of it", close=True) as server:
        assert await ask(server.url) == HttpResponse(503, b"all of it")


async def test_long_body_is_taken_up_to_64_kib_and_no_further():
    async with HttpServer(http_answer(b"x" * 65536)) as server:
        assert len((await ask(server.url)).body) == 65536
    async with HttpServer(http_answer(b"x" * 65537)) as server:
        assert (await refused(server.url)).reason is Reason.CLOUD_MALFORMED


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"]
)
async def test_no_whole_http_answer_is_malformed(answer):
    async with HttpServer(answer, close=True) as server:
        assert (await refused(server.url)).reason is Reason.CLOUD_MALFORMED


async def test_a_reset_is_told_with_its_number():
    async with HttpServer(b"HTTP/1.1 200 OK\r\n", cut=True) as server:
        error = await refused(server.url)
    assert (error.reason, error.code) == (Reason.TCP, errno.ECONNRESET)


async def test_nobody_listens():
    error = await refused(f"http://127.0.0.1:{closed_port()}")
    assert (error.reason, error.code) == (Reason.TCP, errno.ECONNREFUSED)


async def test_a_name_that_does_not_exist():
    with pytest.raises(CloudError) as raised:
        await ask("http://does-not-exist.invalid")
    assert raised.value.reason is Reason.DNS


async def test_hang_at_tcp():
    with full_backlog() as port:
        error = await refused(f"http://127.0.0.1:{port}", timeout=SHORT)
    assert (error.reason, error.code) == (Reason.TCP, errno.ETIMEDOUT)


async def test_hang_at_the_tls_handshake():
    async with Server() as server:
        error = await refused(f"https://127.0.0.1:{server.port}", timeout=1.0)  # TCP has to be done by then
    assert (error.reason, error.code) == (Reason.TLS, errno.ETIMEDOUT)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"])
async def test_hang_before_the_whole_answer(answer):
    async with HttpServer(answer) as server:
        assert (await refused(server.url, timeout=SHORT)).reason is Reason.CLOUD_TIMEOUT


async def test_cancelling_leaves_nothing():
    async with HttpServer(b"") as server, nothing_left():
        task = asyncio.create_task(ask(server.url))
        await until(lambda: server.requests)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_tls_with_the_named_ca(authority):
    async with HttpServer(http_answer("safe"), context=authority.server_context()) as server, nothing_left():
        tls = Tls(ca_file=str(authority.ca_file))
        assert (await ask(server.url, tls=tls)).body == b"safe"


async def test_tls_with_a_ca_that_is_not_trusted(authority):
    async with HttpServer(http_answer("safe"), context=authority.server_context()) as server:
        error = await refused(server.url)
    assert error.reason is Reason.TLS
    assert "certificate not accepted" in str(error)


async def test_tls_where_none_is_spoken():
    async with HttpServer(http_answer("plain")) as server:
        server.answer = ()
        plain = f"https://127.0.0.1:{server.port}"
        task = asyncio.create_task(refused(plain))
        await until(lambda: server.connections)
    assert (await task).reason is Reason.TLS


@pytest.mark.parametrize("url", ["ftp://host", "http://", "http://host:99999", "host:80", "http://host:0"])
async def test_a_url_that_is_none(url):
    with pytest.raises(ConfigurationError):
        await ask(url)


@pytest.mark.parametrize("content", [None, "no PEM"])
async def test_a_ca_file_that_cannot_be_used(tmp_path, content):
    file = tmp_path / "ca.crt"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError, match=str(file)):
        await ask("https://127.0.0.1:1", tls=Tls(ca_file=str(file)))
