"""Both methods of the module: to bound, failures, the phone's second try, cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from module import Module
from qiot_esp_at import EspAtPlatform

from qiot.api import Settings, WifiConfig
from qiot.errors import HalError
from qiot.hal.contract import ChipSoftAp, ListenContext, SmartConfig
from qiot.hal.registry import platform_names
from qiot.model import Offer, Reason, Step
from qiot.protocols.base import Refused

CONTEXT = ListenContext("QIOTDEMO01", "module-1")
MakePlatform = Callable[..., EspAtPlatform]


async def test_what_it_claims(make_platform: MakePlatform) -> None:
    assert (await make_platform().capabilities()).chip == {"smart_config": Step.BOUND, "soft_ap": Step.BOUND}


@pytest.mark.parametrize("method", ["smart_config", "soft_ap"])
async def test_the_whole_way(
    module: Module, write_identity: Callable[..., Path], tmp_path: Path, method: str
) -> None:
    assert "esp-at" in platform_names()
    identity = write_identity()
    spec = f"esp-at:{module.path},state={tmp_path},device_info={identity}"
    async with WifiConfig(identity, hal=spec, settings=Settings(timeout=20)) as wifi:
        await asyncio.wait_for(wifi.start(method), 10)
        assert module.identity[:2] == ("QIOTDEMO01", "module-1")
        assert module.listening == {"smart_config": "+TCSTARTSMART", "soft_ap": "+TCSAP"}[method]
        module.say("WIFI CONNECTED", "WIFI GOT IP", f"{module.listening}:WIFI_CONNECT_SUCCESS")
        result = await asyncio.wait_for(wifi.wait(), 10)
        assert (result.step, result.failure) == (Step.BOUND, None)
    assert module.listening == ""


async def test_a_wrong_password_is_told_and_the_second_try_binds(
    module: Module, write_identity: Callable[..., Path], tmp_path: Path
) -> None:
    identity = write_identity()
    spec = f"esp-at:{module.path},state={tmp_path},device_info={identity}"
    async with WifiConfig(identity, hal=spec, settings=Settings(timeout=20)) as wifi:
        await asyncio.wait_for(wifi.start("smart_config"), 10)
        module.say("+TCSTARTSMART:WIFI_CONNECT_FAILED,10,202")
        await module.wait_for(lambda: module.heard.count("AT+TCSTARTSMART") == 2)
        module.say("+TCSTARTSMART:WIFI_CONNECT_SUCCESS")
        result = await asyncio.wait_for(wifi.wait(), 10)
        assert (result.step, result.failure) == (Step.BOUND, None)


@pytest.mark.parametrize(
    ("said", "step", "reason", "code"),
    [
        ("10,202", Step.JOINING, Reason.WRONG_PASSWORD, 202),
        ("10,201", Step.JOINING, Reason.NO_SUCH_AP, 201),
        ("7,99", Step.JOINING, Reason.JOIN_OTHER, 99),
        ("1,4", Step.CONNECTING, Reason.MQTT_REFUSED, 4),
        ("24,1021", Step.BINDING, Reason.TOKEN_REFUSED, 1021),
        ("", Step.JOINING, Reason.JOIN_OTHER, None),
        ("what?", Step.JOINING, Reason.JOIN_OTHER, None),
    ],
)
async def test_the_modules_numbers_have_their_reasons(
    module: Module, make_platform: MakePlatform, said: str, step: Step, reason: Reason, code: int | None
) -> None:
    listener = make_platform().port(SmartConfig)
    await listener.start(CONTEXT)
    module.say(f"+TCSTARTSMART:WIFI_CONNECT_FAILED,{said}")
    (refused,) = await asyncio.wait_for(listener.read(), 10)
    assert isinstance(refused, Refused)
    assert (refused.failure.step, refused.failure.reason, refused.failure.code) == (step, reason, code)


@pytest.mark.parametrize("method", ["smart_config", "soft_ap"])
async def test_firmware_that_reboots_to_stop_provisions_all_the_same(
    module: Module, write_identity: Callable[..., Path], tmp_path: Path, method: str
) -> None:
    module.reboots_to_stop = True
    identity = write_identity()
    spec = f"esp-at:{module.path},state={tmp_path},device_info={identity}"
    async with WifiConfig(identity, hal=spec, settings=Settings(timeout=20)) as wifi:
        await asyncio.wait_for(wifi.start(method), 20)
        stops = len([line for line in module.heard if line.startswith("AT+TCSTOP")])
        module.say(f"{module.listening}:WIFI_CONNECT_SUCCESS")
        result = await asyncio.wait_for(wifi.wait(), 10)
        assert (result.step, result.failure) == (Step.BOUND, None)
        # To stop it now would cost the connection that it has just bound over.
        assert len([line for line in module.heard if line.startswith("AT+TCSTOP")]) == stops
    assert module.listening == ""


async def test_a_reset_is_told_with_what_to_do(
    module: Module, write_identity: Callable[..., Path], tmp_path: Path
) -> None:
    identity = write_identity()
    spec = f"esp-at:{module.path},state={tmp_path},device_info={identity}"
    async with WifiConfig(identity, hal=spec, settings=Settings(timeout=20)) as wifi:
        await asyncio.wait_for(wifi.start("smart_config"), 10)
        module.say("ready")
        result = await asyncio.wait_for(wifi.wait(), 10)
        assert result.failure is not None
        assert (result.failure.reason, result.failure.hint) == (Reason.MEDIUM, "Check its supply.")


async def test_nobody_came(module: Module, make_platform: MakePlatform) -> None:
    listener = make_platform().port(SmartConfig)
    await listener.start(CONTEXT)
    module.say("+TCSTARTSMART:FAIL,202")
    for _ in range(2):
        with pytest.raises(HalError) as caught:
            await asyncio.wait_for(listener.read(), 10)
        assert caught.value.reason is Reason.TIMEOUT


async def test_the_last_failure_outlives_the_modules_time(
    module: Module, make_platform: MakePlatform
) -> None:
    listener = make_platform().port(SmartConfig)
    await listener.start(CONTEXT)
    module.say("+TCSTARTSMART:WIFI_CONNECT_FAILED,10,202", "+TCSTARTSMART:FAIL,202")
    assert isinstance((await asyncio.wait_for(listener.read(), 10))[0], Refused)
    with pytest.raises(HalError, match=r"its last try failed: the module says \(10, 202\)") as caught:
        await asyncio.wait_for(listener.read(), 10)
    error = caught.value
    assert (error.reason, error.code, error.hint) == (
        Reason.WRONG_PASSWORD,
        202,
        Reason.WRONG_PASSWORD.hint,
    )


async def test_the_access_point_has_the_callers_name(module: Module, make_platform: MakePlatform) -> None:
    listener = make_platform().port(ChipSoftAp)
    options = {"ssid": 'My "AP", 1', "password": "secret-1234", "channel": "11"}
    await listener.start(ListenContext("P", "d", options=options))
    assert module.heard[-1] == r'AT+TCSAP="My \"AP\"\, 1","secret-1234",11'
    await listener.stop()
    await listener.start(ListenContext("P", "d", options={"password": ""}))
    assert module.heard[-1] == 'AT+TCSAP="qcloud-softap"'


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"channel": "x"}, "no channel 'x'"),
        ({"channel": "36"}, "no channel '36'"),
        ({"ssid": "x" * 33}, "the ssid has 33 octets"),
        ({"password": "1234567"}, "the password has 7 octets"),
    ],
)
async def test_an_access_point_that_cannot_be_is_the_users_mistake(
    module: Module, make_platform: MakePlatform, options: dict[str, str], problem: str
) -> None:
    listener = make_platform().port(ChipSoftAp)
    with pytest.raises(HalError, match=problem) as caught:
        await listener.start(ListenContext("P", "d", options=options))
    assert (caught.value.reason, bool(caught.value.hint)) == (Reason.CONFIGURATION, True)
    assert not any(line.startswith("AT+TCSAP") for line in module.heard)


async def test_a_cancelled_start_leaves_the_module_stopped(
    module: Module, make_platform: MakePlatform
) -> None:
    module.answers["AT+TCSTARTSMART"] = ["OK"]
    starting = asyncio.ensure_future(make_platform().port(SmartConfig).start(CONTEXT))
    await module.wait_for(lambda: "AT+TCSTARTSMART" in module.heard)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert module.heard[-1] == "AT+TCSTOPSMART"


async def test_the_offer_brings_the_modules_own_link(module: Module, make_platform: MakePlatform) -> None:
    listener = make_platform().port(SmartConfig)
    await listener.start(CONTEXT)
    module.say("+TCSTARTSMART:WIFI_CONNECT_SUCCESS")
    (offer,) = await asyncio.wait_for(listener.read(), 10)
    assert isinstance(offer, Offer)
    assert (offer.reached, offer.peer.method) == (Step.BOUND, "smart_config")
    assert offer.link is not None
    module.say("+TCMQTTDISCON,-1")
    lost = await asyncio.wait_for(offer.link.wait_lost(), 10)
    assert lost is not None
    assert lost.reason is Reason.MQTT_LOST
