"""What the parts of qiot say to each other: frozen values with no behaviour of their own.

Nothing here knows a protocol, a platform or a cloud. SSIDs are bytes, because GBK and hidden networks exist
(IEEE 802.11: 0 to 32 octets, no character set). Secrets never show themselves.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import attrs

from qiot.reason import Reason
from qiot.secret import Secret

__all__ = [
    "SSID_MAX",
    "AckRecipe",
    "Band",
    "CloudLink",
    "Credentials",
    "Event",
    "Failure",
    "Grant",
    "IpConfig",
    "Message",
    "Network",
    "Offer",
    "Outcome",
    "Peer",
    "Reason",
    "Secret",
    "Security",
    "SsidClue",
    "Step",
    "show_ssid",
]

SSID_MAX: Final = 32
"""Longest SSID in octets (IEEE 802.11, 9.4.2.2)."""

_LAST_OF_2_4_GHZ: Final = 14
"""Last channel number of the 2.4 GHz band (IEEE 802.11, annex E)."""


class Step(enum.StrEnum):
    """Where a session is, and which step an event speaks of; `rank` gives the order of the way."""

    IDLE = "idle"
    LISTENING = "listening"
    JOINING = "joining"
    REGISTERING = "registering"
    CONNECTING = "connecting"
    AWAITING_GRANT = "awaiting grant"
    BINDING = "binding"
    JOINED = "joined"
    BOUND = "bound"
    FAILED = "failed"

    @property
    def rank(self) -> int:
        """Position on the way from idle (0) to bound; failed is last and no part of the way."""
        return list(Step).index(self)


class Outcome(enum.StrEnum):
    """What happened in a step."""

    STARTED = "started"
    PROGRESS = "progress"
    OK = "ok"
    RETRY = "retry"
    FAILED = "failed"


class Security(enum.StrEnum):
    """How a Wi-Fi network protects itself, as a scan tells."""

    OPEN = "open"
    WEP = "wep"
    WPA = "wpa"
    WPA2 = "wpa2"
    WPA3 = "wpa3"
    WPA2_WPA3 = "wpa2/wpa3"
    ENTERPRISE = "enterprise"
    UNKNOWN = "unknown"


class Band(enum.StrEnum):
    """A band of Wi-Fi channels; channel numbers alone do not tell 2.4 from 6 GHz."""

    GHZ_2_4 = "2.4 GHz"
    GHZ_5 = "5 GHz"
    GHZ_6 = "6 GHz"


@attrs.frozen
class Peer:
    """Who speaks. Answers, errors and arbitration between phones go by it.

    Attributes:
        method: The method it came by, such as "soft_ap".
        address: Its address on the medium: "host:port", a MAC, a Bluetooth address.
        link: Counts connections of one address, on media that have them.
    """

    method: str
    address: str
    link: int = 0


@attrs.frozen
class SsidClue:
    """What an old ESP-TOUCH or AirKiss datum says of an SSID that it does not carry.

    Attributes:
        length: SSID length in octets, 0 to 32; 0 where nothing is known of the SSID but `bssid_crc8`.
        crc8: The protocol's CRC-8 over the SSID.
        bssid_crc8: The same over the BSSID, where the protocol has it.
    """

    length: int
    crc8: int
    bssid_crc8: int | None = None


@attrs.frozen
class Credentials:
    """How to join a network.

    Attributes:
        ssid: 1 to 32 octets; None where only a clue is known and a scan has to find it.
        password: Passphrase or 64-digit PSK; empty for an open network.
        bssid: Six octets, where the sender named one access point: a hint, where to look first.
        channel: IEEE channel number, where it is known: a hint, too.
        clue: What is known instead of the SSID.
    """

    ssid: bytes | None
    password: Secret
    bssid: bytes | None = None
    channel: int | None = None
    clue: SsidClue | None = None


@attrs.frozen
class Grant:
    """The right to bind: what the phone got from the cloud, derived, or what the device minted itself.

    Attributes:
        cloud: The cloud it is for, such as "tencent".
        value: The token.
        endpoint: Where to connect, where the phone says so (thing.network's `mq` and `port`).
        params: What else the phone gave (bid, userId, tz, country); never secret.
    """

    cloud: str
    value: Secret
    endpoint: str | None = None
    params: Mapping[str, str] = attrs.field(factory=dict, hash=False)


@attrs.frozen
class AckRecipe:
    """What the phone wants to hear after the join, as far as the credentials' codec knows it.

    Attributes:
        protocol: The codec that builds the datagram once the address is known.
        port: UDP port of the phone.
        data: The protocol's own octets (a random byte, a length, a port mark).
    """

    protocol: str
    port: int
    data: bytes = b""


@attrs.frozen
class Message:
    """One message from the cloud.

    Attributes:
        topic: Full topic name.
        payload: Its octets.
    """

    topic: str
    payload: bytes


class CloudLink(Protocol):
    """An open connection to a cloud; it outlives the bind and is handed to the application."""

    @property
    def connected(self) -> bool:
        """False once the connection is lost or closed."""
        ...

    async def subscribe(self, topic: str, handler: Callable[[Message], None], qos: int = 0) -> None:
        """Hand every message of `topic` to `handler`, in the order they come.

        Raises:
            CloudError: Refused (MQTT_SUBSCRIBE), lost (MQTT_LOST) or not answered (CLOUD_TIMEOUT).
        """
        ...

    async def publish(self, topic: str, payload: bytes, qos: int = 0) -> int:
        """Send; with QoS 1 return when the cloud has it. Gives the packet id.

        Raises:
            CloudError: Lost (MQTT_LOST) or not answered (CLOUD_TIMEOUT).
        """
        ...

    async def wait_lost(self) -> Failure | None:
        """Return when the connection is gone: why, or None where `close` was called."""
        ...

    async def close(self) -> None:
        """Disconnect. Idempotent; nothing of it is left afterwards."""
        ...


@attrs.frozen
class Offer:
    """What a method has learned from one peer.

    Attributes:
        peer: Who offers.
        credentials: How to join, or None where the offer is only a grant.
        grant: The right to bind, where it came along.
        reached: The last step that a chip has already done by itself; LISTENING where it has done none.
        ack: What the phone wants to hear after the join.
        link: The open connection, where a chip brings its own (reached CONNECTING or later).
        reserved: Octets that the phone's application sent along for the device's (ESP-TOUCH v2).
    """

    peer: Peer
    credentials: Credentials | None = None
    grant: Grant | None = None
    reached: Step = Step.LISTENING
    ack: AckRecipe | None = None
    link: CloudLink | None = attrs.field(default=None, eq=False)
    reserved: bytes = attrs.field(default=b"", repr=False)


@attrs.frozen
class Failure:
    """Which step failed, why, and what to do; `str()` says it in one line.

    Attributes:
        step: The step it happened in.
        reason: The typed reason, the same for phone, log and program.
        code: The number the wire, the platform or the cloud gave.
        text: What was wrong in detail.
        hint: What to do.
    """

    step: Step
    reason: Reason
    code: int | None = None
    text: str = ""
    hint: str = ""

    def __str__(self) -> str:
        code = "" if self.code is None else f" ({self.code})"
        text = f": {self.text}" if self.text and self.text != self.reason.value else ""
        return f"{self.step} failed: {self.reason}{code}{text} - {self.hint or self.reason.hint}"


@attrs.frozen
class Event:
    """One thing that happened in a session.

    Attributes:
        seq: Counts the session's events from 1.
        t: Monotonic seconds since the session's start.
        attempt: Counts joins from 1; 0 before the first.
        step: Which step.
        outcome: What happened in it.
        peer: Whom it concerns, where it concerns one.
        failure: Why, where the outcome is failed or retry.
        detail: Facts worth showing; never secret.
    """

    seq: int
    t: float
    attempt: int
    step: Step
    outcome: Outcome
    peer: Peer | None = None
    failure: Failure | None = None
    detail: Mapping[str, str | int | float | bool] = attrs.field(factory=dict, hash=False)


@attrs.frozen
class IpConfig:
    """What the station got.

    Attributes:
        address: IPv4 address, dotted.
        prefix: Prefix length, 0 to 32.
        gateway: Default router, where there is one.
    """

    address: str
    prefix: int = 24
    gateway: str | None = None


def _usual_band(network: Network) -> Band:
    return Band.GHZ_2_4 if network.channel <= _LAST_OF_2_4_GHZ else Band.GHZ_5


@attrs.frozen
class Network:
    """One access point as a scan saw it.

    Attributes:
        ssid: 0 to 32 octets; empty where it is hidden.
        bssid: Six octets.
        channel: IEEE channel number.
        signal: dBm, -100 to 0.
        security: How it protects itself.
        band: Where the channel is; 2.4 or 5 GHz by its number where nothing else is said.
    """

    ssid: bytes
    bssid: bytes
    channel: int
    signal: int
    security: Security
    band: Band = attrs.field(default=attrs.Factory(_usual_band, takes_self=True), kw_only=True)


def show_ssid(ssid: bytes | None) -> str:
    r"""An SSID for people: UTF-8 where it is UTF-8 and printable, else with \x escapes."""
    if ssid is None:
        return "(unknown)"
    try:
        text = ssid.decode()
    except UnicodeDecodeError:
        text = ""
    if text and text.isprintable():
        return text
    return repr(ssid)[2:-1]
