"""The station, beyond what the conformance kit asks of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from module import Module
from qiot_esp_at import EspAtPlatform

from qiot.errors import HalError, JoinError, MediumError
from qiot.hal.contract import Wifi
from qiot.model import Credentials, Reason, Secret, Security

HOME = Credentials(b"Home", Secret("home-password"))
SECOND = Credentials(b"Second", Secret("second-password"))
MakePlatform = Callable[..., EspAtPlatform]


async def test_a_scan_reads_every_name(make_platform: MakePlatform) -> None:
    found = {each.ssid: each for each in await make_platform().port(Wifi).scan()}
    assert set(found) == {b"Home", b"Second", 'Caf\u00e9 "1,2"'.encode(), b"", b"Silent"}
    assert (found[b"Second"].channel, found[b"Second"].security) == (11, Security.WPA2)


async def test_a_name_with_quotes_is_joined(module: Module, make_platform: MakePlatform) -> None:
    name = 'Caf\u00e9 "1,2"'
    await make_platform().port(Wifi).join(Credentials(name.encode(), Secret("")), 10)
    assert module.joined is not None
    assert module.joined.ssid == name


async def test_what_the_modules_flash_keeps_comes_back(module: Module, make_platform: MakePlatform) -> None:
    module.flash = module.joined = module.access_points["Second"]
    wifi = make_platform().port(Wifi)
    with pytest.raises(JoinError) as caught:
        await wifi.join(Credentials(b"Home", Secret("wrong-password")), 10)
    assert caught.value.reason is Reason.WRONG_PASSWORD
    assert module.joined is module.flash
    await wifi.join(HOME, 10)
    await wifi.settle(keep=False)
    assert module.joined is module.flash


async def test_what_is_forgotten_is_not_the_users_own(module: Module, make_platform: MakePlatform) -> None:
    module.flash = module.joined = module.access_points["Second"]
    wifi = make_platform().port(Wifi)
    await wifi.join(HOME, 10)
    await wifi.settle(keep=True)
    await wifi.forget()
    assert (module.joined, module.flash) == (None, module.access_points["Second"])
    assert (await wifi.status()).saved is None
    await wifi.join(HOME, 10)
    await wifi.forget()  # a try is no settled network: the module is where it was
    assert (await wifi.status()).ssid is None
    module.joined = module.flash
    await wifi.forget()
    assert module.joined is module.flash


async def test_a_killed_try_is_undone_by_recover(module: Module, make_platform: MakePlatform) -> None:
    first = make_platform()
    await first.port(Wifi).join(SECOND, 10)
    await first.port(Wifi).settle(keep=True)
    await first.port(Wifi).join(HOME, 10)
    first._modem.close()  # as a killed process leaves it
    again = make_platform()
    await again.recover()
    status = await again.port(Wifi).status()
    assert (status.ssid, status.saved) == (b"Second", b"Second")


async def test_a_pulled_cable_in_a_try_is_undone_later(module: Module, make_platform: MakePlatform) -> None:
    wifi = make_platform().port(Wifi)
    joining = asyncio.ensure_future(wifi.join(Credentials(b"Silent", Secret("silent-password")), 10))
    await module.wait_for(lambda: module.last.startswith("AT+CWJAP="))
    module.unplug()
    with pytest.raises(MediumError, match="gone"):
        await joining


@pytest.mark.parametrize("ssid", [b"\xff\xfe", b"line\r\nend"])
async def test_a_name_that_no_command_can_hold(make_platform: MakePlatform, ssid: bytes) -> None:
    with pytest.raises(JoinError, match="printable"):
        await make_platform().port(Wifi).join(Credentials(ssid, Secret("password")), 10)


async def test_a_damaged_file_is_no_network(
    module: Module, make_platform: MakePlatform, tmp_path: Path
) -> None:
    path = tmp_path / "state" / f"network-{Path(module.path).name}.json"
    path.parent.mkdir()
    path.write_text("{")
    wifi = make_platform().port(Wifi)
    with pytest.raises(JoinError) as caught:
        await wifi.rejoin(10)
    assert caught.value.reason is Reason.NO_SAVED_NETWORK
    await wifi.join(HOME, 10)
    await wifi.settle(keep=True)
    assert path.stat().st_mode & 0o777 == 0o600


async def test_one_join_at_a_time(module: Module, make_platform: MakePlatform) -> None:
    wifi = make_platform().port(Wifi)
    first = asyncio.ensure_future(wifi.join(HOME, 10))
    await module.wait_for(lambda: module.last.startswith("AT+CWJAP="))
    with pytest.raises(HalError, match="another one"):
        await wifi.join(SECOND, 10)
    await first
    assert (await wifi.status()).ssid == b"Home"


async def test_the_country(module: Module, make_platform: MakePlatform) -> None:
    await make_platform().port(Wifi).set_country("de")
    assert module.heard[-1] == 'AT+CWCOUNTRY=0,"DE",1,13'
