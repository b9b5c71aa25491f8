"""What several checks of the station need: networks of the environment, an earlier network, its return."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from qiot.errors import JoinError
from qiot.hal.conformance.bench import Bench
from qiot.hal.conformance.check import Broken, expect, not_claimed
from qiot.hal.contract import Wifi, WifiStatus
from qiot.model import Credentials, IpConfig, Reason, show_ssid

__all__ = ["back", "earlier", "fails", "home", "join", "name", "offered", "same", "status"]


def home(bench: Bench) -> Credentials:
    """The network to join, where the environment offers one."""
    return offered(bench.environment.home, "home")


def offered(network: Credentials | None, name: str) -> Credentials:
    """A network of the environment, where it offers that one."""
    if network is None:
        not_claimed(f"no environment: no network to join is offered ({name})")
    return network


async def status(bench: Bench, wifi: Wifi) -> WifiStatus:
    """Where the station is, checked for sense."""
    now = await bench.call("Wifi.status", wifi.status())
    expect(isinstance(now, WifiStatus), f"Wifi.status gave {type(now).__name__}")
    if now.connected:
        expect(
            now.ssid and now.ip, f"it is connected, with the network {now.ssid!r} and the address {now.ip}"
        )
    return now


def same(one: WifiStatus, other: WifiStatus) -> bool:
    """True where the station is at the same place; a router may become known some time after the address."""
    addresses = [each.ip and each.ip.address for each in (one, other)]
    places = [(each.connected, each.ssid, each.saved) for each in (one, other)]
    return addresses[0] == addresses[1] and places[0] == places[1]


async def join(bench: Bench, wifi: Wifi, credentials: Credentials) -> IpConfig:
    """A join that has to work; gives what it got, which is what `status` says too."""
    seconds = bench.environment.join_seconds
    ip = await bench.call("Wifi.join", wifi.join(credentials, seconds), seconds=seconds)
    expect(isinstance(ip, IpConfig), f"Wifi.join gave {type(ip).__name__}")
    try:
        address = ipaddress.IPv4Interface(f"{ip.address}/{ip.prefix}").ip
    except ValueError:
        raise Broken(f"{ip.address}/{ip.prefix} is no IPv4 address") from None
    usable = not (address.is_unspecified or address.is_link_local or address.is_loopback)
    expect(usable, f"{address} is no address by DHCP")
    now = await status(bench, wifi)
    joined = now.connected and now.ssid == credentials.ssid
    expect(joined, f"joined {show_ssid(credentials.ssid)}, but status says {now}")
    expect(now.ip == ip, f"the join gave {ip}, status says {now.ip}")
    return ip


async def earlier(bench: Bench, wifi: Wifi) -> WifiStatus:
    """Be in a network that is kept, as before a user tries another; gives that status."""
    await join(bench, wifi, bench.environment.second or home(bench))
    await bench.call("Wifi.settle", wifi.settle(keep=True))
    return await status(bench, wifi)


async def back(bench: Bench, wifi: Wifi, before: WifiStatus) -> None:
    """The station has to be where it was; it may have to be joined again."""
    now = before

    async def is_back() -> bool:
        nonlocal now
        now = await status(bench, wifi)
        same = now.connected == before.connected and now.saved == before.saved
        return same and (not before.connected or now.ssid == before.ssid)

    try:
        await bench.until(is_back, "", seconds=bench.environment.shows_within)
    except Broken:
        where, is_now = _shown(before), _shown(now)
        raise Broken(f"the earlier network is not back: it was {where}, it is {is_now}") from None


def name(ssid: bytes | None) -> str:
    """A network or "none", for people."""
    return "none" if ssid is None else show_ssid(ssid)


def _shown(at: WifiStatus) -> str:
    return f"in {name(at.ssid if at.connected else None)}, with {name(at.saved)} saved"


async def fails(
    bench: Bench, wifi: Wifi, credentials: Credentials, reasons: Sequence[Reason], seconds: float = 0.0
) -> None:
    """A join that has to fail with one of these reasons, without the password in the error's text."""
    timeout = seconds or bench.environment.join_seconds
    joining = wifi.join(credentials, timeout)
    error = await bench.refused("Wifi.join", joining, JoinError, reasons=reasons, seconds=timeout)
    password = credentials.password.reveal().decode(errors="replace")
    expect(not password or password not in f"{error} {error.hint}", "the error's text shows the password")
