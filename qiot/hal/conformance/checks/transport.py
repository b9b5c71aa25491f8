"""Transport: MQTT and HTTP, their typed failures, and nothing left of a connection that failed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import attrs

from qiot.errors import CloudError, ConfigurationError
from qiot.hal.conformance import peers
from qiot.hal.conformance.bench import Bench
from qiot.hal.conformance.check import check, expect, not_claimed
from qiot.hal.contract import HttpRequest, MqttParameters, Tls, Transport
from qiot.model import CloudLink, Message, Reason

_NOT_AUTHORIZED: Final = 5
"""Return code of CONNACK (MQTT 3.1.1, 3.2.2.3)."""
_NO_SUCH_HOST: Final = "no-such-host.invalid"
"""Never there (RFC 6761, 6.4)."""
_SHORT: Final = 0.5
_BODY_MAX: Final = 65536
_TOPIC: Final = "qiot/conformance"


def _host(bench: Bench) -> str:
    reach = bench.environment.reach
    if reach is None:
        not_claimed("this host cannot be reached from the platform (reach)")
    return reach


def _any_broker(bench: Bench) -> Transport:
    """The port, where it connects to brokers of ours."""
    transport = bench.port(Transport)
    if not transport.any_broker:
        not_claimed("its MQTT goes to its own cloud only (any_broker)")
    return transport


def _parameters(server: peers.Server, timeout: float = 5.0) -> MqttParameters:
    return MqttParameters(
        host=server.host, port=server.port, client_id="conformance", username="device", timeout=timeout
    )


async def _connect(bench: Bench, transport: Transport, parameters: MqttParameters) -> CloudLink:
    return await bench.call("Transport.mqtt", transport.mqtt(parameters), seconds=parameters.timeout)


async def _refused(bench: Bench, parameters: MqttParameters, *reasons: Reason) -> CloudError:
    connecting = _any_broker(bench).mqtt(parameters)
    error = await bench.refused(
        "Transport.mqtt", connecting, CloudError, reasons=reasons, seconds=parameters.timeout
    )
    expect(isinstance(error, CloudError), "")
    return error  # type: ignore[return-value]


async def _nobody(bench: Bench) -> peers.Server:
    """Where nobody listens."""
    async with peers.serving(_host(bench), _silent) as server:
        return server


async def _silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def _babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 3)
    await writer.drain()


@contextlib.asynccontextmanager
async def _broker(bench: Bench) -> AsyncIterator[MqttParameters]:
    """The environment's broker, else one of our own."""
    if bench.environment.broker is not None:
        yield bench.environment.broker
        return
    async with peers.broker(_host(bench)) as (server, _):
        yield _parameters(server)


@check(Transport, "mqtt")
async def messages_go_both_ways(bench: Bench) -> None:
    """With QoS 0 and 1, in order, octet by octet; close is idempotent and ends the link."""
    transport = _any_broker(bench)
    async with _broker(bench) as parameters:
        link = await _connect(bench, transport, parameters)
        expect(link.connected, "a link that was just opened is not connected")
        heard: asyncio.Queue[Message] = asyncio.Queue()
        await bench.call("CloudLink.subscribe", link.subscribe(_TOPIC, heard.put_nowait, 1))
        for qos, payload in enumerate((b"\x00\xff", b"x" * 20_000)):
            await bench.call("CloudLink.publish", link.publish(_TOPIC, payload, qos))
            message = await bench.call("a message", heard.get(), hanging=f"nothing came back with QoS {qos}")
            same = message == Message(_TOPIC, payload)
            expect(same, f"{len(payload)} octets were sent, {len(message.payload)} came of {message.topic}")
        waiting = asyncio.ensure_future(link.wait_lost())
        for _ in range(2):
            await bench.call("CloudLink.close", link.close())
        why = await bench.call("CloudLink.wait_lost", waiting)
        expect(why is None and not link.connected, f"after close: {why}, connected {link.connected}")


