"""Who listens together on which radio."""

from __future__ import annotations

import pytest

from qiot.errors import ConfigurationError
from qiot.hal.contract import Capabilities, Combination, Role
from qiot.model import Secret
from qiot.wifi_config.keys import check_keys, parse_key
from qiot.wifi_config.methods import parse_methods
from qiot.wifi_config.plan import plan_turns

AIR = {"smart_config", "airkiss", "simple_config"}
METHODS = "soft_ap,smart_config,airkiss,simple_config"


def turns(*combinations: Combination) -> list[set[str]]:
    planned = plan_turns(parse_methods(METHODS), Capabilities(combinations))
    return [{method.name for method in turn.methods} for turn in planned]


def roles(*each: Role, same_channel: bool = False) -> Combination:
    return Combination(frozenset(each), same_channel=same_channel)


def test_the_methods_of_the_air_listen_together_and_the_access_point_in_turn() -> None:
    assert turns(roles(Role.ACCESS_POINT), roles(Role.SNIFF)) == [{"soft_ap"}, AIR]


def test_beside_an_access_point_on_its_channel_the_air_has_turns_of_its_own_besides() -> None:
    both = roles(Role.ACCESS_POINT, Role.SNIFF, same_channel=True)
    assert turns(roles(Role.ACCESS_POINT), roles(Role.SNIFF), both) == [{"soft_ap"} | AIR, AIR]


def test_what_the_air_brings_beside_an_access_point_are_its_own_methods_only() -> None:
    """Those that are in the same turn by another radio, such as Bluetooth, have theirs already."""
    air_or_ap = (roles(Role.ACCESS_POINT, Role.BLE), roles(Role.SNIFF, Role.BLE))
    both = roles(Role.ACCESS_POINT, Role.SNIFF, Role.BLE, same_channel=True)
    planned = plan_turns(parse_methods("all"), Capabilities((*air_or_ap, both)))
    names = [{method.name for method in turn.methods} for turn in planned]
    bluetooth = {"bt_combo", "blufi", "llsync", "thing"}
    assert names[0] == {"soft_ap", "bt_combo"} | AIR
    assert [len(each & bluetooth) for each in names] == [1, 1, 1, 1]


def test_two_radios_listen_to_everything_at_once() -> None:
    assert turns(roles(Role.ACCESS_POINT, Role.SNIFF)) == [{"soft_ap"} | AIR]


@pytest.mark.parametrize("name", ["esptouch_v2", "ESPTOUCH-V2", "esptouch", "smart_config,esptouch_v2"])
def test_both_versions_of_esptouch_are_one_row(name: str) -> None:
    assert [method.name for method in parse_methods(name)] == ["smart_config"]


def test_keys_as_text_and_as_digits() -> None:
    assert parse_key("airkiss_key", "text") == Secret("text")
    assert parse_key("esptouch_key", "hex:" + "0f" * 16) == Secret(b"\x0f" * 16)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("esptouch_key", "short-key"),
        ("esptouch_key", "hex:0g"),
        ("airkiss_key", "a-key-that-is-too-long"),
        ("pin", ""),
    ],
)
def test_a_key_that_cannot_be_one_is_refused_and_not_shown(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=name) as error:
        parse_key(name, text)
    assert not text or text not in str(error.value)
    assert repr(Secret(text)) == "Secret(***)"


def test_keys_of_others_are_not_looked_at() -> None:
    check_keys({"llsync_key": Secret("whatever it is, it is not ours")})
