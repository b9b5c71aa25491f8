"""Provisioned through the air: from the first frame to bound, and nothing is left afterwards."""

from __future__ import annotations

import asyncio
import json

import pytest

from qiot.model import Outcome, Reason, Secret, Step
from qiot.protocols.lan.air_acks import parse_esptouch_ack
from tests.end_to_end.air import METHODS, AirSide, Ear, air_mock, hosts
from tests.end_to_end.support import (
    HOME,
    PASSWORD,
    bound_by,
    device_tasks,
    end_of,
    is_free,
    new_token,
    until,
)

TEST2 = "L4WG9V9M2M/TEST2"
ROWS = {"esptouch_v2": "smart_config"}
PORTS = {
    "smart_config": (7001,),
    "esptouch_v2": (7002, 7001),
    "airkiss": (10001, 10000, 12476),
    "simple_config": (8864, 18864),
}
ANYWHERE = ("1.2.3.4", "255.255.255.255")


@pytest.mark.parametrize("method", METHODS)
async def test_from_the_first_frame_to_bound(cloud, device, method: str) -> None:
    here, platform = await cloud(), air_mock()
    where, phone_at = hosts()
    wifi = device(here, platform, udp_host=where, broadcast=phone_at)
    await wifi.start(method)
    side = AirSide(platform, phone_at)
    token = new_token(here)
    sending = asyncio.create_task(side.run(method, token, lambda: wifi.local[1]))
    result = await end_of(wifi)
    assert result.step is Step.BOUND
    assert result.method == ROWS.get(method, method)
    assert bound_by(here, token) == TEST2
    phone = await sending
    assert not phone.error
    assert phone.device == where, "the phone found the device by the answer's header"
    assert phone.mac == platform._radio.station.mac
    assert phone.token.answered
    await wifi.linger()
    assert not device_tasks()
    assert all(is_free(where, port) for port in PORTS[method])
    assert not platform.world.air._watchers


@pytest.mark.parametrize("ip", ANYWHERE)
@pytest.mark.parametrize("method", ["smart_config", "simple_config"])
async def test_whatever_address_the_datum_has_the_phone_gets_its_answer(
    cloud, device, ip: str, method: str
) -> None:
    here, platform = await cloud(), air_mock()
    where, phone_at = hosts()
    wifi = device(here, platform, udp_host=where, broadcast="127.255.255.254")
    sent: list[tuple[str, int]] = []
    _note_sends(platform, sent)
    await wifi.start(method)
    side = AirSide(platform, phone_at)
    sending = asyncio.create_task(side.run(method, new_token(here), lambda: wifi.local[1], ip=ip, echo=where))
    assert (await end_of(wifi)).step is Step.BOUND
    assert not (await sending).error
    assert {host for host, _ in sent} <= {"127.255.255.254", phone_at, "127.0.0.1"}
    assert phone_at in {host for host, _ in sent}, "it was learned from a header"


def _note_sends(platform, sent: list[tuple[str, int]]) -> None:
    """Keep where every datagram of the device goes to."""
    udp = platform._udp
    opening = udp.open

    async def open_(*arguments, **options):
        endpoint = await opening(*arguments, **options)
        sending = endpoint.send

        async def send(data: bytes, host: str, port: int) -> None:
            sent.append((host, port))
            await sending(data, host, port)

        endpoint.send = send
        return endpoint

    udp.open = open_


