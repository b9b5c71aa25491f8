"""Connect, bind, register at a broker that writes its octets by hand; and everything that is no success."""

from __future__ import annotations

import json
import random
import struct

import attrs
import pytest

from qiot.cloud.binder import Journal
from qiot.device_info import AuthMode, Endpoints
from qiot.errors import CloudError, ConfigurationError
from qiot.model import Grant, Reason, Secret
from tests.cloud.rlink.support import INFO, NEW, OWNER, PID, SECRET, TOPIC, UUID, binder, broker, grant, says
from tests.cloud.wire import SUBSCRIBE, Broker, closed_port, nothing_left


async def bind(server: Broker, given: Grant | None = None, **more):
    given = given or grant(server.port)
    async with nothing_left():
        device = binder(**more)
        link = await device.connect(given)
        try:
            return await device.bind(link, given, Journal())
        finally:
            await link.close()


async def refused(server: Broker, given: Grant | None = None, **more) -> CloudError:
    with pytest.raises(CloudError) as raised:
        await bind(server, given, **more)
    return raised.value


def _topics(server: Broker) -> list[tuple[str, int]]:
    found = []
    for body in server.of(SUBSCRIBE):
        (length,) = struct.unpack_from("!H", body, 2)
        found.append((body[4 : 4 + length].decode(), body[4 + length]))
    return found


def _sent(server: Broker) -> list[tuple[str, int, dict]]:
    return [(topic, qos, json.loads(payload)) for topic, qos, payload in server.published]


# --- bind -----------------------------------------------------------------------------------------------


async def test_bind_then_info(written):
    async with broker(says()) as server:
        detail = await bind(server, version="2.1", mcu_version="0.9")
    assert _topics(server) == [(f"{TOPIC}/report_response", 1), (f"{TOPIC}/issue", 1)]
    (topic, qos, first), (other, _, second) = _sent(server)
    assert topic == other == f"{TOPIC}/report"
    assert qos == 1
    assert first["code"] == "bind"
    assert (first["ts"], first["ack"]) == (1721192798, 1)
    assert first["data"] == {
        "userId": OWNER["userId"],
        "assetId": OWNER["bid"],
        "version": "2.1",
        "mcuVersion": "0.9",
        "cleanData": False,
    }
    assert second["code"] == "info"
    assert second["data"] == {"bindStatus": 1, "version": "2.1", "mcuVersion": "0.9"}
    assert first["id"] != second["id"]
    assert detail == {"msg_id": first["id"]}
    assert first["id"].isdecimal()
    assert len(first["id"]) == 19
    for secret in (SECRET, OWNER["bid"]):
        assert secret not in written.getvalue()


async def test_ids_never_repeat():
    async with broker(says()) as server:
        await bind(server, chance=random.Random(1))
        await bind(server, chance=random.Random(2))
    ids = [message["id"] for _, _, message in _sent(server)]
    assert len(set(ids)) == 4


@pytest.mark.parametrize(
    ("res", "what"),
    [(1001, "service exception"), (1004, "device does not exist"), (17032, "device is bound"), (99999, "no")],
)
async def test_a_refused_bind_carries_the_vendors_number(res, what):
    async with broker(says(res)) as server:
        error = await refused(server)
    assert (error.reason, error.code, error.permanent) == (Reason.TOKEN_REFUSED, res, True)
    assert what in str(error)
    assert len(server.published) == 1


@pytest.mark.parametrize("res", [None, "0", True, 0.0, [0]])
async def test_a_reply_without_a_number_is_no_yes(res):
    async with broker(says(res)) as server:
        assert (await refused(server)).reason is Reason.TOKEN_MALFORMED


@pytest.mark.parametrize("foreign", [{"id": "1"}, {"code": "info"}, {"id": 7}, {"id": None}])
async def test_someone_elses_reply_is_no_reply(foreign):
    async with broker(says(**foreign)) as server:
        error = await refused(server, reply_timeout=0.02)
    assert error.reason is Reason.TOKEN_NO_REPLY
    sent = _sent(server)
    assert len(sent) == 3
    assert len({message["id"] for _, _, message in sent}) == 3, "the cloud ignores an id that it knows"


async def test_a_late_reply_to_an_earlier_round_counts():
    asked = []

    def reply(message):
        asked.append(message)
        return says()(asked[0]) if len(asked) == 2 else None

    async with broker(reply) as server:
        detail = await bind(server, reply_timeout=0.02)
    assert detail["msg_id"] == asked[0]["id"]


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b"\xff", b"[" * 10000])
async def test_junk_is_told_from_silence(junk):
    async with broker(lambda _: junk) as server:
        assert (await refused(server, reply_timeout=0.02)).reason is Reason.TOKEN_MALFORMED


