"""The contract between qiot's core and a platform: media, and how this platform runs a method.

For whoever writes an adapter:

- Few verbs, no policy. Retries, turns, time-outs of a run and the choice of the next step belong to the session.
- `start` works, or raises and leaves nothing behind. `stop` is idempotent and safe after a failed or cancelled
  `start`. A cancelled verb undoes what it began.
- Streams are read in batches and are bounded; what did not fit is counted, never silently lost.
- Blocking vendor code goes to a thread inside the adapter (`asyncio.to_thread`).
- Every failure is a `HalError` with a typed reason; `NotSupportedError` says what to install or choose.
- New verbs arrive here with a default, so that an older adapter goes on working.

Times are seconds, monotonic where they are points in time.
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

import attrs

from qiot.model import CloudLink, Credentials, IpConfig, Network, Peer, Secret, Step
from qiot.protocols.base import Connected, Heard, Lost, Mtu, News, Subscribed

__all__ = [
    "AirKiss",
    "BtCombo",
    "Camera",
    "Capabilities",
    "ChipSoftAp",
    "Combination",
    "Datagram",
    "Endpoint",
    "Frame",
    "FrameFilter",
    "Gatt",
    "GattEvent",
    "GattProfile",
    "HttpRequest",
    "HttpResponse",
    "Injector",
    "ListenContext",
    "Listener",
    "MqttParameters",
    "Platform",
    "Role",
    "SimpleConfig",
    "Slot",
    "SmartConfig",
    "Sniffer",
    "SoftAp",
    "SoftApSpec",
    "Station",
    "Storage",
    "Tls",
    "Transport",
    "Udp",
    "Wifi",
    "WifiStatus",
    "Written",
]


# --- what a platform can do ------------------------------------------------------------------------------------


class Role(enum.StrEnum):
    """What a radio or device can be."""

    STATION = "station"
    ACCESS_POINT = "access point"
    SNIFF = "sniff"
    INJECT = "inject"
    BLE = "ble"
    CAMERA = "camera"


@attrs.frozen
class Combination:
    """Roles that can be held at the same time.

    Attributes:
        roles: The roles.
        same_channel: True where all of them have to share one channel.
    """

    roles: frozenset[Role]
    same_channel: bool = False


@attrs.frozen
class Capabilities:
    """What was found by probing, not guessed.

    Attributes:
        combinations: Every set of roles that can be held together; a single role is a set of one.
        chip: Methods that a chip or modem runs by itself, each with the last step it does.
    """

    combinations: tuple[Combination, ...] = ()
    chip: Mapping[str, Step] = attrs.field(factory=dict, hash=False)

    @property
    def roles(self) -> frozenset[Role]:
        """Every role the platform has at all."""
        return frozenset(role for each in self.combinations for role in each.roles)

    def together(self, *roles: Role) -> Combination | None:
        """The combination that holds all of `roles` at once, one without a shared channel first."""
        wanted = frozenset(roles)
        fitting = [each for each in self.combinations if wanted <= each.roles]
        return min(fitting, key=lambda each: (each.same_channel, len(each.roles)), default=None)


# --- Wi-Fi ---------------------------------------------------------------------------------------------------


@attrs.frozen
class WifiStatus:
    """Where the station is.

    Attributes:
        connected: True where it is joined and has an address.
        ssid: The network it is in, else None.
        ip: Its address, else None.
        saved: The SSID that would be joined again after a reboot, else None.
    """

    connected: bool
    ssid: bytes | None = None
    ip: IpConfig | None = None
    saved: bytes | None = None


class Wifi(abc.ABC):
    """The station."""

    @abc.abstractmethod
    async def scan(self) -> Sequence[Network]:
        """The access points around; where the radio cannot scan now, the last scan before."""

    @abc.abstractmethod
    async def join(self, credentials: Credentials, timeout: float) -> IpConfig:
        """Join and get an address, as a try: the network that was there before stays stored.

        Args:
            credentials: The network; `ssid` is never None here.
            timeout: Seconds for everything together.

        Raises:
            JoinError: With its reason; the earlier network is back, as after a cancellation.
        """

    @abc.abstractmethod
    async def rejoin(self, timeout: float) -> IpConfig:
        """Be in the stored network again, as after a reboot; nothing happens where the station is there.

        Raises:
            JoinError: NO_SAVED_NETWORK where none is stored, else the reason.
        """

    @abc.abstractmethod
    async def settle(self, *, keep: bool) -> None:
        """End the try: make the last join survive a reboot, or undo it and bring the earlier network back.

        Without a try before it, nothing happens.
        """

    @abc.abstractmethod
    async def status(self) -> WifiStatus:
        """Where the station is now."""


@attrs.frozen
class SoftApSpec:
    """The access point to start.

    Attributes:
        ssid: 1 to 32 octets.
        password: 8 to 63 characters, or None for an open network.
        channel: IEEE channel number; with a station on another channel the platform may follow the station.
        address: The access point's own IPv4 address; the phone takes it for granted.
        prefix: Prefix length of the network that DHCP serves.
    """

    ssid: bytes
    password: Secret | None = None
    channel: int = 6
    address: str = "192.168.4.1"
    prefix: int = 24


@attrs.frozen
class Station:
    """A station that is associated with our access point."""

    mac: bytes
    address: str | None = None


class SoftAp(abc.ABC):
    """The access point, with DHCP."""

    @abc.abstractmethod
    async def start(self, spec: SoftApSpec) -> None:
        """Return when a phone can join and gets an address.

        Raises:
            HalError: It could not be started; nothing is left of it.
        """

    @abc.abstractmethod
    async def stop(self) -> None:
        """Take it down. Idempotent."""

    @abc.abstractmethod
    async def stations(self) -> Sequence[Station]:
        """Who is associated now."""


# --- UDP -----------------------------------------------------------------------------------------------------


@attrs.frozen
class Datagram:
    """One datagram, with the address from its header.

    Attributes:
        data: The payload, whole.
        host: Sender's address.
        port: Sender's port.
    """

    data: bytes
    host: str
    port: int

    @property
    def address(self) -> str:
        """host:port, as `Peer.address` has it."""
        return f"{self.host}:{self.port}"


class Endpoint(abc.ABC):
    """An open UDP socket."""

    @property
    @abc.abstractmethod
    def local(self) -> tuple[str, int]:
        """Where it is bound; the port is the real one where 0 was asked for."""

    @property
    @abc.abstractmethod
    def dropped(self) -> int:
        """Datagrams that came in faster than they were read."""

    @abc.abstractmethod
    async def receive(self) -> Datagram:
        """The next datagram.

        Raises:
            MediumError: The socket is gone.
        """

    @abc.abstractmethod
    async def send(self, data: bytes, host: str, port: int) -> None:
        """Send one datagram.

        Raises:
            MediumError: The system refused it (code: errno). The endpoint stays open.
        """

    @abc.abstractmethod
    async def close(self) -> None:
        """Close. Idempotent."""


class Udp(abc.ABC):
    """UDP sockets."""

    @abc.abstractmethod
    async def open(
        self,
        host: str,
        port: int,
        *,
        interface: str | None = None,
        broadcast: bool = False,
        groups: Sequence[str] = (),
    ) -> Endpoint:
        """Bind a socket.

        Args:
            host: Local address; "0.0.0.0" for all.
            port: Local port, 0 for any.
            interface: Only this interface.
            broadcast: Allow sending to broadcast addresses.
            groups: Multicast groups to join.

        Raises:
            MediumError: PORT_BUSY, NO_PERMISSION or MEDIUM, with the errno. A busy port is never silent.
        """


# --- the air -------------------------------------------------------------------------------------------------


@attrs.frozen
class Frame:
    """One 802.11 frame as it was in the air.

    Attributes:
        data: From the frame control field to the end of the body, without radiotap and FCS.
        t: When, monotonic seconds.
        channel: IEEE channel number.
        signal: dBm, or None where unknown.
    """

    data: bytes
    t: float
    channel: int
    signal: int | None = None


@attrs.frozen
class FrameFilter:
    """What the decoders can use; the platform drops the rest as early as it can.

    Attributes:
        kinds: "data", "probe request", "beacon".
        group_addressed: Only data frames to broadcast and multicast addresses.
    """

    kinds: frozenset[Literal["data", "probe request", "beacon"]]
    group_addressed: bool = True


class Sniffer(abc.ABC):
    """Monitor mode."""

    @abc.abstractmethod
    async def start(self, wanted: FrameFilter) -> None:
        """Begin to listen."""

    @abc.abstractmethod
    async def tune(self, channel: int) -> int:
        """Go to a channel; gives the channel read back from the radio, which may differ."""

    @abc.abstractmethod
    async def read(self) -> tuple[Sequence[Frame], int]:
        """The next frames, and how many were dropped before them."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """Give the radio back as it was. Idempotent."""


class Injector(abc.ABC):
    """Sending of raw frames on the tuned channel."""

    @abc.abstractmethod
    async def send(self, frame: bytes) -> None:
        """Send one 802.11 frame, without radiotap and FCS."""


# --- Bluetooth, camera ---------------------------------------------------------------------------------------


@attrs.frozen
class GattProfile:
    """One GATT service and how it is advertised.

    Attributes:
        service: UUID of the service.
        characteristics: UUID of each characteristic with its properties ("write", "notify", …).
        advertising: Advertisement octets, at most 31.
        scan_response: Scan response octets, at most 31.
    """

    service: str
    characteristics: Mapping[str, frozenset[str]] = attrs.field(hash=False)
    advertising: bytes = b""
    scan_response: bytes = b""


@attrs.frozen
class Written:
    """A central wrote a characteristic."""

    char: str
    data: bytes


GattEvent = Connected | Mtu | Subscribed | Written | Lost


class Gatt(abc.ABC):
    """The GATT server."""

    @abc.abstractmethod
    async def start(self, profiles: Sequence[GattProfile]) -> None:
        """Serve and advertise; a clash of services or an advertisement over 31 octets is refused."""

    @abc.abstractmethod
    async def read(self) -> Sequence[tuple[Peer, GattEvent]]:
        """What came, each with its central."""

    @abc.abstractmethod
    async def notify(self, char: str, data: bytes, to: Peer, *, confirm: bool = False) -> None:
        """Notify (or indicate) one central; waits for room."""

    @abc.abstractmethod
    async def disconnect(self, to: Peer) -> None:
        """End one central's connection."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """Stop advertising and serving. Idempotent."""


