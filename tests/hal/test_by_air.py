"""Methods of the air as ports: one sniffer for all, a script before the air, starts that fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from qiot.errors import HalError
from qiot.hal.contract import AirKiss, ListenContext, Role, SimpleConfig, SmartConfig
from qiot.hal.linux.wireless import Wireless
from qiot.hal.mock import MockPlatform
from qiot.hal.mock.scripted import ScriptedListener
from qiot.hal.registry import parse_spec
from qiot.model import Reason
from qiot.sim.offers import ScriptedOffer
from qiot.sim.world import World
from qiot.wifi_config.drivers.air_listener import AirListener

KINDS = (SmartConfig, AirKiss, SimpleConfig)
CONTEXT = ListenContext("pid", "dn")


def test_on_linux_they_share_one_watch_over_the_sniffer(tmp_path: Path) -> None:
    wireless = Wireless("wlan0", tmp_path, country=None, ap_sta=None, manager=None)
    ports = [wireless.ports[kind] for kind in KINDS]
    assert all(isinstance(port, kind) for port, kind in zip(ports, KINDS, strict=True))
    assert all(isinstance(port, AirListener) for port in ports)
    assert len({id(port._watch) for port in ports if isinstance(port, AirListener)}) == 1


async def test_on_the_mock_they_share_one_sniffer() -> None:
    platform = MockPlatform(parse_spec("mock"))
    listeners = [platform.port(kind) for kind in KINDS]
    for each in listeners:
        await each.start(CONTEXT)
    await platform.close()
    for each in listeners:
        with pytest.raises(HalError) as error:
            await each.read()
        assert error.value.reason is Reason.STOPPED
    assert platform._sniffer is not None
    assert platform._sniffer._receiver is None


async def test_what_has_a_script_is_played_from_it_and_the_rest_is_heard() -> None:
    world = World()
    world.offers.put(ScriptedOffer(method="airkiss", ssid=b"home"))
    platform = MockPlatform(parse_spec("mock"), world)
    assert isinstance(platform.port(AirKiss), ScriptedListener)
    assert isinstance(platform.port(SmartConfig), AirListener)
    capabilities = await platform.capabilities()
    assert set(capabilities.chip) == {"airkiss"}
    assert Role.SNIFF in capabilities.roles
    await platform.close()


async def test_a_start_can_be_made_to_fail() -> None:
    platform = MockPlatform(parse_spec("mock,start_failure=smart_config:medium*1"))
    listener = platform.port(SmartConfig)
    with pytest.raises(HalError) as error:
        await listener.start(CONTEXT)
    assert error.value.reason is Reason.MEDIUM
    await listener.start(CONTEXT)
    await platform.close()


async def test_a_sniffer_that_does_not_start_says_so_and_leaves_nothing() -> None:
    platform = MockPlatform(parse_spec("mock,start_failure=sniffer:no_permission*1"))
    listener = platform.port(AirKiss)
    with pytest.raises(HalError) as error:
        await listener.start(CONTEXT)
    assert error.value.reason is Reason.NO_PERMISSION
    await listener.stop()
    await listener.start(CONTEXT)
    await platform.close()