async def test_the_command_port_is_open_before_the_answer_goes_out(cloud, device) -> None:
    here, platform = await cloud(), air_mock()
    where, phone_at = hosts()
    ear = await Ear.open(phone_at, 18266)
    wifi = device(here, platform, udp_host=where, broadcast=phone_at)
    order: list[str] = []
    udp = platform._udp
    opening = udp.open

    async def open_(host: str, port: int, **options):
        order.append(f"open {port}")
        return await opening(host, port, **options)

    udp.open = open_
    await wifi.start("smart_config")
    side = AirSide(platform, phone_at)
    bssid = await side.join()
    sending = asyncio.create_task(_cast(side, bssid))
    [(data, _), *_] = await ear.count(1)
    order.append("answered")
    assert order == ["open 0", "open 7001", "answered"]
    said = parse_esptouch_ack(data)
    assert (said.token, said.mac) == (9 + len(HOME) + len(PASSWORD), platform._radio.station.mac)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await wifi.set_token(new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND
    ear.close()


async def _cast(
    side: AirSide,
    bssid: bytes,
    password: str = PASSWORD,
    method: str = "smart_config",
    ssid: bytes = HOME.encode(),
) -> None:
    """Send and listen to nobody."""
    from qiot.testbed.phone.air import AirSender
    from tests.end_to_end.air import Sink

    encoder, _ = side.plan(method, bssid, ip="1.2.3.4", ssid=ssid, password=password, keys={})
    await AirSender(encoder(18266).casts(), Sink(side.phone)).run()


async def test_keys_open_what_is_encrypted(cloud, device) -> None:
    keys = {
        "esptouch_key": Secret("0123456789abcdef"),
        "airkiss_key": Secret("short"),
        "pin": Secret("11112222"),
    }
    for method in METHODS[1:]:
        here, platform = await cloud(), air_mock()
        where, phone_at = hosts()
        wifi = device(here, platform, keys=keys, udp_host=where, broadcast=phone_at)
        await wifi.start(method)
        side = AirSide(platform, phone_at)
        sending = asyncio.create_task(
            side.run(method, new_token(here), lambda wifi=wifi: wifi.local[1], keys=keys)
        )
        assert (await end_of(wifi)).step is Step.BOUND
        assert not (await sending).error
        await wifi.stop()


async def test_one_sniffer_serves_all_three(cloud, device) -> None:
    here, platform = await cloud(), air_mock()
    where, phone_at = hosts()
    wifi = device(here, platform, udp_host=where, broadcast=phone_at)
    await wifi.start("simple_config,smart_config,airkiss")
    side = AirSide(platform, phone_at)
    sending = asyncio.create_task(side.run("airkiss", new_token(here), lambda: wifi.local[1]))
    result = await end_of(wifi)
    assert (result.step, result.method) == (Step.BOUND, "airkiss")
    assert not (await sending).error


async def test_a_network_that_is_not_named_is_found_by_its_beacons(cloud, device) -> None:
    here, platform = await cloud(), air_mock()
    where, phone_at = hosts()
    wifi = device(here, platform, udp_host=where, broadcast=phone_at)
    await wifi.start("esptouch_v2")
    side = AirSide(platform, phone_at)
    sending = asyncio.create_task(side.run("esptouch_v2", new_token(here), lambda: wifi.local[1], ssid=b""))
    assert (await end_of(wifi)).step is Step.BOUND
    assert not (await sending).error
    assert (await until(wifi, Step.JOINING, Outcome.STARTED)).detail["ssid"] == HOME


async def test_a_network_that_is_not_named_and_hides_is_a_clear_failure(cloud, device) -> None:
    here, platform = await cloud(), air_mock()
    platform.world.wifi.access_points[0].hidden = True
    where, phone_at = hosts()
    wifi = device(here, platform, udp_host=where, broadcast=phone_at)
    await wifi.start("esptouch_v2")
    side = AirSide(platform, phone_at)
    bssid = await side.join()
    sending = asyncio.create_task(_cast(side, bssid, method="esptouch_v2", ssid=b""))
    failed = await until(wifi, Step.JOINING, Outcome.FAILED)
    assert failed.failure.reason is Reason.NO_SUCH_AP
    assert bssid.hex(":") in failed.failure.text
    assert "name" in failed.failure.hint
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)


async def test_a_phone_that_starts_over_with_the_right_password_is_heard_after_a_refused_join(
    cloud, device
) -> None:
    here, platform = await cloud(), air_mock()
    where, phone_at = hosts()
    wifi = device(here, platform, udp_host=where, broadcast=phone_at)
    await wifi.start("airkiss")
    side = AirSide(platform, phone_at)
    bssid = await side.join()
    sending = asyncio.create_task(_cast(side, bssid, "wrong-password", method="airkiss"))
    failed = await until(wifi, Step.JOINING, Outcome.FAILED)
    assert failed.failure.reason is Reason.WRONG_PASSWORD
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    sending = asyncio.create_task(side.run("airkiss", new_token(here), lambda: wifi.local[1]))
    assert (await end_of(wifi)).step is Step.BOUND
    assert not (await sending).error


async def test_what_comes_in_is_told_while_it_comes_and_secrets_never(cloud, device, written) -> None:
    here, platform = await cloud(), air_mock()
    where, phone_at = hosts()
    wifi = device(here, platform, udp_host=where, broadcast=phone_at)
    await wifi.start("smart_config")
    side = AirSide(platform, phone_at)
    token = new_token(here)
    sending = asyncio.create_task(side.run("smart_config", token, lambda: wifi.local[1]))
    assert (await end_of(wifi)).step is Step.BOUND
    await sending
    seen = [event for event in wifi.history if event.outcome is Outcome.PROGRESS]
    assert "guide" in seen[0].detail["text"]
    assert seen[0].detail["channel"] == 11
    text = written.getvalue() + json.dumps([str(event) for event in wifi.history])
    assert PASSWORD not in text
    assert token not in text


