"""Tiny stand-ins for the ports, the cloud and its connection, for tests of the session alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from qiot.cloud.binder import Binder, Journal
from qiot.device_info import AuthMode, DeviceInfo
from qiot.errors import HalError, JoinError, NotSupportedError
from qiot.hal.contract import (
    BtCombo,
    Capabilities,
    Combination,
    ListenContext,
    Listener,
    Platform,
    PortT,
    Role,
    Slot,
    SmartConfig,
    SoftAp,
    SoftApSpec,
    Station,
    Storage,
    Wifi,
    WifiStatus,
)
from qiot.model import Credentials, Failure, Grant, IpConfig, Message, Network, Offer, Peer, Secret, Step
from qiot.protocols.base import Heard, News

IDENTITY = DeviceInfo(
    auth_mode=AuthMode.KEY,
    product_id="L4WG9V9M2M",
    device_name="TEST2",
    product_secret=Secret("XoezQjzzMedF4lAr2CqCkVYK"),
    device_secret=Secret("MLvMHde65nKPk0Lx+ZThaA=="),
)
PHONE = Peer("smart_config", "aa:bb:cc:dd:ee:ff")
OTHER = Peer("smart_config", "11:22:33:44:55:66")
HOME = Credentials(b"home", Secret("home-password"))
TOKEN = Grant("tencent", Secret("a" * 32))


class FakeListener(Listener):
    """Hears what a test puts in, keeps what it was told."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Heard | Exception] = asyncio.Queue()
        self.told: list[News] = []
        self.listening = False
        self.context: ListenContext | None = None

    async def start(self, context: ListenContext) -> None:
        self.listening = True
        self.context = context

    async def read(self) -> Sequence[Heard]:
        item = await self.heard.get()
        if isinstance(item, Exception):
            raise item
        return [item]

    async def tell(self, news: News) -> None:
        self.told.append(news)

    async def stop(self) -> None:
        self.listening = False


class FakeWifi(Wifi):
    """Joins, or fails as scripted; keeps what it was asked."""

    def __init__(self) -> None:
        self.failures: list[JoinError] = []
        self.joined: list[Credentials] = []
        self.kept: bytes | None = None
        self.current: bytes | None = None
        self.joining = asyncio.Event()
        self.may_join = asyncio.Event()
        self.may_join.set()
        self.settled: list[bool] = []
        self.around: list[Network] = []
        self.scans = 0
        self.scan_errors: list[HalError] = []
        self.may_scan = asyncio.Event()
        self.may_scan.set()
        self.countries: list[str] = []
        self.country_errors: list[HalError] = []
        self.forget_errors: list[HalError] = []
        self.verbs: list[str] = []

    async def set_country(self, code: str) -> None:
        if self.country_errors:
            raise self.country_errors.pop(0)
        self.countries.append(code)
        self.verbs.append(f"country {code}")

    async def scan(self) -> Sequence[Network]:
        self.scans += 1
        self.verbs.append("scan")
        await self.may_scan.wait()
        if self.scan_errors:
            raise self.scan_errors.pop(0)
        return self.around

    async def forget(self) -> None:
        if self.forget_errors:
            raise self.forget_errors.pop(0)
        self.kept = self.current = None

    async def join(self, credentials: Credentials, timeout: float) -> IpConfig:
        self.joined.append(credentials)
        self.verbs.append("join")
        self.joining.set()
        await self.may_join.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.current = credentials.ssid
        return IpConfig("192.168.1.23")

    async def rejoin(self, timeout: float) -> IpConfig:
        if self.kept is None:
            raise JoinError("nothing stored")
        self.current = self.kept
        return IpConfig("192.168.1.23")

    async def settle(self, *, keep: bool) -> None:
        self.settled.append(keep)
        if keep:
            self.kept = self.current
        self.current = self.kept

    async def status(self) -> WifiStatus:
        return WifiStatus(connected=self.current is not None, ssid=self.current, saved=self.kept)


class FakeSoftAp(SoftAp):
    """Up or down."""

    def __init__(self) -> None:
        self.spec: SoftApSpec | None = None
        self.starts = 0

    async def start(self, spec: SoftApSpec) -> None:
        self.spec = spec
        self.starts += 1

    async def stop(self) -> None:
        self.spec = None

    async def stations(self) -> Sequence[Station]:
        return []