@check(Transport, "mqtt")
async def a_refused_connection_has_the_brokers_number(bench: Bench) -> None:
    """MQTT_REFUSED with CONNACK's code; the connection is closed."""
    async with peers.broker(_host(bench), _NOT_AUTHORIZED) as (server, _):
        error = await _refused(bench, _parameters(server), Reason.MQTT_REFUSED)
        expect(error.code == _NOT_AUTHORIZED, f"CONNACK said {_NOT_AUTHORIZED}, the error says {error.code}")
        await bench.until(server.is_left, "a refused connection is still open")


@check(Transport, "mqtt")
async def a_broker_that_is_not_there_is_told(bench: Bench) -> None:
    """TCP where nobody listens, DNS where the name does not resolve."""
    await _refused(bench, _parameters(await _nobody(bench)), Reason.TCP)
    nameless = attrs.evolve(_parameters(await _nobody(bench)), host=_NO_SUCH_HOST)
    await _refused(bench, nameless, Reason.DNS, Reason.CLOUD_TIMEOUT)


@check(Transport, "mqtt")
async def a_broker_that_is_none_is_told(bench: Bench) -> None:
    """CLOUD_TIMEOUT where it says nothing, CLOUD_MALFORMED where it says nonsense; both are left."""
    async with peers.serving(_host(bench), _silent) as server:
        await _refused(bench, _parameters(server, timeout=_SHORT), Reason.CLOUD_TIMEOUT)
        await bench.until(server.is_left, "a connection that timed out is still open")
    async with peers.serving(_host(bench), _babble) as server:
        await _refused(bench, _parameters(server), Reason.CLOUD_MALFORMED, Reason.MQTT_LOST)
        await bench.until(server.is_left, "a connection that got nonsense is still open")


@check(Transport, "mqtt")
async def tls_is_checked(bench: Bench) -> None:
    """A file that is not there is the user's mistake; a broker without TLS is no broker."""
    transport = _any_broker(bench)
    async with peers.serving(_host(bench), _babble) as server:
        missing = attrs.evolve(_parameters(server), tls=Tls(ca_file="/nonexistent/ca.pem"))
        await bench.refused("Transport.mqtt", transport.mqtt(missing), ConfigurationError)
        await _refused(bench, attrs.evolve(_parameters(server), tls=Tls()), Reason.TLS)
        await bench.until(server.is_left, "a connection that failed in TLS is still open")


@check(Transport, "mqtt")
async def a_cancelled_connection_leaves_nothing(bench: Bench) -> None:
    """Wherever it is cut off; the next one works."""
    transport = _any_broker(bench)
    async with peers.serving(_host(bench), _silent) as server:
        for after in bench.environment.cancel_after:
            connecting = transport.mqtt(_parameters(server, timeout=30.0))
            await bench.cancelled("Transport.mqtt", connecting, after)
        await bench.until(server.is_left, "a cancelled connection is still open")
    async with _broker(bench) as parameters:
        link = await _connect(bench, transport, parameters)
        await bench.call("CloudLink.close", link.close())


@check(Transport, "mqtt")
async def a_lost_connection_is_told(bench: Bench) -> None:
    """MQTT_LOST, to who waits for it and to who publishes; close is still good."""
    transport = _any_broker(bench)
    async with peers.broker(_host(bench)) as (server, broker):
        link = await _connect(bench, transport, _parameters(server))
        waiting = await bench.pending(link.wait_lost())
        broker.drop_all()
        lost = "the connection is gone, and wait_lost does not return"
        why = await bench.call("CloudLink.wait_lost", waiting, hanging=lost)
        expect(why is not None and why.reason is Reason.MQTT_LOST, f"wait_lost says {why}")
        expect(not link.connected, "a lost link says that it is connected")
        publishing = link.publish(_TOPIC, b"x", 1)
        await bench.refused("CloudLink.publish", publishing, CloudError, reasons=(Reason.MQTT_LOST,))
        await bench.call("CloudLink.close", link.close())


async def _request(bench: Bench, request: HttpRequest) -> tuple[int, bytes]:
    sending = bench.port(Transport).request(request)
    answer = await bench.call("Transport.request", sending, seconds=request.timeout)
    return answer.status, answer.body