async def test_without_a_result_the_failure_says_what_was_seen(cloud, device) -> None:
    here, platform = await cloud(), air_mock()
    where, phone_at = hosts()
    wifi = device(here, platform, udp_host=where, broadcast=phone_at, timeout=2.0)
    await wifi.start("airkiss")
    side = AirSide(platform, phone_at)
    bssid = await side.join()
    sending = asyncio.create_task(_cast(side, bssid))
    result = await end_of(wifi)
    assert result.failure.reason is Reason.TIMEOUT
    assert "channel 11" in result.failure.text
    assert "ESP-TOUCH" in result.failure.text
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)


async def test_stopping_while_listening_gives_the_radio_back(cloud, device) -> None:
    platform = air_mock()
    wifi = device(await cloud(), platform)
    await wifi.start("smart_config,airkiss,simple_config")
    assert platform._sniffer._receiver is not None
    await wifi.stop()
    assert platform._sniffer._receiver is None
    assert not device_tasks()


async def test_the_service_is_announced_after_the_join_and_withdrawn_at_the_end(cloud, device) -> None:
    from zeroconf import IPVersion
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

    here, platform = await cloud(), air_mock()
    where, phone_at = hosts()
    added, removed = asyncio.Event(), asyncio.Event()
    name = "L4WG9V9M2M-TEST2"

    def note(zeroconf, service_type, name, state_change) -> None:
        if name.startswith("L4WG9V9M2M-TEST2"):
            (added if state_change.name == "Added" else removed).set()

    browsing = AsyncZeroconf(interfaces=[phone_at], ip_version=IPVersion.V4Only)
    browser = AsyncServiceBrowser(browsing.zeroconf, "_qiot._udp.local.", handlers=[note])
    try:
        wifi = device(here, platform, udp_host=where, broadcast=phone_at, grant_timeout=19)
        await wifi.start("simple_config")
        side = AirSide(platform, phone_at)
        sending = asyncio.create_task(_cast(side, await side.join(), method="simple_config"))
        async with asyncio.timeout(20):
            await added.wait()
        info = await browsing.async_get_service_info("_qiot._udp.local.", f"{name}._qiot._udp.local.")
        assert info.port == wifi.local[1]
        assert info.parsed_addresses() == [where]
        assert info.decoded_properties == {"pid": "L4WG9V9M2M", "dn": "TEST2", "proto": "2.0"}
        await wifi.set_token(new_token(here))
        assert (await end_of(wifi)).step is Step.BOUND
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await wifi.linger()
        async with asyncio.timeout(20):
            await removed.wait()
    finally:
        await browser.async_cancel()
        await browsing.async_close()


async def test_stopping_while_the_doors_close_leaves_nothing_either(cloud, device) -> None:
    here, platform = await cloud(), air_mock()
    where, phone_at = hosts()
    wifi = device(here, platform, udp_host=where, broadcast=phone_at)
    await wifi.start("simple_config")
    side = AirSide(platform, phone_at)
    sending = asyncio.create_task(side.run("simple_config", new_token(here), lambda: wifi.local[1]))
    assert (await end_of(wifi)).step is Step.BOUND
    await sending
    closing = asyncio.Event()
    session = wifi._session
    close = session.close

    async def slowly() -> None:
        closing.set()
        await close()

    session.close = slowly
    await closing.wait()
    await wifi.stop()
    assert not device_tasks()
    assert all(is_free(where, port) for port in PORTS["simple_config"])


@pytest.mark.parametrize(("channel", "turn"), [(6, 30.0), (11, 1.5)])
async def test_all_methods_listen_the_air_beside_the_access_point_or_in_turn(
    cloud, device, channel: int, turn: float
) -> None:
    here, platform = await cloud(), air_mock(channel=channel)
    where, phone_at = hosts()
    wifi = device(here, platform, udp_host=where, broadcast=phone_at, turn=turn)
    await wifi.start("all")
    side = AirSide(platform, phone_at)
    sending = asyncio.create_task(side.run("airkiss", new_token(here), lambda: wifi.local[1]))
    result = await end_of(wifi)
    assert (result.step, result.method) == (Step.BOUND, "airkiss")
    assert not (await sending).error
    assert platform._radio.access_point is None
