"""Everything that the local cloud can do wrong, once and for ever: bound, or a typed failure on the phone.

A row of the table is what has to come out. `SHORT` are the time-outs of what never comes; what does come has
ten seconds, so that a slow machine changes nothing.
"""

from __future__ import annotations

import itertools
from typing import Any

import attrs
import pytest

from qiot.cloud.tencent.thing import Thing
from qiot.errors import CloudError, ConfigurationError
from qiot.model import Reason, Step
from qiot.testbed.cloud.faults import Do, Point, parse_mode
from qiot.testbed.phone import SoftApPhone
from tests.faults.phone import PASSWORD, SSID, RawPhone

SHORT = {"connect": 0.3, "request": 0.3, "reply": 0.2}


@attrs.frozen
class Fails:
    """How it fails, and what the phone is told.

    Attributes:
        step: Where.
        reason: Why.
        numbers: The C SDK's error id and sub id.
        code: The wire's number.
        retried: How many further tries of the step there were, where two are allowed.
        once: It fails as well where the fault happens only once.
    """

    step: Step
    reason: Reason
    numbers: tuple[int, int]
    code: int | None = None
    retried: int = 0
    once: bool = False


BOUND = None


def registering(reason: Reason, sub_id: int, **more: Any) -> Fails:
    return Fails(Step.REGISTERING, reason, (1, sub_id), **({"retried": 1} | more))


def connecting(reason: Reason, sub_id: int, **more: Any) -> Fails:
    return Fails(Step.CONNECTING, reason, (1, sub_id), **({"retried": 1} | more))


def binding(reason: Reason, error_id: int, sub_id: int, **more: Any) -> Fails:
    return Fails(Step.BINDING, reason, (error_id, sub_id), **more)


ETIMEDOUT, ECONNRESET = 110, 104
REQUEST_TIMEOUT = registering(Reason.CLOUD_TIMEOUT, -11, code=ETIMEDOUT)
NOT_UNDERSTOOD = registering(Reason.CLOUD_MALFORMED, -7)
CONNACK_TIMEOUT = connecting(Reason.CLOUD_TIMEOUT, -111, code=ETIMEDOUT)
LOST_CONNECTING = connecting(Reason.MQTT_LOST, -608)
LOST_BINDING = binding(Reason.MQTT_LOST, 23, -1001)
NO_SUBACK = binding(Reason.CLOUD_TIMEOUT, 23, -111, code=ETIMEDOUT, once=True)
NO_MQTT = binding(Reason.CLOUD_MALFORMED, 23, -1001, once=True)
NO_REPLY = binding(Reason.TOKEN_NO_REPLY, 24, -111)
GARBLED_REPLY = binding(Reason.TOKEN_MALFORMED, 24, 201)

REFUSED, HANGS, GARBAGE = {"do": "refuse"}, {"do": "hang"}, {"do": "malformed", "kind": "garbage"}
OK, DELAYED, DROPPED = {"do": "ok"}, {"do": "delay", "seconds": 0.05}, {"do": "drop"}
TRUNCATED, NO_JSON = {"do": "malformed", "kind": "truncated"}, {"do": "malformed", "kind": "json"}


def foreign(kind: str, **more: Any) -> dict[str, Any]:
    return {"do": "foreign", "kind": kind, **more}


def code(number: int) -> dict[str, Any]:
    return {"do": "code", "code": number}


