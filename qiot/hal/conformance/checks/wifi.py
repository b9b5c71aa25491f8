"""Wifi: scans, joins and their failures; whatever goes wrong, the earlier network comes back."""

from __future__ import annotations

import attrs

from qiot.errors import JoinError
from qiot.hal.conformance.bench import Bench
from qiot.hal.conformance.check import check, expect, not_claimed
from qiot.hal.conformance.checks import station
from qiot.hal.contract import Wifi
from qiot.model import SSID_MAX, Band, Credentials, Network, Reason, Secret, Security, show_ssid

_BSSID_OCTETS = 6
_SIGNALS = range(-100, 1)
_OPEN = frozenset({Security.OPEN})
_PROTECTED = frozenset(Security) - _OPEN - {Security.ENTERPRISE}
_WPA3 = frozenset({Security.WPA3, Security.UNKNOWN})
_CHANNELS = {Band.GHZ_2_4: range(1, 15), Band.GHZ_5: range(32, 178), Band.GHZ_6: range(1, 234)}
"""IEEE channel numbers of a band (IEEE 802.11, annex E)."""
_SHORT = 2.0


@check(Wifi, "scan")
async def a_scan_tells_what_is_around(bench: Bench) -> None:
    """Well-formed networks, the strongest first; `home` is among them where it should be."""
    wifi = bench.port(Wifi)
    networks = await bench.call("Wifi.scan", wifi.scan())
    for each in networks:
        expect(isinstance(each, Network), f"the scan gave {type(each).__name__}")
        expect(isinstance(each.ssid, bytes) and len(each.ssid) <= SSID_MAX, f"{each.ssid!r} is no SSID")
        whole = isinstance(each.bssid, bytes) and len(each.bssid) == _BSSID_OCTETS
        expect(whole, f"{each.bssid!r} is no BSSID")
        expect(each.signal in _SIGNALS, f"impossible: {each}")
        expect(isinstance(each.security, Security), f"{each.security!r} is none of Security")
        expect(
            each.channel in _CHANNELS.get(each.band, ()), f"there is no channel {each.channel} in {each.band}"
        )
    signals = [each.signal for each in networks]
    expect(signals == sorted(signals, reverse=True), f"not the strongest first: {signals}")


@check(Wifi, "scan")
async def a_scan_finds_the_network(bench: Bench) -> None:
    """Its name to the octet, within three scans: one may miss a beacon."""
    wifi, home = bench.port(Wifi), station.home(bench)
    if not bench.environment.visible:
        not_claimed("the environment says that its network does not show in scans (visible)")
    seen: set[bytes] = set()
    for _ in range(3):
        seen |= {each.ssid for each in await bench.call("Wifi.scan", wifi.scan())}
        if home.ssid in seen:
            return
    names = ", ".join(sorted(show_ssid(each) for each in seen if each)) or "none"
    expect(condition=False, why=f"{show_ssid(home.ssid)} is not among the networks found: {names}")


@check(Wifi, "scan")
async def a_scan_tells_how_networks_protect_themselves(bench: Bench) -> None:
    """An open network is no protected one, and one for WPA3 only is not of an older kind."""
    wifi, around = bench.port(Wifi), bench.environment
    known = [
        (network, kinds)
        for network, kinds in (
            (around.home, _PROTECTED if around.home and around.home.password else _OPEN),
            (around.open_network, _OPEN),
            (around.wpa3_network, _WPA3),
        )
        if network is not None
    ]
    seen = False
    for each in await bench.call("Wifi.scan", wifi.scan()):
        for network, kinds in known:
            if each.ssid == network.ssid:
                seen = True
                wanted = " or ".join(sorted(kinds))
                expect(
                    each.security in kinds,
                    f"{show_ssid(each.ssid)} is {each.security} in the scan, it is {wanted}",
                )
    if not seen:
        not_claimed("no environment: no network whose kind is known is in the scan (home, open_network, …)")


@check(Wifi, "address")
async def the_address_is_one_or_empty(bench: Bench) -> None:
    """In capital letters, and the same when asked again."""
    wifi = bench.port(Wifi)
    await bench.address("Wifi.address", wifi.address)


@check(Wifi, "scan")
async def a_cancelled_scan_leaves_nothing(bench: Bench) -> None:
    """And the next one works."""
    wifi = bench.port(Wifi)
    for after in bench.environment.cancel_after:
        await bench.cancelled("Wifi.scan", wifi.scan(), after)
    await bench.call("Wifi.scan", wifi.scan())
    await bench.cancelled("Wifi.scan", wifi.scan(), max(bench.environment.cancel_after))


@check(Wifi, "status")
async def status_can_be_asked_at_any_time(bench: Bench) -> None:
    """Before anything else was done, and twice."""
    wifi = bench.port(Wifi)
    first = await station.status(bench, wifi)
    second = await station.status(bench, wifi)
    expect(station.same(second, first), f"status changed with nothing done in between: {first}, {second}")


