"""The link: paho driven by the event loop, against a broker written by hand."""

from __future__ import annotations

import asyncio
import errno
import threading

import pytest

from qiot.cloud.transport import HostTransport
from qiot.errors import CloudError
from qiot.hal.contract import MqttParameters, Tls
from qiot.model import CloudLink, Message, Reason, Secret
from tests.cloud.wire import (
    CONNECT,
    DISCONNECT,
    PINGREQ,
    SHORT,
    SUBSCRIBE,
    Broker,
    Server,
    closed_port,
    full_backlog,
    nothing_left,
    until,
)


def parameters(port: int, **more) -> MqttParameters:
    given = {"client_id": "me", "username": "user", "password": Secret("word"), "timeout": 10.0}
    return MqttParameters("127.0.0.1", port, **{**given, **more})


async def connect(port: int, **more) -> CloudLink:
    return await HostTransport().mqtt(parameters(port, **more))


async def refused(port: int, **more) -> CloudError:
    async with nothing_left():
        with pytest.raises(CloudError) as raised:
            await connect(port, **more)
    return raised.value


async def test_connect_says_what_the_contract_says():
    async with Broker() as broker:
        async with nothing_left():
            link = await connect(broker.port)
            assert link.connected
            await link.close()
            await link.close()
            assert not link.connected
            assert await link.wait_lost() is None
        await until(lambda: broker.of(DISCONNECT))
    assert broker.connects == [
        {
            "level": 4,
            "flags": 0xC2,
            "keep_alive": 240,
            "client_id": "me",
            "username": "user",
            "password": "word",
        }
    ]


async def test_no_thread_is_used():
    async with Broker() as broker:
        before = threading.active_count()
        link = await connect(broker.port)
        await link.subscribe("down", lambda _: None)
        await link.publish("up", b"x", qos=1)
        assert threading.active_count() == before
        await link.close()


async def test_without_a_password_the_flag_says_so():
    async with Broker() as broker:
        await (await connect(broker.port, password=None)).close()
    assert broker.connects[0]["flags"] == 0x82


@pytest.mark.parametrize(("code", "permanent"), [(1, True), (2, True), (3, False), (4, True), (5, True)])
async def test_connack_refuses(code, permanent):
    async with Broker(connack=code) as broker:
        error = await refused(broker.port)
        assert len(broker.of(CONNECT)) == 1
    assert (error.reason, error.code, error.permanent) == (Reason.MQTT_REFUSED, code, permanent)


@pytest.mark.parametrize("raw", [b"\xff\x00", b"\x20\x02\x00\x63", b"\x20\x03\x00\x00\x00"])
async def test_what_is_not_mqtt(raw):
    async with Broker(connack=raw) as broker:
        error = await refused(broker.port)
    assert error.reason is Reason.CLOUD_MALFORMED


async def test_nobody_listens():
    error = await refused(closed_port())
    assert (error.reason, error.code) == (Reason.TCP, errno.ECONNREFUSED)


async def test_hang_at_tcp():
    with full_backlog() as port:
        error = await refused(port, timeout=SHORT)
    assert (error.reason, error.code) == (Reason.TCP, errno.ETIMEDOUT)


async def test_hang_at_the_tls_handshake():
    async with Server() as server:
        error = await refused(server.port, tls=Tls(), timeout=SHORT)
    assert (error.reason, error.code) == (Reason.TLS, errno.ETIMEDOUT)


async def test_hang_at_connack():
    async with Broker(connack=None) as broker:
        error = await refused(broker.port, timeout=SHORT)
        assert broker.of(CONNECT)
    assert error.reason is Reason.CLOUD_TIMEOUT


async def test_the_broker_hangs_up_instead_of_connack():
    async with Broker(connack=None) as broker:
        task = asyncio.create_task(refused(broker.port))
        await until(lambda: broker.of(CONNECT))
        broker.writer.close()
        assert (await task).reason is Reason.MQTT_LOST


async def test_cancelling_the_connect_leaves_nothing():
    async with Broker(connack=None) as broker, nothing_left():
        task = asyncio.create_task(connect(broker.port))
        await until(lambda: broker.of(CONNECT))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_cancelling_the_handshake_leaves_nothing():
    async with Server() as server, nothing_left():
        task = asyncio.create_task(connect(server.port, tls=Tls()))
        await until(lambda: server.connections)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_messages_come_in_order_to_their_handler():
    async with Broker() as broker:
        link = await connect(broker.port)
        one, other = [], []
        await link.subscribe("one", one.append)
        await link.subscribe("other", other.append)
        for number in range(50):
            await broker.send("one", str(number).encode())
        await broker.send(b"\xff\xfe", b"no UTF-8")
        await broker.send("nobody's", b"")
        await broker.send("other", b"last")
        await until(lambda: other)
        assert [int(message.payload) for message in one] == list(range(50))
        assert other == [Message("other", b"last")]
        await link.close()