TABLE: dict[str, list[tuple[dict[str, Any], Fails | None]]] = {
    "http_tcp": [
        (OK, BOUND),
        (DELAYED, BOUND),
        (REFUSED, registering(Reason.TCP, -8, code=ECONNRESET)),
        (HANGS, REQUEST_TIMEOUT),
        (DROPPED, REQUEST_TIMEOUT),
        (GARBAGE, NOT_UNDERSTOOD),
    ],
    "http_tls": [
        (OK, BOUND),
        (DELAYED, BOUND),
        (REFUSED, registering(Reason.TLS, -703, code=ECONNRESET)),
        (HANGS, registering(Reason.TLS, -703, code=ETIMEDOUT)),
        (DROPPED, registering(Reason.TLS, -703, code=ETIMEDOUT)),
        (GARBAGE, registering(Reason.TLS, -703)),
    ],
    "dynreg": [
        (OK, BOUND),
        (DELAYED, BOUND),
        (REFUSED, NOT_UNDERSTOOD),
        (HANGS, REQUEST_TIMEOUT),
        (DROPPED, REQUEST_TIMEOUT),
        (GARBAGE, NOT_UNDERSTOOD),
        (TRUNCATED, NOT_UNDERSTOOD),
        (NO_JSON, NOT_UNDERSTOOD),
        ({"do": "malformed", "kind": "base64"}, NOT_UNDERSTOOD),
        ({"do": "malformed", "kind": "padding"}, NOT_UNDERSTOOD),
        ({"do": "malformed", "kind": "encryption_type"}, NOT_UNDERSTOOD),
        (code(1021), registering(Reason.REGISTRATION_REFUSED, 1021, code=1021, retried=0, once=True)),
        ({"do": "empty"}, NOT_UNDERSTOOD),
        ({"do": "status"}, registering(Reason.HTTP, 500, code=500)),
        ({"do": "status", "code": 503}, registering(Reason.HTTP, 503, code=503)),
        ({"do": "redirect"}, registering(Reason.HTTP, 302, code=302)),
        ({"do": "chunked"}, BOUND),
        ({"do": "lower_case"}, BOUND),
        ({"do": "oversized"}, NOT_UNDERSTOOD),
    ],
    "mqtt_tcp": [
        (OK, BOUND),
        (DELAYED, BOUND),
        (REFUSED, LOST_CONNECTING),
        (HANGS, CONNACK_TIMEOUT),
        (DROPPED, CONNACK_TIMEOUT),
        (GARBAGE, connecting(Reason.CLOUD_MALFORMED, -1001)),
    ],
    "mqtt_tls": [
        (OK, BOUND),
        (DELAYED, BOUND),
        (REFUSED, connecting(Reason.TLS, -703, code=ECONNRESET)),
        (HANGS, connecting(Reason.TLS, -703, code=ETIMEDOUT)),
        (DROPPED, connecting(Reason.TLS, -703, code=ETIMEDOUT)),
        (GARBAGE, connecting(Reason.TLS, -703)),
    ],
    "connack": [
        (OK, BOUND),
        (DELAYED, BOUND),
        (REFUSED, LOST_CONNECTING),
        (HANGS, CONNACK_TIMEOUT),
        (DROPPED, CONNACK_TIMEOUT),
        (GARBAGE, connecting(Reason.CLOUD_MALFORMED, -1001)),
        (TRUNCATED, LOST_CONNECTING),
        ({"do": "disconnect"}, LOST_BINDING),
        ({"do": "duplicate"}, BOUND),
        (code(1), connecting(Reason.MQTT_REFUSED, -113, code=1, retried=0, once=True)),
        (code(2), connecting(Reason.MQTT_REFUSED, -114, code=2, retried=0, once=True)),
        (code(3), connecting(Reason.MQTT_REFUSED, -115, code=3)),
        (code(4), connecting(Reason.MQTT_REFUSED, -116, code=4, retried=0, once=True)),
        (code(5), connecting(Reason.MQTT_REFUSED, -117, code=5, retried=0, once=True)),
    ],
    "suback": [
        (OK, BOUND),
        (DELAYED, BOUND),
        (REFUSED, LOST_BINDING),
        (HANGS, NO_SUBACK),
        (DROPPED, NO_SUBACK),
        (GARBAGE, NO_MQTT),
        (TRUNCATED, LOST_BINDING),
        ({"do": "disconnect"}, LOST_BINDING),
        ({"do": "duplicate"}, BOUND),
        (foreign("packet_id"), NO_SUBACK),
        (foreign("packet_id", keep=True), BOUND),
        (code(128), binding(Reason.MQTT_SUBSCRIBE, 23, -1001, code=128, once=True)),
    ],
    "puback": [
        (OK, BOUND),
        (DELAYED, BOUND),
        (REFUSED, LOST_BINDING),
        (HANGS, binding(Reason.TOKEN_SEND, 23, -1001, once=True)),
        (DROPPED, BOUND),  # the cloud's reply says more than its PUBACK
        (GARBAGE, NO_MQTT),
        (TRUNCATED, LOST_BINDING),
        ({"do": "disconnect"}, LOST_BINDING),
        ({"do": "duplicate"}, BOUND),
        (foreign("packet_id"), BOUND),
        (foreign("packet_id", keep=True), BOUND),
    ],
    "bind_reply": [
        (OK, BOUND),
        (DELAYED, BOUND),
        (REFUSED, LOST_BINDING),
        (HANGS, attrs.evolve(NO_REPLY, once=True)),
        (DROPPED, NO_REPLY),
        (NO_JSON, GARBLED_REPLY),
        ({"do": "empty"}, GARBLED_REPLY),
        ({"do": "disconnect"}, BOUND),
        ({"do": "duplicate"}, BOUND),
        *((foreign(kind), NO_REPLY) for kind in ("client_token", "method", "device")),
        *((foreign(kind, keep=True), BOUND) for kind in ("client_token", "method", "device")),
        (code(1021), binding(Reason.TOKEN_REFUSED, 24, 1021, code=1021, once=True)),
        (code(-1), binding(Reason.TOKEN_REFUSED, 24, -1, code=-1, once=True)),
    ],
}
ROWS = [(point, action, expected) for point, rows in TABLE.items() for action, expected in rows]
FAILING = [row for row in ROWS if row[2] is not BOUND]
OF_PHONE = {"app", "property_reply"}
"""Points of their own tests below: the first concerns the phone, the second the bound device."""
OF_RLINK = {"register_reply", "report_reply"}
"""Points of another cloud: test_rlink_faults.py."""