async def test_a_report_that_is_not_acknowledged():
    async with broker(puback=False) as server:
        error = await refused(server, reply_timeout=0.02, connect_timeout=0.1)
    assert error.reason is Reason.TOKEN_SEND


async def test_a_connection_that_ends_while_the_reply_is_awaited():
    async with broker() as server:

        def hang_up(_message):
            server.writer.transport.abort()

        server.reply = hang_up
        assert (await refused(server)).reason is Reason.MQTT_LOST


async def test_an_info_that_fails_changes_nothing():
    def reply(message):
        if message["code"] == "bind":
            server.puback = False
        return says()(message)

    async with broker(reply) as server:
        await bind(server, connect_timeout=0.1)


@pytest.mark.parametrize("missing", ["bid", "userId"])
async def test_a_grant_that_lacks_its_owner(missing):
    async with broker(says()) as server:
        error = await refused(server, grant(server.port, **{missing: ""}))
        assert not server.published
    assert (error.reason, error.permanent) == (Reason.TOKEN_SEND, True)
    assert missing in str(error)


async def test_a_bid_among_the_params_does_as_well(written):
    async with broker(says()) as server:
        given = grant(server.port, bid="")
        await bind(server, attrs.evolve(given, params={**given.params, "bid": "an-account"}))
    assert _sent(server)[0][2]["data"]["assetId"] == "an-account"
    assert "an-account" not in written.getvalue()


async def test_a_bid_that_is_no_text():
    async with broker(says()) as server:
        error = await refused(server, attrs.evolve(grant(server.port), value=Secret(b"\xff")))
    assert error.reason is Reason.TOKEN_SEND


async def test_a_grant_for_another_cloud():
    async with broker(says()) as server:
        other = attrs.evolve(grant(server.port), cloud="tencent")
        assert (await refused(server, other)).reason is Reason.TOKEN_REFUSED


# --- connect --------------------------------------------------------------------------------------------


async def test_nobody_named_a_broker():
    with pytest.raises(CloudError, match="no broker") as raised:
        await binder().connect(None)
    assert (raised.value.reason, raised.value.permanent) == (Reason.CONFIGURATION, True)


@pytest.mark.parametrize("code", [1, 2, 4, 5])
async def test_a_refused_connection(code):
    async with broker(connack=code) as server, nothing_left():
        with pytest.raises(CloudError) as raised:
            await binder().connect(grant(server.port))
    assert (raised.value.reason, raised.value.code) == (Reason.MQTT_REFUSED, code)


async def test_no_broker_there():
    with pytest.raises(CloudError) as raised:
        await binder().connect(grant(closed_port()))
    assert raised.value.reason is Reason.TCP


async def test_a_refused_subscription_closes_the_connection():
    async with broker(suback=0x80) as server, nothing_left():
        with pytest.raises(CloudError) as raised:
            await binder().connect(grant(server.port))
    assert raised.value.reason is Reason.MQTT_SUBSCRIBE


@pytest.mark.parametrize(
    "endpoint",
    ["host:port", "user@host", "host/path", "host:0", ":1883", "http://host", "no place!", "h" * 254, "höst"],
)
async def test_an_endpoint_that_is_no_place(endpoint):
    given = attrs.evolve(grant(1), endpoint=endpoint)
    with pytest.raises(CloudError) as raised:
        await binder().connect(given)
    assert (raised.value.reason, raised.value.permanent) == (Reason.BAD_FIELD, True)


async def test_the_owners_url_goes_before_the_phones():
    async with broker() as server:
        await (await binder(mqtt_url=server.url).connect(grant(closed_port()))).close()
    assert server.connections == 1


async def test_the_identitys_url_is_for_where_the_phone_says_nothing():
    async with broker() as server, broker() as other:
        info = attrs.evolve(INFO, endpoints=Endpoints(mqtt=server.url))
        await (await binder(info).connect(attrs.evolve(grant(1), endpoint=None))).close()
        await (await binder(info).connect(grant(other.port))).close()
    assert (server.connections, other.connections) == (1, 1)


async def test_tls_on_the_phones_other_port(authority):
    async with broker(says(), context=authority.server_context()) as server:
        given = attrs.evolve(grant(server.port, mqttSslPort=str(server.port)), endpoint="127.0.0.1:1")
        await bind(server, given, ca_file=authority.ca_file)
        with pytest.raises(CloudError) as raised:  # a CA of the system's does not know this one
            await binder(security="tls").connect(given)
    assert raised.value.reason is Reason.TLS


async def test_without_a_ca_the_plain_port_is_taken():
    async with broker(says()) as server:
        await bind(server, grant(server.port, mqttSslPort="1"))