class Camera(abc.ABC):
    """Pictures for QR codes."""

    @abc.abstractmethod
    async def start(self) -> None:
        """Begin to take pictures."""

    @abc.abstractmethod
    async def read(self) -> bytes:
        """The newest picture, encoded (PNG or JPEG)."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """Give the camera back. Idempotent."""


# --- what survives a reboot ----------------------------------------------------------------------------------


class Slot(enum.StrEnum):
    """A named place in storage."""

    IDENTITY = "identity"
    ERRORS = "errors"
    NETWORK = "network"
    BOUND = "bound"


class Storage(abc.ABC):
    """Named slots; a save is whole or did not happen, and only the owner can read it (0600)."""

    @abc.abstractmethod
    async def load(self, slot: Slot) -> bytes | None:
        """What was saved, or None.

        Raises:
            StorageError: It is there and cannot be read.
        """

    @abc.abstractmethod
    async def save(self, slot: Slot, data: bytes) -> None:
        """Replace the slot's content.

        Raises:
            StorageError: Not saved; the old content is untouched.
        """

    @abc.abstractmethod
    async def erase(self, slot: Slot) -> None:
        """Forget the slot. Idempotent."""


# --- methods -------------------------------------------------------------------------------------------------


@attrs.frozen
class ListenContext:
    """What a listener may have to say about this device.

    Attributes:
        product_id: The cloud's product.
        device_name: The device's name in it.
        options: The method's own options, from the caller.
    """

    product_id: str
    device_name: str
    options: Mapping[str, str] = attrs.field(factory=dict, hash=False)


class Listener(abc.ABC):
    """A method at work: by software (a driver with a codec and media) or by a chip that does it itself."""

    @abc.abstractmethod
    async def start(self, context: ListenContext) -> None:
        """Begin to listen.

        Raises:
            HalError: Nothing is left of the start.
        """

    @abc.abstractmethod
    async def read(self) -> Sequence[Heard]:
        """Wait for and give what was heard: offers, questions, signs of life, refused input."""

    @abc.abstractmethod
    async def tell(self, news: News) -> None:
        """Report an event or answer a question, the way this method's wire does it; first copies go at once."""

    async def drain(self) -> None:
        """Return when every repeat that `tell` began has gone out. The session bounds the wait."""
        return

    @abc.abstractmethod
    async def stop(self) -> None:
        """Stop listening. Idempotent, safe after a failed start."""