def _name(value: object) -> str | None:
    return "-".join(map(str, value.values())) if isinstance(value, dict) else None


def test_the_table_has_every_point_and_action():
    def possible(point: str, do: str, kind: str | None) -> bool:
        action = {"do": do, "code": 5 if point == "connack" else 128} if do == "code" else {"do": do}
        try:
            parse_mode({point: action | ({"kind": kind} if kind else {})})
        except ConfigurationError:
            return False
        return True

    there = {(point, action["do"], action.get("kind")) for point, action, _ in ROWS}
    kinds = {kind for _, _, kind in there}
    expected = set()
    for point, do in itertools.product(map(str, Point), map(str, Do)):
        if point in OF_PHONE | OF_RLINK:
            continue
        found = {(point, do, kind) for kind in kinds if kind and possible(point, do, kind)}
        expected |= found or ({(point, do, None)} if possible(point, do, None) else set())
    assert there == expected


async def _run(bench, make_token, mode, point, **options):
    """One provisioning; the points of TLS need a cloud that has it."""
    tls = point.endswith("_tls")
    cloud = await bench.cloud(mode, tls=tls)
    urls = (cloud.https_url, cloud.mqtts_url) if tls else (cloud.http_url, cloud.mqtt_url)
    return await bench.provision(*urls, make_token(cloud), ca_file=cloud.ca_file, **options)


def _assert_fails(expected: Fails, result, told, retries: int) -> None:
    failure = result.failure
    assert failure is not None, "it is bound"
    assert (failure.step, failure.reason, failure.code) == (expected.step, expected.reason, expected.code)
    assert failure.hint == failure.reason.hint
    assert failure.text
    assert told == [("Current_Error", *expected.numbers)]
    assert retries == expected.retried


@pytest.mark.parametrize(("point", "action", "expected"), ROWS, ids=_name)
async def test_for_ever(bench, make_token, point, action, expected):
    waits_for_nothing = action["do"] in ("hang", "drop") or (
        expected is not BOUND and expected.reason in (Reason.CLOUD_TIMEOUT, Reason.TOKEN_NO_REPLY)
    )
    short = SHORT if waits_for_nothing or expected is GARBLED_REPLY or action["do"] == "foreign" else {}
    result, told = await _run(bench, make_token, {point: action}, point, **short)
    if expected is BOUND:
        assert result.step is Step.BOUND
        assert told == []
        assert bench.retries == 0
    else:
        _assert_fails(expected, result, told, bench.retries)


@pytest.mark.parametrize(
    ("point", "action", "expected"), [row for row in ROWS if row[2] is not BOUND], ids=_name
)
async def test_once(bench, make_token, point, action, expected):
    """What ends is got over, but what the cloud has said no to, and what leaves a dead connection, is not."""
    result, told = await _run(bench, make_token, {point: action | {"times": 1}}, point, **SHORT, tries=3)
    if expected.once:
        _assert_fails(attrs.evolve(expected, retried=0), result, told, bench.retries)
    else:
        assert result.step is Step.BOUND
        assert told == []


async def test_a_gateway_that_hangs_up_without_an_answer_is_named_so(bench, make_token):
    """The text is for people: it says what happened, not how the parser of HTTP felt about it."""
    result, _ = await _run(bench, make_token, {"dynreg": "refuse"}, "dynreg")
    assert "hung up without an answer" in result.failure.text


# --- the application's API: it is the phone that has to say what was wrong -------------------


def _phone(cloud, port, **options):
    return SoftApPhone("127.0.0.1", port, SSID, PASSWORD, app_url=f"{cloud.http_url}/app", **options)


