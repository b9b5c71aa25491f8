"""Protocol version 3.0 on real sockets: state and address broadcasts, and `pairTime` as the cloud sees it.

The ports of the broadcasts are fixed on the wire (contract section 14), so every run takes a loopback address
of its own for them.
"""

from __future__ import annotations

import errno
import ipaddress
import random
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import attrs
import pytest

from qiot.api import Settings, WifiConfig
from qiot.cloud.tencent.binder import TencentBinder
from qiot.cloud.transport import HostTransport
from qiot.device_info import DeviceInfo
from qiot.model import Secret, Step
from qiot.testbed.cloud import DEMO_DEVICE_NAME, DEMO_PRODUCT_ID, DEMO_PRODUCT_SECRET, LocalCloud
from qiot.testbed.cloud.journal import Kind
from tests.faults.phone import PASSWORD, SSID, RawPhone

STATE_PORT, ADDRESS_PORT = 8266, 18266
IDENTITY = DeviceInfo(DEMO_PRODUCT_ID, DEMO_DEVICE_NAME, product_secret=Secret(DEMO_PRODUCT_SECRET))


@attrs.frozen
class Stand:
    """A cloud, and listeners at an address that stands for the broadcast address."""

    cloud: LocalCloud
    broadcast: str
    states: RawPhone
    addresses: RawPhone
    stack: AsyncExitStack

    async def device(self, version: str, hal: str = "mock,ap_sta=yes") -> tuple[WifiConfig, int]:
        binder = TencentBinder(
            IDENTITY,
            HostTransport(),
            dynreg_url=self.cloud.http_url,
            mqtt_url=self.cloud.mqtt_url,
            pair_time=version == "3.0",
        )
        settings = Settings(
            udp_host="127.0.0.1",
            udp_port=0,
            proto_version=version,
            broadcast=self.broadcast,
            timeout=30,
            retry_window=0.02,
        )
        wifi = WifiConfig(IDENTITY, hal=hal, binder=binder, settings=settings)
        await self.stack.enter_async_context(wifi)
        await wifi.start("soft_ap")
        return wifi, next(int(each.detail["port"]) for each in wifi.history if "port" in each.detail)

    def heard_states(self) -> list[int]:
        return [message["wifiConfigState"] for message in self.states.messages]

    def bind_message(self) -> dict:
        return next(
            record.detail["payload"]
            for record in self.cloud.records
            if record.kind is Kind.PUBLISH and record.text.startswith("$thing/up/service/")
        )


@pytest.fixture
async def stand(request: pytest.FixtureRequest) -> AsyncIterator[Stand]:
    mode = getattr(request, "param", {})
    async with AsyncExitStack() as stack:
        cloud = await stack.enter_async_context(LocalCloud(mode=mode, connect_interval=0))
        while True:
            # 127.0.0.0/8 is all this machine, so other runs have addresses of their own.
            host = str(ipaddress.IPv4Address("127.1.0.0") + random.randrange(2**23))
            try:
                async with AsyncExitStack() as sockets:
                    states, addresses = [
                        await sockets.enter_async_context(RawPhone(None, (host, port)))
                        for port in (STATE_PORT, ADDRESS_PORT)
                    ]
                    stack.push_async_callback(sockets.pop_all().aclose)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                break
        yield Stand(cloud, host, states, addresses, stack)


def _without_repeats(states: list[int]) -> list[int]:
    return [state for index, state in enumerate(states) if not index or state != states[index - 1]]


@pytest.mark.parametrize("hal", ["mock", "mock,ap_sta=yes"])
async def test_a_whole_run(stand, hal):
    wifi, port = await stand.device("3.0", hal)
    async with RawPhone(port) as phone:
        phone.send_join(stand.cloud.registry.create_token().text())
        assert (await wifi.wait()).step is Step.BOUND
        await stand.states.until(lambda _: stand.heard_states().count(5) == 3)
        await stand.addresses.until(lambda each: len(each.heard) == 3)
        assert {each["protoVersion"] for each in phone.infos} == {"3.0"}
    assert _without_repeats(stand.heard_states()) == [0, 1, 3, 5]
    names = {"cmdType": 7, "productId": DEMO_PRODUCT_ID, "deviceName": DEMO_DEVICE_NAME}
    for message in stand.states.messages:
        state = message.pop("wifiConfigState")
        assert message == names | {"protoVersion": "3.0"}, state
    joined = next(event for event in wifi.history if "ip" in event.detail)
    expected = (
        bytes([len(SSID) + len(PASSWORD) + 9])
        + b"012345"
        + ipaddress.IPv4Address(str(joined.detail["ip"])).packed
    )
    assert [data for _, data in stand.addresses.heard] == [expected] * 3
    assert len(expected) == 11


async def test_the_cloud_sees_the_times_of_the_run(stand):
    wifi, port = await stand.device("3.0")
    async with RawPhone(port) as phone:
        phone.send_join(stand.cloud.registry.create_token().text())
        assert (await wifi.wait()).step is Step.BOUND
    times = stand.bind_message()["params"]["pairTime"]
    assert times.pop("type") == "SoftAP"
    in_order = ("start", "getSSID", "wifiConnected", "mqttStart", "mqttConnected", "getToken", "tokenPublish")
    assert set(times) == set(in_order)
    assert [type(each) for each in times.values()] == [int] * len(in_order)
    marks = [times[name] for name in in_order]
    assert marks == sorted(marks)


@pytest.mark.parametrize(
    ("stand", "states"),
    [
        ({"connack": {"do": "code", "code": 5}}, [0, 1, 2]),
        ({"bind_reply": {"do": "code", "code": 1021}}, [0, 1, 3, 4]),
    ],
    indirect=["stand"],
    ids=["MQTT refused", "token refused"],
)
async def test_a_failure_is_broadcast(stand, states):
    wifi, port = await stand.device("3.0")
    async with RawPhone(port) as phone:
        phone.send_join(stand.cloud.registry.create_token().text())
        assert not (await wifi.wait()).successful
        await stand.states.until(lambda _: states[-1] in stand.heard_states())
    assert _without_repeats(stand.heard_states()) == states


async def test_version_2_broadcasts_nothing(stand):
    wifi, port = await stand.device("2.0")
    async with RawPhone(port) as phone:
        phone.send_join(stand.cloud.registry.create_token().text())
        assert (await wifi.wait()).step is Step.BOUND
        await phone.until(lambda each: len(each.infos) == 3)
        assert {each["protoVersion"] for each in phone.infos} == {"2.0"}
        # What was sent before this datagram has arrived when this one has: loopback keeps the order.
        for listener in (stand.states, stand.addresses):
            _knock(stand.broadcast, listener.port)
            await listener.until(lambda each: bool(each.heard))
            assert [data for _, data in listener.heard] == [b"{}"]
    assert "pairTime" not in stand.bind_message()["params"]


def _knock(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"{}", (host, port))