@check(Wifi, "set_country")
async def a_country_that_is_none_is_refused_with_a_hint(bench: Bench) -> None:
    """Also where the platform cannot choose: then NotSupportedError says where to set it."""
    wifi = bench.port(Wifi)
    await bench.refused("Wifi.set_country", wifi.set_country("?!"))


@check(Wifi, "set_country", disturbs=True)
async def a_country_is_taken_or_refused_with_a_hint(bench: Bench) -> None:
    """A typed error says why it cannot be; in the end, the rules hold that hold everywhere."""
    wifi = bench.port(Wifi)
    for code in ("DE", "00"):
        error = await bench.attempted("Wifi.set_country", wifi.set_country(code))
        expect(error is None or error.hint, f"Wifi.set_country raised {error!r} without a hint")


@check(Wifi, "rejoin", disturbs=True)
async def without_a_saved_network_rejoin_says_so(bench: Bench) -> None:
    """NO_SAVED_NETWORK."""
    wifi = bench.port(Wifi)
    saved = (await station.status(bench, wifi)).saved
    if saved is not None:
        not_claimed(f"a network is saved here already: {show_ssid(saved)}")
    seconds = bench.environment.join_seconds
    rejoining = wifi.rejoin(seconds)
    await bench.refused(
        "Wifi.rejoin", rejoining, JoinError, reasons=(Reason.NO_SAVED_NETWORK,), seconds=seconds
    )


@check(Wifi, "join", disturbs=True)
async def a_join_gives_an_address(bench: Bench) -> None:
    """The address is there when the verb returns, and nothing is saved yet."""
    wifi = bench.port(Wifi)
    saved = (await station.status(bench, wifi)).saved
    await station.join(bench, wifi, station.home(bench))
    expect((await station.status(bench, wifi)).saved == saved, "a join that was not settled is saved")
    await bench.call("Wifi.settle", wifi.settle(keep=False))


@check(Wifi, "join", disturbs=True, seconds=300)
async def a_wrong_password_is_told_and_the_earlier_network_is_back(bench: Bench) -> None:
    """WRONG_PASSWORD, without the password in the text."""
    wifi, home = bench.port(Wifi), station.home(bench)
    before = await station.earlier(bench, wifi)
    wrong = attrs.evolve(home, password=bench.environment.wrong_password)
    await station.fails(bench, wifi, wrong, (Reason.WRONG_PASSWORD,))
    await station.back(bench, wifi, before)
    await station.join(bench, wifi, home)


@check(Wifi, "join", disturbs=True, seconds=300)
async def a_network_that_is_not_there_is_told_and_the_earlier_network_is_back(bench: Bench) -> None:
    """NO_SUCH_AP."""
    wifi = bench.port(Wifi)
    station.home(bench)
    before = await station.earlier(bench, wifi)
    absent = Credentials(ssid=bench.environment.absent_ssid, password=Secret("does-not-matter"))
    await station.fails(bench, wifi, absent, (Reason.NO_SUCH_AP,))
    await station.back(bench, wifi, before)


@check(Wifi, "join", disturbs=True, seconds=300)
async def a_silent_dhcp_is_told_and_the_earlier_network_is_back(bench: Bench) -> None:
    """DHCP."""
    wifi = bench.port(Wifi)
    silent = station.offered(bench.environment.silent_network, "silent_network")
    before = await station.earlier(bench, wifi)
    await station.fails(bench, wifi, silent, (Reason.DHCP,))
    await station.back(bench, wifi, before)


@check(Wifi, "join", disturbs=True, seconds=300)
async def a_join_ends_at_its_time_out(bench: Bench) -> None:
    """Its own time-out bounds everything together; the earlier network is back after it."""
    wifi = bench.port(Wifi)
    silent = station.offered(bench.environment.silent_network, "silent_network")
    before = await station.earlier(bench, wifi)
    await station.fails(bench, wifi, silent, (Reason.JOIN_TIMEOUT, Reason.DHCP, Reason.NO_SUCH_AP), _SHORT)
    await station.back(bench, wifi, before)


@check(Wifi, "join", disturbs=True, seconds=300)
async def the_first_failure_leaves_the_station_as_it_was(bench: Bench) -> None:
    """Without an own join before it: the station is not in another network than before."""
    wifi, home = bench.port(Wifi), station.home(bench)
    before = await station.status(bench, wifi)
    wrong = attrs.evolve(home, password=bench.environment.wrong_password)
    await station.fails(bench, wifi, wrong, (Reason.WRONG_PASSWORD,))
    await station.back(bench, wifi, before)


@check(Wifi, "join", disturbs=True, seconds=600)
async def a_cancelled_join_brings_the_earlier_network_back(bench: Bench) -> None:
    """Wherever it is cut off; and afterwards a join works."""
    wifi, home = bench.port(Wifi), station.home(bench)
    before = await station.earlier(bench, wifi)
    seconds = bench.environment.join_seconds
    for after in bench.environment.cancel_after:
        if await bench.cancelled("Wifi.join", wifi.join(home, seconds), after):
            await station.back(bench, wifi, before)
        else:
            await bench.call("Wifi.settle", wifi.settle(keep=False))
            await station.back(bench, wifi, before)
    await station.join(bench, wifi, home)
