"""What the local cloud can do wrong as rlink: bound, registered, or a typed failure with its number."""

from __future__ import annotations

import itertools

import pytest

from qiot.cloud.binder import Journal
from qiot.cloud.rlink.binder import RlinkBinder
from qiot.cloud.transport import HostTransport
from qiot.device_info import Cloud, DeviceInfo
from qiot.errors import CloudError, ConfigurationError
from qiot.model import Grant, Reason, Secret
from qiot.testbed.cloud import LocalCloud
from qiot.testbed.cloud.faults import Do, parse_mode

PID = "fFMes8kzaLRHMy"
UUID = "rn01b55A74fa0c16"
SECRET = "bd2625eb1fa0499ea60aadd09ae0a184"
PRODUCT_SECRET = "the product's"
INFO = DeviceInfo(PID, UUID, device_secret=Secret(SECRET), cloud=Cloud.RLINK)
NEW = DeviceInfo(PID, "unit-7", product_secret=Secret(PRODUCT_SECRET), cloud=Cloud.RLINK)
ENTRY = {"cloud": "rlink", "productId": PID, "deviceName": UUID, "key_deviceinfo": {"deviceSecret": SECRET}}
NEW_ENTRY = {"cloud": "rlink", "productId": PID, "deviceName": "unit-7", "productSecret": PRODUCT_SECRET}
GOOD = None

BIND = [
    ("ok", None, GOOD),
    ("delay", None, GOOD),
    ("refuse", None, (Reason.MQTT_LOST, None)),
    ("hang", None, (Reason.TOKEN_SEND, None)),
    ("drop", None, (Reason.TOKEN_NO_REPLY, None)),
    ("malformed", "json", (Reason.TOKEN_MALFORMED, None)),
    ("disconnect", None, GOOD),
    ("duplicate", None, GOOD),
    ("foreign", "client_token", (Reason.TOKEN_NO_REPLY, None)),
    ("foreign", "method", (Reason.TOKEN_NO_REPLY, None)),
    ("foreign", "device", (Reason.TOKEN_NO_REPLY, None)),
    ("code", None, (Reason.TOKEN_REFUSED, 17032)),
    ("empty", None, (Reason.TOKEN_MALFORMED, None)),
]
OF_REGISTRATION = {
    Reason.TOKEN_SEND: Reason.CLOUD_TIMEOUT,
    Reason.TOKEN_NO_REPLY: Reason.CLOUD_TIMEOUT,
    Reason.TOKEN_MALFORMED: Reason.CLOUD_MALFORMED,
    Reason.TOKEN_REFUSED: Reason.REGISTRATION_REFUSED,
}


def action(do: str, kind: str | None, **more: object) -> dict[str, object]:
    made: dict[str, object] = {"do": do} | ({"kind": kind} if kind else {}) | more
    return made | ({"code": 17032} if do == "code" else {})


def binder(cloud: LocalCloud, info: DeviceInfo) -> RlinkBinder:
    return RlinkBinder(info, HostTransport(), mqtt_url=cloud.mqtt_url, connect_timeout=2.0, reply_timeout=0.1)


async def bind(cloud: LocalCloud) -> None:
    device = binder(cloud, INFO)
    link = await device.connect()
    try:
        await device.bind(link, Grant("rlink", Secret("b"), params={"bid": "b", "userId": "u"}), Journal())
    finally:
        await link.close()


async def outcome(entry, mode, run) -> tuple[Reason, int | None] | None:
    async with LocalCloud([entry], mode=mode) as cloud:
        try:
            await run(cloud)
        except CloudError as error:
            return error.reason, error.code
        return GOOD


def test_every_action_is_in_the_table():
    for point in ("bind_reply", "register_reply", "report_reply"):
        possible = set()
        for do, kind in itertools.product(map(str, Do), (None, "json", "client_token", "method", "device")):
            try:
                (fault,) = parse_mode({point: action(do, kind)})[point]
            except ConfigurationError:
                continue
            possible.add((do, fault.kind))
        assert possible == {(do, kind) for do, kind, _ in BIND}


@pytest.mark.parametrize(("do", "kind", "expected"), BIND)
async def test_the_reply_to_the_bind(do, kind, expected):
    found = await outcome(ENTRY, {"bind_reply": action(do, kind)}, bind)
    if do == "hang":  # nothing more comes, not even what acknowledges the next round
        assert found in ((Reason.TOKEN_NO_REPLY, None), (Reason.TOKEN_SEND, None))
    else:
        assert found == expected


@pytest.mark.parametrize(("do", "kind", "expected"), BIND)
async def test_the_reply_to_a_registration(do, kind, expected):
    async def register(cloud: LocalCloud) -> None:
        info = await binder(cloud, NEW).register()
        assert info.device_secret is not None

    found = await outcome(NEW_ENTRY, {"register_reply": action(do, kind)}, register)
    if expected is GOOD:
        assert found is GOOD
    else:
        assert found == (OF_REGISTRATION.get(expected[0], expected[0]), expected[1])


@pytest.mark.parametrize(("do", "kind", "expected"), BIND)
async def test_the_reply_to_the_info_is_waited_for_by_nobody(do, kind, expected):
    assert await outcome(ENTRY, {"report_reply": action(do, kind)}, bind) is GOOD


@pytest.mark.parametrize(
    "given",
    [each for each in BIND if each[2] is not GOOD and each[0] in ("drop", "malformed", "foreign", "empty")],
)
async def test_once_is_got_over(given):
    assert await outcome(ENTRY, {"bind_reply": action(*given[:2], times=1)}, bind) is GOOD


@pytest.mark.parametrize(
    ("mode", "reason", "code"),
    [
        ({"connack": {"do": "code", "code": 5}}, Reason.MQTT_REFUSED, 5),
        ({"connack": {"do": "code", "code": 3}}, Reason.MQTT_REFUSED, 3),
        ({"suback": {"do": "code", "code": 128}}, Reason.MQTT_SUBSCRIBE, 128),
        ({"connack": "malformed"}, Reason.CLOUD_MALFORMED, None),
    ],
)
async def test_mqtts_own_answers(mode, reason, code):
    assert await outcome(ENTRY, mode, bind) == (reason, code)