class FakeStorage(Storage):
    """Slots in memory."""

    def __init__(self) -> None:
        self.slots: dict[Slot, bytes] = {}

    async def load(self, slot: Slot) -> bytes | None:
        return self.slots.get(slot)

    async def save(self, slot: Slot, data: bytes) -> None:
        self.slots[slot] = data

    async def erase(self, slot: Slot) -> None:
        self.slots.pop(slot, None)


class FakePlatform(Platform):
    """A sniffer and a Bluetooth radio as listeners, a station and an access point."""

    def __init__(self, *, ap_and_station: bool = False, chip: dict[str, Step] | None = None) -> None:
        self.wifi = FakeWifi()
        self.soft_ap = FakeSoftAp()
        self.air = FakeListener()
        self.ble = FakeListener()
        self.storage = FakeStorage()
        roles = [{Role.STATION}, {Role.ACCESS_POINT}, {Role.SNIFF, Role.BLE}]
        if ap_and_station:
            roles.append({Role.STATION, Role.ACCESS_POINT})
        self._capabilities = Capabilities(
            tuple(Combination(frozenset(each)) for each in roles), chip=chip or {}
        )

    async def capabilities(self) -> Capabilities:
        return self._capabilities

    def port(self, kind: type[PortT]) -> PortT:
        ports = {
            Wifi: self.wifi,
            SoftAp: self.soft_ap,
            SmartConfig: self.air,
            BtCombo: self.ble,
            Storage: self.storage,
        }
        if kind not in ports:
            raise NotSupportedError(f"no {kind.__name__} here")
        return ports[kind]

    async def close(self) -> None:
        return


class FakeLink:
    """A connection that a test can lose."""

    def __init__(self) -> None:
        self.connected = True
        self.gone: asyncio.Future[Failure | None] = asyncio.get_running_loop().create_future()

    async def subscribe(self, topic: str, handler: Callable[[Message], None], qos: int = 0) -> None:
        return

    async def publish(self, topic: str, payload: bytes, qos: int = 0) -> int:
        return 1

    async def wait_lost(self) -> Failure | None:
        return await asyncio.shield(self.gone)

    def lose(self, failure: Failure | None) -> None:
        self.connected = False
        if not self.gone.done():
            self.gone.set_result(failure)

    async def close(self) -> None:
        self.lose(None)


class FakeBinder(Binder):
    """Keeps what it was asked; refuses as scripted."""

    cloud = "tencent"

    def __init__(self, grant: str = "phone") -> None:
        self.grant = grant  # type: ignore[assignment]
        self.has_secret = True
        self.links: list[FakeLink] = []
        self.places: list[str | None] = []
        self.registered_at: list[str | None] = []
        self.resumed_links: list[object] = []
        self.bound: list[Grant] = []
        self.unbound: list[bool] = []
        self.unbind_errors: list[Exception] = []
        self.register_errors: list[Exception] = []
        self.connect_errors: list[Exception] = []
        self.bind_errors: list[Exception] = []

    @property
    def registered(self) -> bool:
        return self.has_secret

    async def register(self, grant: Grant | None = None) -> DeviceInfo:
        self.registered_at.append(None if grant is None else grant.endpoint)
        if self.register_errors:
            raise self.register_errors.pop(0)
        self.has_secret = True
        return IDENTITY

    async def connect(self, grant: Grant | None = None) -> FakeLink:
        self.places.append(None if grant is None else grant.endpoint)
        if self.connect_errors:
            raise self.connect_errors.pop(0)
        self.links.append(FakeLink())
        return self.links[-1]

    async def bind(self, link: object, grant: Grant, journal: Journal) -> dict[str, str]:
        self.bound.append(grant)
        if self.bind_errors:
            raise self.bind_errors.pop(0)
        return {"msg_id": "1813440145827258368"}

    async def resumed(self, link: object) -> None:
        self.resumed_links.append(link)

    async def unbind(self, link: object, *, clean: bool) -> None:
        self.unbound.append(clean)
        if self.unbind_errors:
            raise self.unbind_errors.pop(0)

    async def mint(self) -> Grant:
        return Grant("tencent", Secret("minted on the device"))


def offer(peer: Peer = PHONE, *, token: bool = True, ssid: bytes = b"home") -> Offer:
    """What a phone offers."""
    return Offer(peer, Credentials(ssid, Secret("home-password")), TOKEN if token else None)
