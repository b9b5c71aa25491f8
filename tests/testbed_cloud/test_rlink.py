"""rlink as the local cloud plays it, spoken to by an outside client (paho) that shares no code with it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import queue
from urllib.parse import urlsplit

import paho.mqtt.client as paho
import pytest

from qiot.errors import ConfigurationError
from qiot.testbed.cloud.journal import Kind
from tests.testbed_cloud.outside import PATIENCE, device, post

PID = "fFMes8kzaLRHMy"
UUID = "rn01b55A74fa0c16"
SECRET = "bd2625eb1fa0499ea60aadd09ae0a184"
PRODUCT_SECRET = "the product's"
ENTRY = {
    "cloud": "rlink",
    "productId": PID,
    "deviceName": UUID,
    "productSecret": PRODUCT_SECRET,
    "key_deviceinfo": {"deviceSecret": SECRET},
}
NEW = {key: value for key, value in ENTRY.items() if key != "key_deviceinfo"} | {"deviceName": "unit-7"}
TOPIC = f"rlink/v2/{PID}/{UUID}"
OWNER = {"userId": "us1", "assetId": "17403005", "version": "1.0.0", "cleanData": False}
CHECK = "/business-app/v1/device/bind/checkBindResult/"


def signed(name: str, secret: str, method: str = "Sha256", ts: int = 0) -> tuple[str, str]:
    digest = hmac.new(secret.encode(), f"uuid={name},ts={ts}".encode(), getattr(hashlib, method.lower()))
    return f"{name}|signMethod=hmac{method},ts={ts}", digest.hexdigest()


class Client:
    """A device of somebody else's: paho with a thread of its own."""

    def __init__(self, url: str, client_id: str = f"rlink_{UUID}_V2", login: tuple[str, str] | None = None):
        self.codes: queue.Queue[int] = queue.Queue()
        self.granted: queue.Queue[int] = queue.Queue()
        self.heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._client = client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv311
        )
        client.username_pw_set(*(login or signed(UUID, SECRET)))
        client.on_connect = lambda _c, _d, _f, code, _p: self.codes.put(code.value)
        client.on_subscribe = lambda _c, _d, _m, codes, _p: self.granted.put(codes[0].value)
        client.on_message = lambda _c, _d, message: self.heard.put((message.topic, message.payload))
        parts = urlsplit(url)
        client.connect_async(parts.hostname, parts.port)
        client.loop_start()

    async def _next(self, source):
        return await asyncio.to_thread(source.get, timeout=PATIENCE)

    async def connected(self) -> int:
        return await self._next(self.codes)

    async def subscribe(self, *topics: str) -> list[int]:
        codes = []
        for topic in topics:
            self._client.subscribe(topic, 1)
            codes.append(await self._next(self.granted))
        return codes

    def publish(self, topic: str, message: object) -> None:
        data = message if isinstance(message, bytes) else json.dumps(message)
        self._client.publish(topic, data, 1)

    async def hear(self) -> tuple[str, dict]:
        topic, payload = await self._next(self.heard)
        return topic, json.loads(payload)

    async def close(self) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)


@pytest.fixture
async def client():
    made = []

    def make(*arguments) -> Client:
        made.append(Client(*arguments))
        return made[-1]

    yield make
    for each in made:
        await each.close()


async def ready(client, cloud) -> Client:
    made = client(cloud.mqtt_url)
    assert await made.connected() == 0
    assert await made.subscribe(f"{TOPIC}/report_response", f"{TOPIC}/issue") == [1, 1]
    return made


def report(code: str, data: object, number: int = 1, ack: int = 1) -> dict:
    return {"id": f"45lkj355123400{number}", "ts": 1626197189, "code": code, "data": data, "ack": ack}


async def check(cloud, uuid: str = UUID):
    status, _, body = await post(cloud.http_url, f"{CHECK}{uuid}", {})
    assert status == 200
    return json.loads(body)


async def test_bind(start, client):
    cloud = await start([ENTRY])
    assert (await check(cloud))["data"] != 0
    unit = await ready(client, cloud)
    unit.publish(f"{TOPIC}/report", report("bind", OWNER))
    topic, reply = await unit.hear()
    assert topic == f"{TOPIC}/report_response"
    assert (reply["res"], reply["id"], reply["code"], reply["msg"]) == (
        0,
        "45lkj3551234001",
        "bind",
        "success",
    )
    assert (await check(cloud)) == {"code": 200, "message": "success", "data": 0}
    assert cloud.registry.rlink.unit(UUID).owner == ("us1", "17403005")
    record = await cloud.wait_for(lambda record: record.kind is Kind.BIND)
    assert (record.code, record.device) == (0, f"{PID}/{UUID}")


@pytest.mark.parametrize("method", ["Sha1", "Sha256"])
@pytest.mark.parametrize("ts", [0, 1662544613])
async def test_both_signs(start, client, method, ts):
    cloud = await start([ENTRY])
    made = client(cloud.mqtt_url, f"rlink_{UUID}_V2", signed(UUID, SECRET, method, ts))
    assert await made.connected() == 0


