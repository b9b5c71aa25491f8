"""The identity goes into the module once, is read back, and is never shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import qiot_esp_at.modem
from conftest import SECRET
from module import Module
from qiot_esp_at import EspAtPlatform

from qiot.errors import ConfigurationError, HalError
from qiot.hal.contract import ListenContext, SmartConfig
from qiot.model import Reason

CONTEXT = ListenContext("QIOTDEMO01", "module-1")
MakePlatform = Callable[..., EspAtPlatform]
WriteIdentity = Callable[..., Path]


async def listens(made: EspAtPlatform) -> None:
    listener = made.port(SmartConfig)
    await listener.start(CONTEXT)
    await listener.stop()


async def test_it_is_given_once(
    module: Module, make_platform: MakePlatform, write_identity: WriteIdentity
) -> None:
    made = make_platform(device_info=write_identity())
    for _ in range(2):
        await listens(made)
    assert module.identity == ("QIOTDEMO01", "module-1", SECRET)
    assert [line[:16] for line in module.heard].count("AT+TCDEVINFOSET=") == 1


async def test_a_line_that_garbles_it_is_noticed(
    module: Module, make_platform: MakePlatform, write_identity: WriteIdentity
) -> None:
    wrong = '+TCDEVINFOSET:1,"QIOTDEMO01","module-1",99,"ap-guangzhou"|OK'
    module.answers["AT+TCDEVINFOSET?"] = [wrong] * 3
    with pytest.raises(HalError, match="not taken the identity") as caught:
        await listens(make_platform(device_info=write_identity()))
    assert SECRET not in f"{caught.value} {caught.value.hint}"


async def test_a_line_that_loses_it_gets_it_again(
    module: Module,
    make_platform: MakePlatform,
    write_identity: WriteIdentity,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(qiot_esp_at.modem, "_QUICK", 0.3)
    module.answers[f'AT+TCDEVINFOSET=1,"QIOTDEMO01","module-1","{SECRET}"'] = [""]
    await listens(make_platform(device_info=write_identity()))
    assert module.identity == ("QIOTDEMO01", "module-1", SECRET)


async def test_a_refusal_shows_no_secret(
    module: Module, make_platform: MakePlatform, write_identity: WriteIdentity
) -> None:
    module.answers[f'AT+TCDEVINFOSET=1,"QIOTDEMO01","module-1","{SECRET}"'] = ["+CME ERR:204"]
    with pytest.raises(HalError, match="refuses") as caught:
        await listens(make_platform(device_info=write_identity()))
    assert caught.value.code == 204
    assert SECRET not in str(caught.value)


async def test_the_module_registers_by_itself(
    module: Module, make_platform: MakePlatform, write_identity: WriteIdentity
) -> None:
    path = write_identity("YOUR_IOT_PSK")
    module.answers["AT+TCDEVREG"] = ["OK|+TCDEVREG:FAIL,1010"]
    made = make_platform(device_info=path)
    with pytest.raises(HalError) as caught:
        await listens(made)
    assert (caught.value.reason, caught.value.code) == (Reason.REGISTRATION_REFUSED, 1010)
    assert "deviceSecret" in caught.value.hint
    module.answers["AT+TCDEVREG"] = ["OK|+TCDEVREG:OK"]
    await listens(made)
    module.identity = ("QIOTDEMO01", "module-1", SECRET)  # what registration left in it
    await listens(made)
    assert module.heard.count("AT+TCDEVREG") == 2


async def test_a_file_that_is_none(module: Module, make_platform: MakePlatform, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        await listens(make_platform(device_info=tmp_path / "nothing.json"))
    assert module.listening == ""