def _answer(status: str, body: bytes = b"", *more: str) -> bytes:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *more))
    return f"{head}Connection: close\r\n\r\n".encode() + body


def _url(server: peers.Server, path: str = "/path?a=1") -> str:
    return f"http://{server.host}:{server.port}{path}"


@check(Transport, "request")
async def a_request_goes_out_and_its_answer_comes_back(bench: Bench) -> None:
    """Method, path, headers and body; every status is an answer, and redirects are not followed."""
    for status in (200, 404, 500):
        async with peers.web_server(_host(bench), _answer(f"{status} So", b"\x00answer")) as server:
            request = HttpRequest("POST", _url(server), headers={"X-Conformance": "yes"}, body=b"\x00body")
            got = await _request(bench, request)
            expect(got == (status, b"\x00answer"), f"the server said {status}, {got} came")
            head, _, body = bytes(server.received).partition(b"\r\n\r\n")
            expect(head.startswith(b"POST /path?a=1 HTTP/1.1\r\n"), f"the request began {head[:40]!r}")
            expect(b"x-conformance: yes" in head.lower(), "a header did not arrive")
            expect(body == b"\x00body", f"the body was {body!r}")
            await bench.until(server.is_left, "the connection of an answered request is still open")
    async with peers.web_server(_host(bench), b"") as other:
        moved = _answer("302 Found", b"", f"Location: {_url(other)}")
        async with peers.web_server(_host(bench), moved) as server:
            status, _ = await _request(bench, HttpRequest("GET", _url(server)))
            expect(status == 302, f"a redirect came back as {status}")  # noqa: PLR2004 - as above
        expect(not other.received, "a redirect was followed")


@check(Transport, "request")
async def an_answer_has_a_bound(bench: Bench) -> None:
    """64 KiB are taken, more is CLOUD_MALFORMED."""
    whole = b"x" * _BODY_MAX
    async with peers.web_server(_host(bench), _answer("200 OK", whole)) as server:
        got = await _request(bench, HttpRequest("GET", _url(server)))
        expect(got == (200, whole), f"{len(whole)} octets were sent, {len(got[1])} came")
    async with peers.web_server(_host(bench), _answer("200 OK", whole + b"x")) as server:
        request = bench.port(Transport).request(HttpRequest("GET", _url(server)))
        reasons = (Reason.CLOUD_MALFORMED,)
        await bench.refused("Transport.request", request, CloudError, reasons=reasons, seconds=10.0)


@check(Transport, "request")
async def a_server_that_does_not_answer_is_told(bench: Bench) -> None:
    """TCP, CLOUD_TIMEOUT, CLOUD_MALFORMED, DNS; nothing is left."""
    transport = bench.port(Transport)

    async def refused(url: str, *reasons: Reason) -> None:
        request = transport.request(HttpRequest("GET", url, timeout=_SHORT * 2))
        await bench.refused("Transport.request", request, CloudError, reasons=reasons, seconds=_SHORT * 2)

    await refused(_url(await _nobody(bench)), Reason.TCP)
    await refused(f"http://{_NO_SUCH_HOST}/", Reason.DNS, Reason.CLOUD_TIMEOUT)
    async with peers.serving(_host(bench), _silent) as server:
        await refused(_url(server), Reason.CLOUD_TIMEOUT)
        await bench.until(server.is_left, "a connection that timed out is still open")
    async with peers.web_server(_host(bench), b"220 mail.example ESMTP\r\n\r\n") as server:
        await refused(_url(server), Reason.CLOUD_MALFORMED)
        await bench.until(server.is_left, "a connection that got nonsense is still open")


@check(Transport, "request")
async def a_cancelled_request_leaves_nothing(bench: Bench) -> None:
    """Wherever it is cut off."""
    transport = bench.port(Transport)
    async with peers.serving(_host(bench), _silent) as server:
        for after in bench.environment.cancel_after:
            await bench.cancelled(
                "Transport.request", transport.request(HttpRequest("GET", _url(server))), after
            )
        await bench.until(server.is_left, "the connection of a cancelled request is still open")
