"""The serial line: what garbles, delays and interleaves, resets, a pulled cable, no port, no module."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import qiot_esp_at.modem
import qiot_esp_at.wifi
from module import Module
from qiot_esp_at import EspAtPlatform
from qiot_esp_at.modem import Modem, ModuleError

from qiot.errors import ConfigurationError, HalError, MediumError, NotSupportedError
from qiot.hal.contract import ListenContext, SmartConfig, Udp, Wifi
from qiot.hal.registry import parse_spec
from qiot.model import Credentials, Offer, Reason, Secret

CONTEXT = ListenContext("QIOTDEMO01", "module-1")
HOME = Credentials(b"Home", Secret("home-password"))
MakePlatform = Callable[..., EspAtPlatform]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are not waited for as long as for a real module's."""
    monkeypatch.setattr(qiot_esp_at.modem, "_QUICK", 0.3)
    monkeypatch.setattr(qiot_esp_at.modem, "_WAKE", 0.3)
    monkeypatch.setattr(qiot_esp_at.wifi, "_SCAN_LIMIT", 0.3)


@pytest.mark.parametrize("seed", range(20))
async def test_mischief_on_the_line_is_borne(make_platform: MakePlatform, seed: int) -> None:
    async with Module(mischief=seed) as module:
        module.answers["AT+TCSTARTSMART"] = ["busy p..."]
        made = make_platform(module)
        listener = made.port(SmartConfig)
        await listener.start(CONTEXT)
        module.say("+TCSTARTSMART:WIFI_CONNECT_SUCCESS")
        (offer,) = await asyncio.wait_for(listener.read(), 10)
        assert isinstance(offer, Offer)
        await listener.stop()
        wifi = made.port(Wifi)
        assert {each.ssid for each in await wifi.scan()} >= {b"Home", b"Second"}
        await wifi.join(HOME, 20)
        assert (await wifi.status()).ssid == b"Home"
        await made.close()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("garbled", ["OJ", "", '+CWLAP:(3,"Ho', "\x00\x80"])
async def test_an_answer_that_is_lost_is_asked_for_again(
    module: Module, make_platform: MakePlatform, garbled: str
) -> None:
    module.answers["AT+CWLAP"] = [garbled]
    module.answers["AT+CWMODE=1"] = [garbled]
    assert b"Home" in {each.ssid for each in await make_platform().port(Wifi).scan()}
    assert module.heard.count("AT+CWLAP") == 2


@pytest.mark.usefixtures("impatient")
async def test_a_late_answer_is_not_taken_for_the_next_commands(module: Module) -> None:
    modem = Modem(module.path, 115200)
    await modem.open()
    module.answers["AT+GMR"] = [""]
    with pytest.raises(MediumError) as caught:
        await modem.say("AT+GMR")
    assert caught.value.reason is Reason.TIMEOUT
    asking = asyncio.ensure_future(modem.say("AT+CWLAP"))
    module.answers["AT+CWLAP"] = ["ERROR"]
    await module.wait_for(lambda: module.last == "AT")
    module.say("AT version:2.2.0.0", "OK")
    with pytest.raises(ModuleError, match="CWLAP"):
        await asking
    modem.close()


async def test_a_cancelled_payload_does_not_swallow_the_next_command(module: Module) -> None:
    modem = Modem(module.path, 115200)
    await modem.open()
    publishing = asyncio.ensure_future(modem.say('AT+TCMQTTPUBL="t",1,2000', payload=b"x" * 2000))
    await module.wait_for(lambda: module.last.startswith("AT+TCMQTTPUBL"))
    publishing.cancel()
    await asyncio.gather(publishing, return_exceptions=True)
    assert await modem.say("AT+GMR") == ["AT version:2.2.0.0"]
    modem.close()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("killed_in", ['AT+TCMQTTPUBL="t",1,2000', "AT+CIPSEND=1000"])
async def test_a_module_that_waits_for_a_killed_programs_payload_wakes_up(
    module: Module, make_platform: MakePlatform, killed_in: str
) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        modem = Modem(module.path, 115200)
        await modem.open()
        await modem.say(f'AT+CIPSTART="TCP","127.0.0.1",{server.sockets[0].getsockname()[1]}')
        killed = asyncio.ensure_future(modem.say(killed_in))  # and the payload never comes
        await module.wait_for(lambda: module.last == killed_in)
        modem.close()
        await asyncio.gather(killed, return_exceptions=True)
        await make_platform().recover()


async def test_a_reset_and_a_pulled_cable_end_the_method(module: Module, make_platform: MakePlatform) -> None:
    listener = make_platform().port(SmartConfig)
    await listener.start(CONTEXT)
    module.reset()
    with pytest.raises(MediumError, match="reset"):
        await asyncio.wait_for(listener.read(), 10)
    await listener.stop()
    await listener.start(CONTEXT)
    reading = asyncio.ensure_future(listener.read())
    module.unplug()
    with pytest.raises(MediumError, match="gone"):
        await asyncio.wait_for(reading, 10)


async def test_a_command_that_is_too_long_or_holds_a_line_end_is_never_sent(module: Module) -> None:
    modem = Modem(module.path, 115200)
    await modem.open()
    heard = len(module.heard)
    for text in ("AT+TCSAP=" + "x" * 300, 'AT+TCSAP="a\r\nAT+RST"'):
        with pytest.raises(HalError) as caught:
            await modem.say(text)
        assert caught.value.reason is Reason.CONFIGURATION
    assert len(module.heard) == heard
    modem.close()


def test_options_and_ports_that_are_none(tmp_path: Path) -> None:
    for spec in ("esp-at", "esp-at:/dev/x,baud=fast", "esp-at:/dev/x,colour=red"):
        with pytest.raises(ConfigurationError):
            EspAtPlatform(parse_spec(spec))
    with pytest.raises(NotSupportedError) as caught:
        EspAtPlatform(parse_spec(f"esp-at:/dev/x,state={tmp_path}")).port(Udp)
    assert "smart_config" in caught.value.hint


@pytest.mark.usefixtures("impatient")
async def test_no_port_no_module_and_a_port_in_use(
    tmp_path: Path, module: Module, make_platform: MakePlatform
) -> None:
    made = EspAtPlatform(parse_spec(f"esp-at:/dev/no-such-port,state={tmp_path}"))
    with pytest.raises(MediumError, match="no port"):
        await made.capabilities()
    silent = make_platform()
    module.answers["AT"] = [""] * 20
    with pytest.raises(MediumError, match="no module with AT firmware"):
        await silent.capabilities()
    module.answers.clear()
    await make_platform().capabilities()
    with pytest.raises(MediumError) as caught:
        await make_platform().capabilities()
    assert caught.value.reason is Reason.PORT_BUSY


async def test_a_module_that_says_no_or_nothing_has_a_hint_for_the_line(
    module: Module, make_platform: Callable[..., EspAtPlatform]
) -> None:
    platform = make_platform()
    module.answers["AT+GMR"] = ["ERROR"]  # of no importance
    await platform.capabilities()
    module.answers["AT+CWMODE=1"] = ["+CME ERROR: 50"]
    with pytest.raises(HalError) as refused:
        await platform.port(Wifi).scan()
    assert "Tencent's AT firmware" in refused.value.hint
    module.answers["AT+CWMODE=1"] = [""]
    with pytest.raises(MediumError) as silent:
        await platform._modem.say("AT+CWMODE=1", timeout=0.05)
    assert (silent.value.reason, "baud=" in silent.value.hint) == (Reason.TIMEOUT, True)