class SmartConfig(Listener):
    """ESP-TOUCH on this platform."""


class AirKiss(Listener):
    """AirKiss on this platform."""


class SimpleConfig(Listener):
    """Realtek Simple Config on this platform."""


class BtCombo(Listener):
    """Tencent BT-Combo on this platform."""


class ChipSoftAp(Listener):
    """SoftAP by a chip that has its own access point and its own command server."""


# --- transport -----------------------------------------------------------------------------------------------


@attrs.frozen
class Tls:
    """How a TLS connection is checked and proven.

    Attributes:
        ca_file: PEM file with the CA to trust; None for the system's.
        cert_file: The device's certificate, PEM.
        key_file: Its private key, PEM.
        psk_identity: Identity of a pre-shared key; with it no certificate is used at all.
        psk: The pre-shared key.
    """

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    psk_identity: str | None = None
    psk: Secret | None = None


@attrs.frozen
class MqttParameters:
    """One MQTT 3.1.1 connection, clean session.

    Attributes:
        host: Name or address.
        port: TCP port.
        client_id: Client identifier.
        username: User name.
        password: Password, or None for none.
        tls: How to secure it, or None for plain TCP.
        keep_alive: Seconds.
        timeout: Seconds for TCP, TLS and CONNACK together.
    """

    host: str
    port: int
    client_id: str
    username: str | None = None
    password: Secret | None = None
    tls: Tls | None = None
    keep_alive: int = 240
    timeout: float = 5.0