NAME, SIGN = signed(UUID, SECRET)


@pytest.mark.parametrize(
    ("client_id", "login", "code"),
    [
        (f"rlink_{UUID}_V2", (NAME, SIGN[:-1] + ("0" if SIGN[-1] != "0" else "1")), 135),
        (f"rlink_{UUID}_V2", (NAME, ""), 135),
        (f"rlink_{UUID}_V2", (UUID, SIGN), 135),
        (f"rlink_{UUID}_V2", (NAME.replace("Sha256", "Md5"), SIGN), 135),
        (f"rlink_{UUID}_V2", signed("rn01other", SECRET), 135),
        (f"rlink_{UUID}_V1", (NAME, SIGN), 133),
        (f"{PID}{UUID}", (NAME, SIGN), 133),
        (f"register_{PID}_unknown", signed(PID, PRODUCT_SECRET), 133),
    ],
)
async def test_who_may_not_connect(start, client, client_id, login, code):
    cloud = await start([ENTRY])
    assert await client(cloud.mqtt_url, client_id, login).connected() == code


async def test_only_ones_own_topics(start, client):
    cloud = await start([ENTRY])
    unit = await ready(client, cloud)
    others = [f"rlink/v2/{PID}/other/issue", f"rlink/v2/{PID}/+/issue", "#", f"{TOPIC}/report"]
    assert await unit.subscribe(*others) == [0x80] * 4
    unit.publish(f"rlink/v2/{PID}/other/report", report("bind", OWNER))
    await cloud.wait_for(lambda record: record.kind is Kind.PUBLISH and record.code == 5)
    assert cloud.registry.rlink.unit(UUID).owner is None


@pytest.mark.parametrize("missing", ["userId", "assetId", "version"])
async def test_a_bind_that_lacks_something(start, client, missing):
    cloud = await start([ENTRY])
    unit = await ready(client, cloud)
    unit.publish(f"{TOPIC}/report", report("bind", OWNER | {missing: ""}))
    assert (await unit.hear())[1]["res"] == 1002
    assert (await check(cloud))["data"] != 0


async def test_another_owner_takes_a_weak_one_and_not_a_strong_one(start, client):
    for mode, res in ((2, 0), (1, 17032)):
        cloud = await start([ENTRY | {"bindMode": mode}])
        unit = await ready(client, cloud)
        unit.publish(f"{TOPIC}/report", report("bind", OWNER, 1))
        unit.publish(f"{TOPIC}/report", report("bind", OWNER | {"userId": "us2"}, 2))
        assert [(await unit.hear())[1]["res"] for _ in range(2)] == [0, res]
        # The owner may always bind again, and after a reset everybody may.
        unit.publish(f"{TOPIC}/report", report("reset", {"cleanData": False}, 3, ack=0))
        unit.publish(f"{TOPIC}/report", report("bind", OWNER | {"userId": "us2"}, 4))
        assert (await unit.hear())[1]["res"] == 0
        await unit.close()


async def test_a_repeated_id_is_ignored_and_without_ack_there_is_no_answer(start, client):
    cloud = await start([ENTRY])
    unit = await ready(client, cloud)
    unit.publish(f"{TOPIC}/report", report("bind", OWNER, 1, ack=0))
    unit.publish(f"{TOPIC}/report", report("reset", {}, 1))
    unit.publish(f"{TOPIC}/report", b"no JSON")
    unit.publish(f"{TOPIC}/report", {"code": "bind", "data": OWNER, "ack": 1})
    unit.publish(f"{TOPIC}/report", report("time", {}, 2))
    _, reply = await unit.hear()
    assert reply["code"] == "time"
    assert cloud.registry.rlink.unit(UUID).owner is not None


async def test_info_properties_and_what_is_not_known(start, client):
    cloud = await start([ENTRY])
    unit = await ready(client, cloud)
    unit.publish(f"{TOPIC}/report", report("info", {"bindStatus": 1, "version": "1.0.0"}, 1))
    unit.publish(f"{TOPIC}/report", report("property_report", {"properties": {"color": "red"}}, 2))
    unit.publish(f"{TOPIC}/report", report("property_report", {"properties": 5}, 3))
    unit.publish(f"{TOPIC}/report", report("webrtc_config", {}, 4))
    replies = [(await unit.hear())[1] for _ in range(4)]
    assert [reply["res"] for reply in replies] == [0, 0, 1002, 1002]
    assert replies[0]["data"]["bindStatus"] == 0
    assert cloud.registry.rlink.unit(UUID).reported == {"color": "red"}
    assert cloud.registry.rlink.unit(UUID).info == {"bindStatus": 1, "version": "1.0.0"}


