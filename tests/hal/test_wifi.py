"""The mock's station: joins are tries, and whatever happens the earlier network is back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qiot.errors import HalError, JoinError, StorageError
from qiot.hal.contract import Slot, SoftAp, SoftApSpec, Storage, Wifi, WifiStatus
from qiot.hal.mock import MockPlatform
from qiot.hal.registry import PlatformSpec, parse_spec
from qiot.model import Credentials, IpConfig, Reason, Secret, Security
from qiot.sim import Fault, HomeNetwork, World
from tests.hal.helpers import PASSWORD, WRONG, ManualClock, credentials, names, until

TIMEOUT = 10.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def world(clock: ManualClock) -> World:
    return World(
        [
            HomeNetwork(b"Home", Secret(PASSWORD), channel=11, signal=-40),
            HomeNetwork(b"Other", Secret(PASSWORD), channel=1, signal=-70),
        ],
        clock=clock,
    )


@pytest.fixture
async def platform(world: World) -> AsyncIterator[MockPlatform]:
    made = MockPlatform(parse_spec("mock,join_delay=8"), world)
    yield made
    await made.close()


async def joined(
    clock: ManualClock, wifi: Wifi, wanted: Credentials, *, timeout: float = TIMEOUT
) -> IpConfig | BaseException:
    """Let a join run to its end; gives what came of it."""
    joining = asyncio.ensure_future(wifi.join(wanted, timeout))
    await until(lambda: joining.done() or clock.sleepers)
    if not joining.done():
        await clock.advance(100)
    (result,) = await asyncio.wait_for(asyncio.gather(joining, return_exceptions=True), 10)
    return result


async def test_a_join_gives_the_address_of_the_networks_dhcp(
    platform: MockPlatform, clock: ManualClock
) -> None:
    wifi = platform.port(Wifi)
    assert await wifi.status() == WifiStatus(connected=False)
    ip = IpConfig("192.168.1.100", 24, "192.168.1.1")
    assert await joined(clock, wifi, credentials()) == ip
    assert await wifi.status() == WifiStatus(connected=True, ssid=b"Home", ip=ip)
    assert await joined(clock, wifi, credentials("Other")) == ip
    assert await joined(clock, wifi, credentials()) == ip


async def test_a_fleet_gets_different_addresses(world: World) -> None:
    wifis = [MockPlatform(parse_spec("mock"), world).port(Wifi) for _ in range(5)]
    got = [(await wifi.join(credentials(), TIMEOUT)).address for wifi in wifis]
    assert got == [f"192.168.1.{number}" for number in range(100, 105)]


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (credentials(password=WRONG), Reason.WRONG_PASSWORD),
        (credentials(password=""), Reason.WRONG_PASSWORD),
        (credentials("home"), Reason.NO_SUCH_AP),
    ],
)
async def test_a_failed_join_is_typed_and_the_earlier_network_is_back(
    platform: MockPlatform, clock: ManualClock, wanted: Credentials, reason: Reason
) -> None:
    wifi = platform.port(Wifi)
    for before in (None, b"Other"):
        if before:
            await joined(clock, wifi, credentials("Other"))
        status = await wifi.status()
        error = await joined(clock, wifi, wanted)
        assert isinstance(error, JoinError)
        assert error.reason is reason
        assert WRONG not in str(error)
        assert await wifi.status() == status
        assert status.ssid == before


async def test_the_bssid_says_where_to_look_first(world: World) -> None:
    wifi = MockPlatform(parse_spec("mock"), world).port(Wifi)
    weaker = HomeNetwork(b"Home", Secret(PASSWORD), channel=3, signal=-80)
    world.wifi.add(weaker)
    for bssid, joined_there in ((weaker.bssid, True), (b"\x00" * 6, False)):
        wanted = Credentials(ssid=b"Home", password=Secret(PASSWORD), bssid=bssid)
        await wifi.join(wanted, TIMEOUT)
        assert bool(weaker.stations) is joined_there
        await wifi.settle(keep=False)


@pytest.mark.parametrize("after", [0, 1, 3, 5, 7.9])
async def test_a_cancelled_join_leaves_the_earlier_network_in_every_phase(
    platform: MockPlatform, clock: ManualClock, after: float
) -> None:
    wifi = platform.port(Wifi)
    await joined(clock, wifi, credentials("Other"))
    before = await wifi.status()
    joining = asyncio.ensure_future(wifi.join(credentials(), TIMEOUT))
    await clock.someone_sleeps()
    await clock.advance(after)
    assert not (await wifi.status()).connected
    joining.cancel()
    await asyncio.gather(joining, return_exceptions=True)
    assert joining.cancelled()
    assert await wifi.status() == before
    assert clock.sleepers == 0
    assert isinstance(await joined(clock, wifi, credentials()), IpConfig)


async def test_a_join_ends_at_its_time_out(platform: MockPlatform, clock: ManualClock) -> None:
    wifi = platform.port(Wifi)
    start = clock.now()
    joining = asyncio.ensure_future(wifi.join(credentials(), 7.0))
    await clock.someone_sleeps()
    await clock.advance(6.99)
    assert not joining.done()
    await clock.advance(0.01)
    with pytest.raises(JoinError) as caught:
        await asyncio.wait_for(joining, 10)
    assert caught.value.reason is Reason.JOIN_TIMEOUT
    assert clock.now() == pytest.approx(start + 7.0)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("wrong_password", Reason.WRONG_PASSWORD),
        ("no_such_ap", Reason.NO_SUCH_AP),
        ("association_refused", Reason.ASSOCIATION_REFUSED),
        ("handshake_timeout", Reason.HANDSHAKE_TIMEOUT),
        ("dhcp", Reason.DHCP),
        ("join_timeout", Reason.JOIN_TIMEOUT),
        ("unsupported_security", Reason.UNSUPPORTED_SECURITY),
        ("other", Reason.JOIN_OTHER),
    ],
)
async def test_failures_by_name_and_number(
    world: World, clock: ManualClock, name: str, reason: Reason
) -> None:
    twice = MockPlatform(parse_spec(f"mock,join_failure={name}*2"), world).port(Wifi)
    always = MockPlatform(parse_spec(f"mock,join_failure={name}"), world).port(Wifi)
    for wifi in (twice, always, twice, always, always):
        error = await joined(clock, wifi, credentials())
        assert isinstance(error, JoinError)
        assert error.reason is reason
    assert isinstance(await joined(clock, twice, credentials()), IpConfig)


async def test_failures_of_a_network_hit_every_station_there(world: World, clock: ManualClock) -> None:
    world.wifi.access_points[0].faults.add(Fault(Reason.DHCP, 1))
    world.wifi.access_points[0].faults.add(Fault(Reason.ASSOCIATION_REFUSED, 2))
    reasons = []
    for _ in range(3):
        wifi = MockPlatform(parse_spec("mock"), world).port(Wifi)
        error = await joined(clock, wifi, credentials())
        assert isinstance(error, JoinError)
        reasons.append(error.reason)
        assert isinstance(await joined(clock, wifi, credentials("Other")), IpConfig)
    assert reasons == [Reason.DHCP, Reason.ASSOCIATION_REFUSED, Reason.ASSOCIATION_REFUSED]


@pytest.mark.parametrize("security", [Security.WEP, Security.ENTERPRISE, Security.UNKNOWN])
async def test_security_that_a_device_does_not_have(security: Security) -> None:
    world = World([HomeNetwork(b"Home", Secret(PASSWORD), security=security)])
    with pytest.raises(JoinError) as caught:
        await MockPlatform(parse_spec("mock"), world).port(Wifi).join(credentials(), TIMEOUT)
    assert caught.value.reason is Reason.UNSUPPORTED_SECURITY


async def test_hidden_and_foreign_networks_and_the_psk_itself() -> None:
    name = "家".encode("gbk")
    # IEEE 802.11 annex J.4.2: passphrase "ThisIsAPassword", SSID "ThisIsASSID"
    psk = "0dc0d6eb90555ed6419756b9a15ec3e3209b63df707dd508d14581f8982721af"
    world = World(
        [
            HomeNetwork(b"Hidden", Secret(PASSWORD), hidden=True),
            HomeNetwork(name, None),
            HomeNetwork(b"ThisIsASSID", Secret("ThisIsAPassword")),
            HomeNetwork(b"ThisIsASSID3", Secret("ThisIsAPassword"), security=Security.WPA3),
        ]
    )
    wifi = MockPlatform(parse_spec("mock"), world).port(Wifi)
    await wifi.join(credentials("Hidden"), TIMEOUT)
    await wifi.join(Credentials(ssid=name, password=Secret("")), TIMEOUT)
    assert (await wifi.status()).ssid == name
    await wifi.join(credentials("ThisIsASSID", psk), TIMEOUT)
    for refused in (credentials("ThisIsASSID3", psk), credentials("ThisIsASSID", psk[:-1] + "0")):
        with pytest.raises(JoinError):
            await wifi.join(refused, TIMEOUT)
    with pytest.raises(JoinError):
        await wifi.join(Credentials(ssid=name, password=Secret("not open")), TIMEOUT)
    assert [network.ssid for network in await wifi.scan()] == [b"", name, b"ThisIsASSID", b"ThisIsASSID3"]


async def test_a_world_without_networks_joins_whatever_it_is_given() -> None:
    wifi = MockPlatform(parse_spec("mock")).port(Wifi)
    for name in ("Anything", "Else"):
        ip = await wifi.join(credentials(name, "whatever"), TIMEOUT)
        assert ip.address == "192.168.1.100"
        assert (await wifi.status()).ssid == name.encode()


async def test_the_declared_home_network_is_the_only_one() -> None:
    wifi = MockPlatform(parse_spec(f"mock,ssid=Home,password={PASSWORD}")).port(Wifi)
    for wanted, reason in (
        (credentials("Elsewhere"), Reason.NO_SUCH_AP),
        (credentials(password=WRONG), Reason.WRONG_PASSWORD),
    ):
        with pytest.raises(JoinError) as caught:
            await wifi.join(wanted, TIMEOUT)
        assert caught.value.reason is reason
    await wifi.join(credentials(), TIMEOUT)


async def test_the_strongest_of_several_and_a_named_one() -> None:
    near = HomeNetwork(b"Home", Secret(PASSWORD), signal=-30, channel=1, bssid=b"near!!")
    far = HomeNetwork(b"Home", Secret(PASSWORD), signal=-80, channel=6, bssid=b"far!!!")
    world = World([far, near])
    wifi = MockPlatform(parse_spec("mock"), world).port(Wifi)
    await wifi.join(credentials(), TIMEOUT)
    assert (len(near.stations), len(far.stations)) == (1, 0)
    await wifi.join(Credentials(ssid=b"Home", password=Secret(PASSWORD), bssid=b"far!!!"), TIMEOUT)
    assert (len(near.stations), len(far.stations)) == (0, 1)
    assert [network.signal for network in await wifi.scan()] == [-30, -80]
    world.wifi.remove(far)
    assert not (await wifi.status()).connected
    with pytest.raises(JoinError):
        await wifi.join(credentials(password=WRONG), TIMEOUT)
    assert not (await wifi.status()).connected  # where it was is gone


async def test_an_empty_pool_is_a_dhcp_failure() -> None:
    world = World([HomeNetwork(b"Home", Secret(PASSWORD), first_lease=253)])
    wifis = [MockPlatform(parse_spec("mock"), world).port(Wifi) for _ in range(3)]
    for wifi in (*wifis[:2], *wifis[:2]):
        await wifi.join(credentials(), TIMEOUT)
    with pytest.raises(JoinError) as caught:
        await wifis[2].join(credentials(), TIMEOUT)
    assert caught.value.reason is Reason.DHCP


# --- settle, rejoin -------------------------------------------------------------------------------


def on_disk(folder: Path, world: World) -> MockPlatform:
    return MockPlatform(PlatformSpec("mock", options={"state": str(folder)}), world)


async def test_what_is_kept_survives_a_reboot_and_what_is_not_does_not(tmp_path: Path, world: World) -> None:
    first = on_disk(tmp_path, world)
    wifi = first.port(Wifi)
    with pytest.raises(JoinError) as caught:
        await wifi.rejoin(TIMEOUT)
    assert caught.value.reason is Reason.NO_SAVED_NETWORK
    await wifi.settle(keep=True)
    await wifi.settle(keep=False)
    assert names(tmp_path) == []
    await wifi.join(credentials(), TIMEOUT)
    assert (await wifi.status()).saved is None
    await wifi.settle(keep=True)
    assert (await wifi.status()).saved == b"Home"
    assert (tmp_path / "network").stat().st_mode & 0o777 == 0o600
    await wifi.join(credentials("Other"), TIMEOUT)
    await first.close()

    second = on_disk(tmp_path, world)
    wifi = second.port(Wifi)
    assert await wifi.status() == WifiStatus(connected=False, saved=b"Home")
    ip = await wifi.rejoin(TIMEOUT)
    assert await wifi.rejoin(TIMEOUT) == ip
    assert await wifi.status() == WifiStatus(connected=True, ssid=b"Home", ip=ip, saved=b"Home")
    await wifi.settle(keep=False)  # a rejoin is no try
    assert (await wifi.status()).connected
    await second.close()


async def test_undoing_a_try_brings_the_earlier_network_back(world: World) -> None:
    wifi = MockPlatform(parse_spec("mock"), world).port(Wifi)
    await wifi.join(credentials("Other"), TIMEOUT)
    await wifi.settle(keep=True)
    before = await wifi.status()
    await wifi.join(credentials(), TIMEOUT)
    await wifi.settle(keep=False)
    assert await wifi.status() == before
    world.wifi.add(HomeNetwork(b"Third", Secret(PASSWORD)))
    await wifi.join(credentials(), TIMEOUT)
    await wifi.join(credentials("Third"), TIMEOUT)
    await wifi.settle(keep=False)
    assert await wifi.status() == before
    await wifi.settle(keep=False)
    assert await wifi.status() == before


async def test_undoing_the_very_first_try_leaves_the_network(world: World) -> None:
    wifi = MockPlatform(parse_spec("mock"), world).port(Wifi)
    await wifi.join(credentials(), TIMEOUT)
    await wifi.settle(keep=False)
    assert await wifi.status() == WifiStatus(connected=False)
    assert world.wifi.access_points[0].stations == {}


@pytest.mark.parametrize("password", [b"", b"p\xc3\xa4ssword", b'\xff\x00"\\octets', b"0" * 64])
async def test_the_saved_network_is_exact_to_the_octet(password: bytes) -> None:
    platform = MockPlatform(parse_spec("mock"))
    wifi, storage = platform.port(Wifi), platform.port(Storage)
    await wifi.join(Credentials(ssid=b"\xff\x00 ", password=Secret(password)), TIMEOUT)
    await wifi.settle(keep=True)
    saved = json.loads(await storage.load(Slot.NETWORK) or b"")
    assert saved["ssid"] == "ff0020"
    assert saved["password"].encode("utf-8", "surrogateescape") == password
    await wifi.join(credentials("Else"), TIMEOUT)
    await wifi.rejoin(TIMEOUT)
    assert (await wifi.status()).ssid == b"\xff\x00 "


async def test_a_rejoin_uses_the_saved_password(world: World) -> None:
    platform = MockPlatform(parse_spec("mock"), world)
    wifi = platform.port(Wifi)
    await wifi.join(credentials(), TIMEOUT)
    await wifi.settle(keep=True)
    await wifi.join(credentials("Other"), TIMEOUT)
    world.wifi.access_points[0].password = Secret(WRONG)
    with pytest.raises(JoinError) as caught:
        await wifi.rejoin(TIMEOUT)
    assert caught.value.reason is Reason.WRONG_PASSWORD
    assert (await wifi.status()).ssid == b"Other"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"ssid": "zz", "password": "hunter22"}',
        b'{"ssid": 1, "password": "hunter22"}',
        b'{"ssid": "00", "password": 1}',
        b"[" * 100_000,
        b"\xff",
    ],
)
async def test_a_damaged_saved_network_is_an_error_without_the_password(content: bytes) -> None:
    platform = MockPlatform(parse_spec("mock"))
    wifi = platform.port(Wifi)
    await platform.port(Storage).save(Slot.NETWORK, content)
    with pytest.raises(StorageError) as caught:
        await wifi.rejoin(TIMEOUT)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "hunter22" not in str(caught.value)
    assert (await wifi.status()).saved is None


async def test_a_save_that_fails_leaves_the_try_open(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = on_disk(tmp_path, world)
    wifi, storage = platform.port(Wifi), platform.port(Storage)
    await wifi.join(credentials(), TIMEOUT)

    async def full(*_: object) -> None:
        raise StorageError("full")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "save", full)
        with pytest.raises(StorageError):
            await wifi.settle(keep=True)
    await wifi.settle(keep=True)
    assert (await wifi.status()).saved == b"Home"


# --- one radio ------------------------------------------------------------------------------------


async def test_one_radio_refuses_to_join_under_its_own_access_point(world: World) -> None:
    platform = MockPlatform(parse_spec("mock"), world)
    wifi, soft_ap = platform.port(Wifi), platform.port(SoftAp)
    await soft_ap.start(SoftApSpec(ssid=b"device"))
    with pytest.raises(HalError) as caught:
        await wifi.join(credentials(), TIMEOUT)
    assert not isinstance(caught.value, JoinError)  # a mistake of the caller, no reason to try again
    assert len(await platform.port(SoftAp).stations()) == 0
    await soft_ap.stop()
    await wifi.join(credentials(), TIMEOUT)


async def test_with_both_roles_the_join_goes_on_and_the_channel_follows(world: World) -> None:
    platform = MockPlatform(parse_spec("mock,ap_sta=yes"), world)
    wifi, soft_ap = platform.port(Wifi), platform.port(SoftAp)
    await soft_ap.start(SoftApSpec(ssid=b"device", channel=6))
    (ours,) = (each for each in world.wifi.access_points if each.ssid == b"device")
    await wifi.join(credentials(), TIMEOUT)
    assert ours.channel == 11
    assert b"device" not in [network.ssid for network in await wifi.scan()]
    await wifi.settle(keep=True)
    await wifi.join(credentials("Other"), TIMEOUT)
    assert ours.channel == 1
    await wifi.settle(keep=False)
    assert ours.channel == 11
    await soft_ap.stop()
    await soft_ap.start(SoftApSpec(ssid=b"device", channel=6))
    assert {each.channel for each in world.wifi.access_points if each.ssid == b"device"} == {11}
    assert (await wifi.status()).connected


async def test_one_radio_under_its_access_point_gives_the_scan_before(world: World) -> None:
    platform = MockPlatform(parse_spec("mock"), world)
    wifi, soft_ap = platform.port(Wifi), platform.port(SoftAp)
    before = await wifi.scan()
    assert [network.ssid for network in before] == [b"Home", b"Other"]
    await soft_ap.start(SoftApSpec(ssid=b"device"))
    world.wifi.add(HomeNetwork(b"New", signal=-10))
    assert await wifi.scan() == before
    await soft_ap.stop()
    assert [network.ssid for network in await wifi.scan()] == [b"New", b"Home", b"Other"]


async def test_one_radio_is_back_in_its_network_after_the_access_point(world: World) -> None:
    platform = MockPlatform(parse_spec("mock"), world)
    wifi, soft_ap = platform.port(Wifi), platform.port(SoftAp)
    await wifi.join(credentials("Other"), TIMEOUT)
    await wifi.settle(keep=True)
    before = await wifi.status()
    await wifi.join(credentials(), TIMEOUT)
    await soft_ap.start(SoftApSpec(ssid=b"device"))
    assert not (await wifi.status()).connected
    await wifi.settle(keep=False)
    assert not (await wifi.status()).connected
    await soft_ap.stop()
    assert await wifi.status() == before


async def test_one_verb_at_a_time(platform: MockPlatform, clock: ManualClock) -> None:
    wifi, soft_ap = platform.port(Wifi), platform.port(SoftAp)
    joining = asyncio.ensure_future(wifi.join(credentials(), TIMEOUT))
    await clock.someone_sleeps()
    with pytest.raises(HalError):
        await wifi.join(credentials("Other"), TIMEOUT)
    with pytest.raises(HalError):
        await soft_ap.start(SoftApSpec(ssid=b"device"))
    await clock.advance(10)
    await asyncio.wait_for(joining, 10)
    assert (await wifi.status()).ssid == b"Home"


@pytest.mark.parametrize("ssid", [None, b""])
async def test_a_join_needs_a_name(platform: MockPlatform, ssid: bytes | None) -> None:
    with pytest.raises(HalError):
        await platform.port(Wifi).join(Credentials(ssid=ssid, password=Secret("")), TIMEOUT)


async def test_in_some_countries_the_band_ends_with_channel_11() -> None:
    world = World([HomeNetwork(b"Far", Secret(PASSWORD), channel=13)])
    platform = MockPlatform(parse_spec("mock"), world)
    wifi = platform.port(Wifi)
    assert [each.channel for each in await wifi.scan()] == [13]
    await wifi.set_country("us")
    assert not await wifi.scan()
    with pytest.raises(JoinError) as refused:
        await wifi.join(credentials("Far"), TIMEOUT)
    assert refused.value.reason is Reason.NO_SUCH_AP
    await wifi.set_country("DE")
    assert (await wifi.join(credentials("Far"), TIMEOUT)).address
    await platform.close()


async def test_what_is_no_country_is_refused() -> None:
    platform = MockPlatform(parse_spec("mock"), World())
    with pytest.raises(HalError, match="no country") as refused:
        await platform.port(Wifi).set_country("USA")
    assert refused.value.reason is Reason.CONFIGURATION
    await platform.close()
