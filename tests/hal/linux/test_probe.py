"""What radios can be at the same time, from what their drivers say."""

from __future__ import annotations

from pathlib import Path

import pytest

from qiot.errors import MediumError
from qiot.hal.contract import Capabilities, Role
from qiot.hal.linux import probe as probe_module
from qiot.hal.linux.nl80211 import ModeLimit, Wiphy
from qiot.hal.linux.probe import capabilities_of, probe
from qiot.hal.linux.radio import Radio

STATION, AP, SNIFF, INJECT = Role.STATION, Role.ACCESS_POINT, Role.SNIFF, Role.INJECT


def wiphy(modes: str, *limits: ModeLimit, software: str = "") -> Wiphy:
    return Wiphy(0, "phy0", frozenset(modes.split()), limits, (), frozenset(software.split()))


def limit(channels: int, total: int, **groups: int) -> ModeLimit:
    return ModeLimit(
        tuple((frozenset(modes.split("_")), most) for modes, most in groups.items()), total, channels
    )


# As recorded from drivers.
HWSIM = wiphy("managed ap monitor", limit(1, 2050, managed_ap=2048), software="monitor")
ATH9K = wiphy("managed ap monitor", limit(1, 2048, managed=2048, ap=8), software="monitor")
IWLWIFI = wiphy(
    "managed ap monitor", limit(1, 3, managed=1, ap=1), limit(2, 3, managed=1, ap=1), software="monitor"
)
BRCMFMAC = wiphy("managed ap", limit(1, 4, managed=1, ap=1), limit(2, 2, managed=2))
RTL8188EU = wiphy("managed ap monitor", software="monitor")
STATION_ONLY = wiphy("managed")
FULL_MAC = wiphy("managed ap monitor", limit(1, 2, managed=1, monitor_ap=1))


@pytest.mark.parametrize("radio", [HWSIM, ATH9K])
def test_all_at_once_on_one_channel(radio: Wiphy) -> None:
    found = capabilities_of(radio, ap_sta=None)
    both = found.together(STATION, AP)
    assert both is not None
    assert both.same_channel
    everything = found.together(STATION, AP, SNIFF, INJECT)
    assert everything is not None
    assert everything.same_channel
    alone = found.together(SNIFF, INJECT)
    assert alone is not None
    assert not alone.same_channel


def test_two_channels() -> None:
    both = capabilities_of(IWLWIFI, ap_sta=None).together(STATION, AP)
    assert both is not None
    assert not both.same_channel


def test_without_monitor_mode() -> None:
    found = capabilities_of(BRCMFMAC, ap_sta=None)
    assert found.roles == {STATION, AP}
    both = found.together(STATION, AP)
    assert both is not None
    assert both.same_channel
    assert capabilities_of(STATION_ONLY, ap_sta=None).roles == {STATION}
    assert capabilities_of(STATION_ONLY, ap_sta=True).roles == {STATION}


def test_one_thing_after_the_other() -> None:
    found = capabilities_of(RTL8188EU, ap_sta=None)
    assert found.roles == {STATION, AP, SNIFF, INJECT}
    assert found.together(STATION, AP) is None
    assert found.together(STATION, SNIFF) is not None


def test_a_driver_that_makes_its_own_monitor_interface() -> None:
    found = capabilities_of(FULL_MAC, ap_sta=None)
    assert found.together(STATION, SNIFF) is not None
    assert found.together(AP, SNIFF) is None
    assert found.together(STATION, AP, SNIFF) is None


def test_the_user_knows_better() -> None:
    assert capabilities_of(HWSIM, ap_sta=False).together(STATION, AP) is None
    forced = capabilities_of(RTL8188EU, ap_sta=True).together(STATION, AP)
    assert forced is not None
    assert forced.same_channel


@pytest.mark.parametrize(
    ("rights", "roles"),
    [
        (0, set()),
        (1 << 13, set()),
        (1 << 12, {STATION, AP}),
        (1 << 12 | 1 << 13, {STATION, AP, SNIFF, INJECT}),
    ],
)
async def test_what_we_may_not_do_is_no_role(
    rights: int, roles: set[Role], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = tmp_path / "status"
    status.write_text(f"Name:\tpython\nCapInh:\tffffffffffffffff\nCapEff:\t{rights:016x}\n")
    monkeypatch.setattr(probe_module, "_STATUS", status)
    radio = Radio("wlan0", tmp_path)

    async def told(interface: str) -> Wiphy:
        assert interface == "wlan0"
        return HWSIM

    monkeypatch.setattr(radio.nl80211, "wiphy", told)
    found = await probe(radio, ap_sta=None)
    assert found.roles == roles
    await radio.close()


async def test_no_such_interface(tmp_path: Path) -> None:
    radio = Radio("nowhere0", tmp_path)
    with pytest.raises(MediumError, match="no interface nowhere0"):
        await probe(radio, ap_sta=None)
    await radio.close()


def test_nothing_is_the_default() -> None:
    assert capabilities_of(wiphy(""), ap_sta=True) == Capabilities()
