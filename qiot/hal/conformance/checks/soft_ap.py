"""SoftAp: it is up when start returns, and nothing is left of it when it is not."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import AsyncIterator, Sequence

import attrs

from qiot.errors import JoinError
from qiot.hal.conformance.bench import Bench
from qiot.hal.conformance.check import Broken, NotClaimed, check, expect
from qiot.hal.contract import SoftAp, SoftApSpec
from qiot.model import Credentials, Reason, Secret, show_ssid


async def _start(bench: Bench, soft_ap: SoftAp, spec: SoftApSpec | None = None) -> SoftApSpec:
    wanted = spec or bench.environment.access_point
    await bench.call("SoftAp.start", soft_ap.start(wanted))
    return wanted


async def _stop(bench: Bench, soft_ap: SoftAp) -> None:
    await bench.call("SoftAp.stop", soft_ap.stop())


async def _is_up(bench: Bench, spec: SoftApSpec, when: str) -> None:
    await bench.until(
        lambda: bench.environment.access_point_visible(spec.ssid),
        f"{show_ssid(spec.ssid)} is not on the air {when}",
        seconds=bench.environment.shows_within,
    )


async def _is_down(bench: Bench, spec: SoftApSpec, when: str) -> None:
    async def is_down() -> bool:
        return not await bench.environment.access_point_visible(spec.ssid)

    await bench.until(
        is_down,
        f"the access point {show_ssid(spec.ssid)} is still on the air {when}",
        seconds=bench.environment.shows_within,
    )


async def _seems_down(bench: Bench, soft_ap: SoftAp, spec: SoftApSpec, when: str) -> None:
    """No station is there, and from outside nothing is seen where the environment can look."""
    there = await bench.call("SoftAp.stations", soft_ap.stations())
    expect(not there, f"there are stations {when}: {there}")
    with contextlib.suppress(NotClaimed):
        await _is_down(bench, spec, when)


@contextlib.asynccontextmanager
async def _phone(bench: Bench, spec: SoftApSpec) -> AsyncIterator[tuple[bytes, str]]:
    credentials = Credentials(ssid=spec.ssid, password=spec.password or Secret(""))
    joining = bench.environment.phone(credentials)
    try:
        phone = await joining.__aenter__()
    except JoinError as error:
        raise Broken(f"a phone could not join {show_ssid(spec.ssid)}: {error}") from error
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_exit(joining)
        network = ipaddress.IPv4Interface(f"{spec.address}/{spec.prefix}").network
        inside = ipaddress.IPv4Address(phone.address) in network
        expect(inside, f"the phone got {phone.address}, which is not in {network}")
        expect(phone.gateway in {None, spec.address}, f"the phone was told the router {phone.gateway}")
        yield phone.mac, phone.address


@check(SoftAp, "stop", disturbs=True)
async def stop_is_idempotent_and_safe_without_a_start(bench: Bench) -> None:
    """However often, before and after."""
    soft_ap = bench.port(SoftAp)
    for _ in range(2):
        await _stop(bench, soft_ap)
    there = await bench.call("SoftAp.stations", soft_ap.stations())
    expect(isinstance(there, Sequence), f"SoftAp.stations gave {type(there).__name__}")
    expect(not there, "stations without an access point")
    spec = await _start(bench, soft_ap)
    for _ in range(3):
        await _stop(bench, soft_ap)
    await _seems_down(bench, soft_ap, spec, "after stop")


@check(SoftAp, "start, stop", disturbs=True)
async def it_is_on_the_air_from_start_to_stop(bench: Bench) -> None:
    """As seen from outside, three times over."""
    soft_ap = bench.port(SoftAp)
    for _ in range(3):
        spec = await _start(bench, soft_ap)
        await _is_up(bench, spec, "after start")
        await _stop(bench, soft_ap)
        await _is_down(bench, spec, "after stop")


@check(SoftAp, "start", disturbs=True)
async def an_impossible_spec_is_refused_and_leaves_nothing(bench: Bench) -> None:
    """CONFIGURATION, before anything begins; then a possible one works."""
    soft_ap, spec = bench.port(SoftAp), bench.environment.access_point
    for change in (
        {"ssid": b""},
        {"ssid": b"x" * 33},
        {"password": Secret("1234567")},
        {"channel": 0},
        {"address": "192.168.4.255"},
        {"prefix": 31},
    ):
        wrong = attrs.evolve(spec, **change)
        await bench.refused("SoftAp.start", soft_ap.start(wrong), reasons=(Reason.CONFIGURATION,))
        expect(not await bench.call("SoftAp.stations", soft_ap.stations()), "stations after a refused start")
    await _seems_down(bench, soft_ap, spec, "after a refused start")
    await _start(bench, soft_ap)
    await _stop(bench, soft_ap)


@check(SoftAp, "start", disturbs=True)
async def a_second_start_is_refused_and_harms_nothing(bench: Bench) -> None:
    """HalError, and the first access point is still up."""
    soft_ap = bench.port(SoftAp)
    spec = await _start(bench, soft_ap)
    await bench.refused("SoftAp.start", soft_ap.start(attrs.evolve(spec, ssid=b"qiot-second")))
    with contextlib.suppress(NotClaimed):
        await _is_up(bench, spec, "after a second start was refused")
    await _stop(bench, soft_ap)
    await _seems_down(bench, soft_ap, spec, "after stop")


@check(SoftAp, "start", disturbs=True, seconds=300)
async def a_cancelled_start_leaves_nothing(bench: Bench) -> None:
    """Wherever it is cut off; stop is safe after it, and the next start works."""
    soft_ap, spec = bench.port(SoftAp), bench.environment.access_point
    for after in bench.environment.cancel_after:
        cut = await bench.cancelled("SoftAp.start", soft_ap.start(spec), after)
        if cut:
            await _seems_down(bench, soft_ap, spec, f"after its start was cancelled after {after:g} s")
        await _stop(bench, soft_ap)
    await _start(bench, soft_ap)
    with contextlib.suppress(NotClaimed):
        await _is_up(bench, spec, "after cancelled starts and one that worked")
    await _stop(bench, soft_ap)


@check(SoftAp, "stop", disturbs=True, seconds=300)
async def a_cancelled_stop_can_be_finished(bench: Bench) -> None:
    """Whatever was cut off, the next stop takes it down."""
    soft_ap = bench.port(SoftAp)
    for after in bench.environment.cancel_after:
        spec = await _start(bench, soft_ap)
        await bench.cancelled("SoftAp.stop", soft_ap.stop(), after)
        await _stop(bench, soft_ap)
        await _seems_down(bench, soft_ap, spec, "after a stop that followed a cancelled one")


@check(SoftAp, "stop", disturbs=True)
async def closing_the_platform_takes_it_down(bench: Bench) -> None:
    """As seen from outside."""
    spec = await _start(bench, bench.port(SoftAp))
    await _is_up(bench, spec, "after start")
    await bench.close(bench.platform)
    await _is_down(bench, spec, "after close")


@check(SoftAp, "start", disturbs=True, seconds=300)
async def a_phone_joins_and_gets_an_address(bench: Bench) -> None:
    """At once when start has returned; it is among the stations as long as it is there."""
    soft_ap = bench.port(SoftAp)
    spec = await _start(bench, soft_ap)
    async with _phone(bench, spec) as (mac, address):

        async def is_seen() -> bool:
            found = await bench.call("SoftAp.stations", soft_ap.stations())
            return any(each.mac == mac and each.address in {None, address} for each in found)

        await bench.until(is_seen, f"the phone {mac.hex(':')} with {address} is not among the stations")

    async def is_gone() -> bool:
        return mac not in [each.mac for each in await bench.call("SoftAp.stations", soft_ap.stations())]

    await bench.until(
        is_gone, "a phone that left is still among the stations", seconds=bench.environment.shows_within
    )


@check(SoftAp, "start", disturbs=True, seconds=300)
async def an_open_one(bench: Bench) -> None:
    """A phone joins without a password."""
    soft_ap = bench.port(SoftAp)
    spec = attrs.evolve(bench.environment.access_point, password=None)
    await _start(bench, soft_ap, spec)
    async with _phone(bench, spec):
        pass


@check(SoftAp, "start", disturbs=True, seconds=300)
async def a_wrong_password_does_not_open_it(bench: Bench) -> None:
    """The access point is protected as it was asked for."""
    soft_ap = bench.port(SoftAp)
    spec = await _start(bench, soft_ap)
    wrong = Credentials(ssid=spec.ssid, password=Secret("not-this-password"))
    try:
        async with bench.environment.phone(wrong):
            pass
    except JoinError:
        return
    raise Broken("a phone with a wrong password was let in")