async def test_a_message_in_the_same_segment_as_the_suback_is_not_lost():
    async with Broker(suback=None) as broker:
        link = await connect(broker.port)
        got = []
        task = asyncio.create_task(link.subscribe("topic", got.append))
        await until(lambda: broker.of(SUBSCRIBE))
        packet_id = broker.of(SUBSCRIBE)[0][:2]
        broker.writer.write(b"\x30\x08\x00\x05topic!" + b"\x90\x03" + packet_id + b"\x00")
        await task
        assert got == [Message("topic", b"!")]
        await link.close()


async def test_a_handler_that_fails_ends_nothing(written):
    async with Broker() as broker:
        link = await connect(broker.port)
        got = []

        def handler(message: Message) -> None:
            got.append(message)
            raise RuntimeError("on purpose")

        await link.subscribe("topic", handler)
        await broker.send("topic", b"1")
        await broker.send("topic", b"2")
        await until(lambda: len(got) == 2)
        assert link.connected
        await link.close()
    assert "on purpose" in written.getvalue()


async def test_a_large_message_over_tls_comes_whole(authority):
    async with Broker(context=authority.server_context()) as broker, nothing_left():
        link = await connect(broker.port, tls=Tls(ca_file=str(authority.ca_file)))
        got = []
        await link.subscribe("big", got.append)
        await broker.send("big", b"x" * 300_000)
        await broker.send("big", b"end")
        await until(lambda: len(got) == 2)
        assert len(got[0].payload) == 300_000
        await link.close()


async def test_publish_gives_the_packet_id_of_the_wire():
    async with Broker() as broker:
        link = await connect(broker.port)
        first = await link.publish("up", b"1", qos=1)
        second = await link.publish("up", b"2", qos=1)
        await link.publish("up", b"3")
        await until(lambda: len(broker.published) == 3)
        assert broker.published == [("up", 1, b"1"), ("up", 1, b"2"), ("up", 0, b"3")]
        assert [int.from_bytes(body[4:6]) for _, _, body in broker.packets[1:3]] == [first, second]
        await link.close()


async def test_subscribe_refused_and_not_answered():
    async with Broker(suback=0x80) as broker, nothing_left():
        link = await connect(broker.port, timeout=SHORT)
        got = []
        with pytest.raises(CloudError) as raised:
            await link.subscribe("topic", got.append)
        assert (raised.value.reason, raised.value.code) == (Reason.MQTT_SUBSCRIBE, 0x80)
        broker.suback = None
        with pytest.raises(CloudError) as raised:
            await link.subscribe("topic", got.append)
        assert raised.value.reason is Reason.CLOUD_TIMEOUT
        broker.suback, other = 0, []
        await broker.send("topic", b"for nobody")
        await link.subscribe("other", other.append)
        await broker.send("other", b"")
        await until(lambda: other)
        assert not got
        await link.close()


async def test_publish_without_puback():
    async with Broker(puback=False) as broker, nothing_left():
        link = await connect(broker.port, timeout=SHORT)
        with pytest.raises(CloudError) as raised:
            await link.publish("up", b"x", qos=1)
        assert raised.value.reason is Reason.CLOUD_TIMEOUT
        assert link.connected
        await link.close()


async def test_losing_the_connection_tells_everybody():
    async with Broker(puback=False) as broker, nothing_left():
        link = await connect(broker.port)
        publishing = asyncio.create_task(link.publish("up", b"x", qos=1))
        watching = asyncio.create_task(link.wait_lost())
        await until(lambda: broker.published)
        broker.writer.close()
        with pytest.raises(CloudError) as raised:
            await publishing
        failure = await watching
        assert raised.value.reason is failure.reason is Reason.MQTT_LOST
        assert not link.connected
        for action in (link.publish("up", b""), link.subscribe("down", print)):
            with pytest.raises(CloudError) as raised:
                await action
            assert raised.value.reason is Reason.MQTT_LOST
        await link.close()


async def test_garbage_on_an_open_connection_ends_it():
    async with Broker() as broker, nothing_left():
        link = await connect(broker.port)
        broker.writer.write(b"\xf0\xff\xff\xff\xff\xff\xff")
        failure = await link.wait_lost()
        assert failure.reason is Reason.CLOUD_MALFORMED


async def test_pings_are_sent_and_unanswered_ones_end_the_connection():
    async with Broker(ping=False) as broker, nothing_left():
        link = await connect(broker.port, keep_alive=1)
        failure = await link.wait_lost()
        assert failure.reason is Reason.MQTT_LOST
        assert broker.of(PINGREQ)


async def test_close_while_the_other_side_reads_nothing():
    """A full send buffer must not keep the link from closing."""
    async with Server() as stuck:
        connected = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(2)
            writer.write(b"\x20\x02\x00\x00")
            connected.set()
            await writer.wait_closed()

        stuck.talk = talk
        async with nothing_left():
            link = await connect(stuck.port)
            await connected.wait()
            publishing = asyncio.create_task(link.publish("up", b"x" * 50_000_000))
            await asyncio.sleep(0)
            await link.close()
            with pytest.raises(CloudError):
                await publishing
            for writer in list(stuck._writers):
                writer.transport.abort()