@attrs.frozen
class HttpRequest:
    """One HTTP request; url is http:// or https://."""

    method: str
    url: str
    headers: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    body: bytes = attrs.field(default=b"", repr=False)
    tls: Tls | None = None
    timeout: float = 10.0


@attrs.frozen
class HttpResponse:
    """The answer: status and body, at most 64 KiB."""

    status: int
    body: bytes = attrs.field(repr=False)


class Transport(abc.ABC):
    """How this device reaches the internet: the host's sockets, or a modem with its own IP stack."""

    @abc.abstractmethod
    async def mqtt(self, parameters: MqttParameters) -> CloudLink:
        """Open a connection; return after CONNACK 0.

        Raises:
            CloudError: DNS, TCP, TLS, CLOUD_TIMEOUT, MQTT_REFUSED (code: CONNACK's), MQTT_LOST,
                CLOUD_MALFORMED; nothing is left of it, as after a cancellation.
        """

    @abc.abstractmethod
    async def request(self, request: HttpRequest) -> HttpResponse:
        """One request, one answer; redirects are not followed.

        Raises:
            CloudError: DNS, TCP, TLS, CLOUD_TIMEOUT, CLOUD_MALFORMED.
        """


# --- the platform --------------------------------------------------------------------------------------------

PortT = TypeVar("PortT")


class Platform(abc.ABC):
    """One platform, such as "mock" or "linux:wlan0"; made from a spec by a factory in the registry."""

    @abc.abstractmethod
    async def capabilities(self) -> Capabilities:
        """Probe what this machine can do."""

    @abc.abstractmethod
    def port(self, kind: type[PortT]) -> PortT:
        """The port of this kind (`Wifi`, `SoftAp`, `SmartConfig`, …), the same object each time.

        Raises:
            NotSupportedError: This platform has none; the hint says what to install or choose.
        """

    async def recover(self) -> None:
        """Undo what a killed process left behind: access points, interfaces, half-done joins."""
        return

    @abc.abstractmethod
    async def close(self) -> None:
        """Stop everything and give everything back. Idempotent."""
