"""What CONNECT says, against the numbers that the vendor prints in mqtt.md."""

from __future__ import annotations

import pytest

from qiot.cloud.rlink import credentials
from qiot.model import Secret
from tests.cloud.rlink.support import INFO, NEW, PID, UUID, binder, broker, grant, says

TS = 1662544613
EXAMPLES = [
    # uuid, secret, method, password: mqtt.md, "Example", test and formal environment
    (
        "rn014ebe0C20E122",
        "ef958e891ffa4c72ba6c64e73c5dd422",
        "hmacSha1",
        "ca4ff69d9408da837ed361bd5458b9c1f92c8cbb",
    ),
    (
        "rn014ebe0C20E122",
        "ef958e891ffa4c72ba6c64e73c5dd422",
        "hmacSha256",
        "833f4da1801f825232b5da71e1a965ac958181bb9b756934b3c3b05c8f600551",
    ),
    (
        "rn010c0B9cB35EA9",
        "adf2866e8ed94a5da5d45ee4e213f2a5",
        "hmacSha1",
        "4f3bd5555cebe64ebb72ec846616251c032449b9",
    ),
    (
        "rn010c0B9cB35EA9",
        "adf2866e8ed94a5da5d45ee4e213f2a5",
        "hmacSha256",
        "c98f698b9b86357f456daa46eee15d1fed82937eaa5671e24f4f987422ddc80b",
    ),
]


@pytest.mark.parametrize(("uuid", "secret", "method", "password"), EXAMPLES)
def test_the_vendors_examples(uuid, secret, method, password):
    assert credentials.password(uuid, TS, Secret(secret), method) == Secret(password)
    assert credentials.username(uuid, TS, method) == f"{uuid}|signMethod={method},ts={TS}"


def test_the_vendors_user_name():
    assert credentials.username("rn014ebe0C20E122", TS, "hmacSha1") == (
        "rn014ebe0C20E122|signMethod=hmacSha1,ts=1662544613"
    )


def test_client_ids():
    assert credentials.client_id(UUID) == f"rlink_{UUID}_V2"
    assert credentials.registration_client_id(PID, "unit-7") == f"register_{PID}_unit-7"


@pytest.mark.parametrize(("hmac", "method"), [("hmacsha1", "hmacSha1"), ("hmacSha256", "hmacSha256")])
async def test_what_connect_says(hmac, method):
    async with broker() as server:
        await (await binder(hmac=hmac).connect(grant(server.port))).close()
        said = server.connects[0]
    assert (said["level"], said["keep_alive"]) == (4, 60)
    assert said["client_id"] == f"rlink_{UUID}_V2"
    assert said["username"] == f"{UUID}|signMethod={method},ts=1721192798"
    expected = credentials.password(UUID, 1721192798, INFO.device_secret, method)
    assert said["password"] == expected.text()


async def test_what_connect_says_to_register():
    async with broker(says(data={"pid": PID, "uuid": "rn01new", "secret": "s" * 32, "mac": ""})) as server:
        await binder(NEW).register(grant(server.port))
        said = server.connects[0]
    assert said["client_id"] == f"register_{PID}_unit-7"
    assert said["username"] == f"{PID}|signMethod=hmacSha1,ts=1721192798"
    expected = credentials.password(PID, 1721192798, Secret("product-secret"), "hmacSha1")
    assert said["password"] == expected.text()