async def test_tls_only_refuses_a_plain_broker():
    async with broker() as server:
        with pytest.raises(CloudError, match="only TLS") as raised:
            await binder(security="tls").connect(grant(server.port))
    assert raised.value.permanent
    assert server.connections == 0


@pytest.mark.parametrize("port", ["0", "65536", "x", "99999999999999999999", "²"])
async def test_a_tls_port_that_is_none(port):
    with pytest.raises(CloudError, match="mqttSslPort") as raised:
        await binder(security="tls").connect(grant(1, mqttSslPort=port))
    assert raised.value.reason is Reason.BAD_FIELD


# --- other reports --------------------------------------------------------------------------------------


async def test_a_device_that_is_back_says_info():
    async with broker() as server:
        device = binder()
        link = await device.connect(grant(server.port))
        await device.resumed(link)
        await link.close()
    assert [message["code"] for _, _, message in _sent(server)] == ["info"]
    assert _sent(server)[0][2]["ack"] == 1


@pytest.mark.parametrize("clean", [False, True])
async def test_a_device_that_was_unbound_says_reset(clean):
    async with broker() as server:
        device = binder()
        link = await device.connect(grant(server.port))
        await device.unbind(link, clean=clean)
        await link.close()
    ((topic, _, message),) = _sent(server)
    assert topic == f"{TOPIC}/report"
    assert (message["code"], message["data"], message["ack"]) == ("reset", {"cleanData": clean}, 0)


# --- registration ---------------------------------------------------------------------------------------

TRIPLET = {"pid": PID, "uuid": UUID, "secret": SECRET, "mac": "7C87C94B97EC"}


async def test_dynamic_registration(written):
    async with broker(says(data=TRIPLET)) as server, nothing_left():
        device = binder(NEW)
        assert not device.registered
        info = await device.register(grant(server.port))
        assert device.registered
        ((topic, qos, message),) = _sent(server)
    assert (info.product_id, info.device_name, info.device_secret) == (PID, UUID, Secret(SECRET))
    assert _topics(server) == [(f"register/v2/{PID}/unit-7/register_response", 1)]
    assert (topic, qos) == (f"register/v2/{PID}/unit-7/register", 1)
    assert (message["code"], message["ack"], message["data"]) == ("register", 1, {})
    assert SECRET not in written.getvalue()
    assert "product-secret" not in written.getvalue()


async def _not_registered(reply, **more) -> CloudError:
    async with broker(reply) as server, nothing_left():
        device = binder(NEW, **more)
        with pytest.raises(CloudError) as raised:
            await device.register(grant(server.port))
        assert not device.registered
    return raised.value


async def test_a_refused_registration_carries_the_vendors_number():
    error = await _not_registered(says(1005))
    assert (error.reason, error.code, error.permanent) == (Reason.REGISTRATION_REFUSED, 1005, True)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        TRIPLET | {"uuid": ""},
        TRIPLET | {"uuid": "a/b"},
        TRIPLET | {"uuid": 5},
        TRIPLET | {"secret": ""},
        TRIPLET | {"secret": "s" * 65},
        TRIPLET | {"secret": "ü" * 32},
        TRIPLET | {"secret": None},
        TRIPLET | {"pid": "other"},
    ],
)
async def test_an_answer_that_is_no_triplet(data):
    assert (await _not_registered(says(data=data))).reason is Reason.CLOUD_MALFORMED


async def test_a_registration_without_an_answer():
    assert (await _not_registered(None, reply_timeout=0.02)).reason is Reason.CLOUD_TIMEOUT


# --- configuration --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("info", "more", "what"),
    [
        (INFO, {"hmac": "md5"}, "hmac"),
        (INFO, {"security": "psk"}, "security"),
        (INFO, {"mqtt_url": "http://host"}, "MQTT URL"),
        (attrs.evolve(INFO, endpoints=Endpoints(mqtt="x")), {}, "MQTT URL"),
        (attrs.evolve(INFO, auth_mode=AuthMode.CERT), {}, "secret"),
        (NEW, {"dynamic_registration": False}, "deviceSecret"),
        (attrs.evolve(NEW, device_name="unit_7"), {}, "_"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_sent(info, more, what):
    with pytest.raises(ConfigurationError, match=what):
        binder(info, **more)


async def test_a_device_without_a_secret_does_not_connect():
    with pytest.raises(ConfigurationError, match="not registered"):
        await binder(NEW).connect(grant(1))


async def test_a_device_without_a_product_secret_does_not_register():
    with pytest.raises(ConfigurationError, match="product secret"):
        await binder(attrs.evolve(NEW, product_secret=None)).register(grant(1))