async def test_commands(start, client):
    cloud = await start([ENTRY])
    unit = await ready(client, cloud)
    path = "/business-app/v1/device"
    await post(cloud.http_url, f"{path}/command/propsIssue", {"deviceId": UUID, "data": {"color": "blue"}})
    topic, command = await unit.hear()
    assert topic == f"{TOPIC}/issue"
    assert (command["code"], command["data"]) == ("property_set", {"properties": {"color": "blue"}})
    unit.publish(f"{TOPIC}/report", report("bind", OWNER))
    await unit.hear()
    await post(cloud.http_url, f"{path}/bind/unbind", {"deviceId": UUID, "isCleanData": 1})
    _, command = await unit.hear()
    assert (command["code"], command["data"]) == ("reset", {"clearData": True})
    assert (await check(cloud))["data"] != 0
    cloud.issue(UUID, "ping", {})
    _, command = await unit.hear()
    assert command["code"] == "ping"
    unit.publish(f"{TOPIC}/issue_response", {"res": 0, "id": command["id"], "code": "ping", "data": {}})
    await cloud.wait_for(lambda record: record.text == f"{TOPIC}/issue_response" and record.code == 0)
    with pytest.raises(ConfigurationError):
        cloud.issue("nobody", "ping", {})


async def test_the_app_asks_for_what_is_not_there(start):
    cloud = await start([ENTRY])
    assert (await check(cloud, "nobody"))["code"] == 1004
    status, _, body = await post(cloud.http_url, "/business-app/v1/device/command/propsIssue", b"no JSON")
    assert (status, json.loads(body)["code"]) == (200, 1002)


async def test_dynamic_registration(start, client):
    cloud = await start([NEW])
    login = signed(PID, PRODUCT_SECRET)
    topic = f"register/v2/{PID}/unit-7/register"
    triplets = []
    for number in (1, 2):
        applicant = client(cloud.mqtt_url, f"register_{PID}_unit-7", login)
        assert await applicant.connected() == 0
        assert await applicant.subscribe(f"{topic}_response", f"{TOPIC}/issue") == [1, 0x80]
        applicant.publish(topic, report("register", {}, number))
        _, reply = await applicant.hear()
        assert (reply["res"], reply["code"]) == (0, "register")
        triplets.append(reply["data"])
        await applicant.close()
    assert triplets[0] == triplets[1], "the same device has the same triplet"
    assert triplets[0]["pid"] == PID
    assert len(triplets[0]["secret"]) == 32
    uuid = triplets[0]["uuid"]
    unit = client(cloud.mqtt_url, f"rlink_{uuid}_V2", signed(uuid, triplets[0]["secret"]))
    assert await unit.connected() == 0
    assert not any(triplets[0]["secret"] in str(record) for record in cloud.records)


async def test_products_that_make_devices(start, client):
    cloud = await start({"devices": [ENTRY], "autoCreate": [PID]})
    for unique, code in (("a-new-one", 0), ("with_underscore", 133), ("", 133)):
        login = signed(PID, PRODUCT_SECRET)
        assert await client(cloud.mqtt_url, f"register_{PID}_{unique}", login).connected() == code
    wrong = signed(PID, "wrong")
    assert await client(cloud.mqtt_url, f"register_{PID}_a-new-one", wrong).connected() == 135


@pytest.mark.parametrize(
    ("mode", "seen"),
    [
        ({"bind_reply": {"do": "code", "code": 1001}}, {"res": 1001, "code": "bind"}),
        ({"bind_reply": {"do": "foreign", "kind": "client_token"}}, {"id": "foreign-1", "res": 0}),
        ({"bind_reply": {"do": "foreign", "kind": "method"}}, {"code": "foreign_reply", "res": 0}),
    ],
)
async def test_faults_of_the_bind_reply(start, client, mode, seen):
    cloud = await start([ENTRY], mode=mode)
    unit = await ready(client, cloud)
    unit.publish(f"{TOPIC}/report", report("bind", OWNER))
    reply = (await unit.hear())[1]
    assert reply | seen == reply


async def test_faults_of_other_replies(start, client):
    cloud = await start([ENTRY], mode={"report_reply": {"do": "drop", "times": 1}})
    unit = await ready(client, cloud)
    unit.publish(f"{TOPIC}/report", report("info", {}, 1))
    unit.publish(f"{TOPIC}/report", report("bind", OWNER, 2))
    unit.publish(f"{TOPIC}/report", report("info", {}, 3))
    assert [(await unit.hear())[1]["id"][-1] for _ in range(2)] == ["2", "3"]


async def test_both_clouds_side_by_side(start, client):
    cloud = await start([device("dev1"), ENTRY])
    unit = await ready(client, cloud)
    unit.publish(f"{TOPIC}/report", report("bind", OWNER))
    assert (await unit.hear())[1]["res"] == 0
    assert {each.path for each in cloud.registry.devices} == {f"{PID}/{UUID}", "L4WG9V9M2M/dev1"}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"cloud": "mars"}, "cloud"),
        ({"productId": "p" * 17}, "productId"),
        ({"deviceName": "a/b"}, "deviceName"),
        ({"key_deviceinfo": []}, "deviceSecret"),
        ({"key_deviceinfo": {"deviceSecret": "with space"}}, "deviceSecret"),
        ({"key_deviceinfo": {}, "productSecret": ""}, "productSecret"),
        ({"bindMode": 3}, "bindMode"),
    ],
)
async def test_a_list_that_cannot_be_used(start, change, what):
    with pytest.raises(ConfigurationError, match=what):
        await start([ENTRY | change])