@pytest.mark.parametrize(
    ("action", "says"),
    [
        (REFUSED, "AppCreateBindToken"),
        (GARBAGE, "AppCreateBindToken: no HTTP answer"),
        (TRUNCATED, "AppCreateBindToken: no HTTP answer"),
        (NO_JSON, "AppCreateBindToken: the answer is no JSON object"),
        (code(1021), "AppCreateBindToken"),
        ("empty", "AppCreateBindToken: the answer is no JSON object"),
        ("status", "AppCreateBindToken: HTTP 500"),
        ("redirect", "AppCreateBindToken: HTTP 302"),
        ("oversized", "AppCreateBindToken: no HTTP answer"),
    ],
    ids=str,
)
async def test_without_a_token_the_phone_says_nothing_to_the_device(bench, action, says):
    cloud = await bench.cloud({"app": action})
    wifi, port = await bench.device(cloud.http_url, cloud.mqtt_url)
    result = await _phone(cloud, port).run()
    assert not result.answered
    assert result.error.startswith(says)
    assert wifi.step is Step.LISTENING


@pytest.mark.parametrize("action", ["ok", DELAYED, "chunked", "lower_case"], ids=str)
async def test_harmless_answers_of_the_app_api(bench, action):
    cloud = await bench.cloud({"app": action})
    wifi, port = await bench.device(cloud.http_url, cloud.mqtt_url)
    phone = SoftApPhone(
        "127.0.0.1", port, SSID, PASSWORD, app_url=f"{cloud.http_url}/app", poll_interval=0.05
    )
    result = await phone.run()
    assert (result.bound, result.error) == (True, "")
    assert wifi.successful


@pytest.mark.parametrize("action", [REFUSED, "status", "empty", GARBAGE, code(1021)], ids=str)
async def test_a_device_is_bound_though_the_phone_cannot_ask(bench, action):
    """The token was made, then the API broke: the phone says what it could not learn."""
    cloud = await bench.cloud({"app": [{"do": "ok", "times": 1}, action]})
    wifi, port = await bench.device(cloud.http_url, cloud.mqtt_url)
    phone = SoftApPhone(
        "127.0.0.1", port, SSID, PASSWORD, app_url=f"{cloud.http_url}/app", poll_interval=0.01
    )
    result = await phone.run()
    assert (result.answered, result.bound) == (True, False)
    assert "after 20 polls" in result.error
    assert (await wifi.wait()).step is Step.BOUND


@pytest.mark.parametrize("action", ["hang", "drop"])
async def test_a_phone_that_waits_for_the_api_can_be_limited(bench, action):
    cloud = await bench.cloud({"app": action})
    wifi, port = await bench.device(cloud.http_url, cloud.mqtt_url)
    phone = _phone(cloud, port, timeout=0.2)
    assert (await phone.run()).error == "no end within 0.2 s"
    assert wifi.step is Step.LISTENING


# --- after the bind ------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (OK, None),
        (DELAYED, None),
        ({"do": "duplicate"}, None),
        *((foreign(kind, keep=True), None) for kind in ("client_token", "method", "device")),
        ({"do": "disconnect"}, None),
        (REFUSED, Reason.MQTT_LOST),
        (HANGS, Reason.CLOUD_TIMEOUT),
        (DROPPED, Reason.CLOUD_TIMEOUT),
        (NO_JSON, Reason.CLOUD_TIMEOUT),
        ({"do": "empty"}, Reason.CLOUD_TIMEOUT),
        *((foreign(kind), Reason.CLOUD_TIMEOUT) for kind in ("client_token", "method", "device")),
        (code(405), Reason.CLOUD_MALFORMED),
    ],
    ids=lambda value: _name(value) or str(value),
)
async def test_a_bound_device_stays_bound_whatever_happens_to_its_properties(
    bench, make_token, action, reason
):
    cloud = await bench.cloud({"property_reply": action})
    wifi, port = await bench.device(cloud.http_url, cloud.mqtt_url)
    async with RawPhone(port) as phone:
        phone.send_join(make_token(cloud))
        assert (await wifi.wait()).step is Step.BOUND
    limit = 0.2 if reason is Reason.CLOUD_TIMEOUT else 10.0
    async with Thing(wifi.link, wifi.device_info, reply_timeout=limit) as thing:
        if reason is None:
            assert await thing.get_status() == {}
        else:
            with pytest.raises(CloudError) as caught:
                await thing.get_status()
            assert caught.value.reason is reason
            if action["do"] == "code":
                assert caught.value.code == 405
    assert wifi.successful
