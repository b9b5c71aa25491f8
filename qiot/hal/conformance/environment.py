"""What the suite needs from the world around the platform and cannot make itself."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs

from qiot.hal.conformance.check import Broken, not_claimed
from qiot.hal.conformance.traces import files_in, processes_of
from qiot.hal.conformance.victim import left_by
from qiot.hal.contract import Listener, MqttParameters, Platform, Role, SoftApSpec
from qiot.model import Credentials, Secret

__all__ = ["Central", "Ear", "Environment", "Phone"]


@attrs.frozen
class Phone:
    """A station from outside that has joined the platform's access point.

    Attributes:
        mac: Its MAC address, six octets.
        address: The IPv4 address that it got by DHCP.
        gateway: The router that came with it.
    """

    mac: bytes
    address: str
    gateway: str | None


class Central(abc.ABC):
    """A Bluetooth central from outside, connected to the platform."""

    @abc.abstractmethod
    async def services(self) -> Sequence[str]:
        """UUIDs of the services that it sees."""

    @abc.abstractmethod
    async def write(self, char: str, data: bytes) -> None:
        """Write a characteristic with response."""

    @abc.abstractmethod
    async def subscribe(self, char: str) -> None:
        """Ask for notifications."""

    @abc.abstractmethod
    async def notified(self) -> tuple[str, bytes]:
        """The next notification: characteristic and value."""

    @abc.abstractmethod
    async def wait_disconnected(self) -> None:
        """Return when the connection is gone."""

    @abc.abstractmethod
    async def disconnect(self) -> None:
        """End the connection. Idempotent."""


class Ear(abc.ABC):
    """What listens from outside."""

    @abc.abstractmethod
    async def hears(self, frame: bytes, seconds: float) -> bool:
        """True when this frame has been heard since the ear was opened, or is within `seconds`."""


@attrs.define(kw_only=True, slots=False, eq=False)
class Environment:
    """The world around the platform. What is None, or not overridden, is not offered: its checks say so.

    Each check enters the environment (`async with`) on the check's own event loop. Methods may block; that
    is not held against the platform. Those of `Central` may not.

    Attributes:
        patience: Factor on every time limit, such as 5 on an emulated machine.
        disturb: False where the machine's own network must stay as it is: no join, no access point.
        home: A network that can be joined, with DHCP.
        second: Another one, to be the earlier network; without it, `home` is.
        visible: Whether a scan shows `home`.
        wrong_password: Does not open `home`.
        absent_ssid: A name that no access point here has.
        open_network: A network without a password.
        hidden_network: One that does not tell its name.
        wpa3_network: One that takes WPA3-SAE only.
        silent_network: One whose DHCP server does not answer.
        join_seconds: Time-out that is given to joins.
        shows_within: Seconds until the air shows what a verb did: the earlier network is back, the access
            point is seen or no longer seen.
        cancel_after: Seconds after which verbs are cancelled, one try each.
        access_point: The access point that the platform is asked for.
        reach: The address of this host for the platform's own sockets, and of those for this host: loopback
            where the platform uses the host's sockets; None where it is out of reach, as for a modem.
        specs: The platform's specs, as for `--hal`: with them it can be opened in a process of its own, to be
            killed there. The command line knows them.
        storage_folder: Where the platform's storage keeps its files.
        programs: Names of programs that the platform starts, such as hostapd: none more may run after close.
            Child processes need no name here.
        folders: Where no new file may be after close, such as /run/my-board.
        broker: An MQTT broker that the transport can reach.
        offered: The methods, as listener classes, for which `offer` sends credentials.
        sends_frames: Channels on which `transmit` can send.
        lossless: True where every frame that is sent arrives, as in a simulated air.
    """

    patience: float = 1.0
    disturb: bool = True
    home: Credentials | None = None
    second: Credentials | None = None
    visible: bool = True
    wrong_password: Secret = attrs.field(factory=lambda: Secret("not-the-password"))
    absent_ssid: bytes = b"qiot-no-such-network"
    open_network: Credentials | None = None
    hidden_network: Credentials | None = None
    wpa3_network: Credentials | None = None
    silent_network: Credentials | None = None
    join_seconds: float = 45.0
    shows_within: float = 60.0
    cancel_after: Sequence[float] = (0.0, 0.05, 0.5, 2.0)
    access_point: SoftApSpec = attrs.field(
        factory=lambda: SoftApSpec(ssid=b"qiot-conformance", password=Secret("conformance-1"))
    )
    reach: str | None = "127.0.0.1"
    specs: Sequence[str] = ()
    storage_folder: Path | None = None
    programs: Sequence[str] = ()
    folders: Sequence[Path] = ()
    broker: MqttParameters | None = None
    offered: frozenset[type[Listener]] = frozenset()
    sends_frames: Sequence[int] = ()
    lossless: bool = False

    async def __aenter__(self) -> Self:
        """Before each check."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """After each check; what the environment opened is closed here."""

    def opened(self, platform: Platform) -> None:
        """Told of every platform that the suite opens, before its first verb."""

    async def traces(self) -> frozenset[str]:
        """What else a platform may leave behind here (daemons, addresses, files), each in a few words.

        Those of `programs` and `folders`; add your own to them.
        """
        return processes_of(self.programs) | files_in(self.folders)

    async def killed(self, role: Role) -> None:
        """Let a process of its own hold this role of the platform, and kill it by SIGKILL.

        Args:
            role: STATION: it has joined `home` and not settled; ACCESS_POINT: it has started `access_point`.
        """
        if not self.specs:
            not_claimed(
                "the environment cannot open the platform in a process of its own, to kill it (specs)"
            )
        network = self.access_point if role is Role.ACCESS_POINT else self.home
        if network is None:
            not_claimed("no environment: no network to join is offered (home)")
        problem = await left_by(self.specs, role, network, self.join_seconds * self.patience)
        if problem:
            raise Broken(f"a process that was to be killed could not hold the {role} role: {problem}")

    async def access_point_visible(self, ssid: bytes) -> bool:  # noqa: ARG002
        """Look from outside, by a fresh scan, whether an access point of this name is on the air."""
        not_claimed("the environment cannot see access points from outside")

    def phone(self, credentials: Credentials) -> AbstractAsyncContextManager[Phone]:  # noqa: ARG002
        """Join an access point as a phone does; leave it at the end of the block.

        Raises:
            JoinError: The access point did not take it, or gave no address.
        """
        not_claimed("the environment has no phone that joins the access point")

    async def transmit(self, frames: Sequence[bytes], channel: int) -> None:  # noqa: ARG002
        """Send 802.11 frames, without radiotap and FCS, from outside on this channel (of `sends_frames`)."""
        not_claimed("the environment cannot send frames")

    def ear(self, channel: int) -> AbstractAsyncContextManager[Ear]:  # noqa: ARG002
        """Listen from outside on this channel for as long as the block runs."""
        not_claimed("the environment cannot hear frames")

    async def offer(self, method: type[Listener]) -> Credentials:
        """Send credentials by this method, once and as a phone does, and say what was sent."""
        not_claimed(f"the environment does not speak {method.__name__}")

    def central(self) -> AbstractAsyncContextManager[Central]:
        """Connect to the platform as a Bluetooth central; disconnect at the end of the block."""
        not_claimed("the environment has no Bluetooth central")

    async def advertised(self) -> bool:
        """Look from outside whether the platform advertises."""
        not_claimed("the environment cannot see advertisements")
