"""What listens: the methods of this turn, the access point that they need, and the command service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from qiot.device_info import DeviceInfo
from qiot.errors import HalError, NotSupportedError
from qiot.hal.contract import Capabilities, Gatt, ListenContext, Listener, Platform, Role, SoftAp, Udp, Wifi
from qiot.log import get_logger
from qiot.model import Offer, Peer, Reason, Step
from qiot.wifi_config.after_join import AfterJoin
from qiot.wifi_config.ble_codecs import codec_factory
from qiot.wifi_config.comm_service import command_service
from qiot.wifi_config.drivers.gatt import GattListener
from qiot.wifi_config.drivers.udp import UdpListener
from qiot.wifi_config.listeners import Listeners
from qiot.wifi_config.methods import COMMAND_DOOR, Method
from qiot.wifi_config.plan import Turn, missing_role, plan_turns
from qiot.wifi_config.radio import Radio
from qiot.wifi_config.settings import Settings

__all__ = ["Doors"]

log = get_logger()

_COMMAND: Final = "command service"


class Doors:
    """Opens and closes what a turn of methods needs.

    Args:
        platform: Where the ports come from.
        capabilities: What was probed.
        identity: Whose doors they are.
        methods: What to listen by.
        settings: Ports and addresses.
        context: The methods' options and keys.
        listeners: Who supervises what is opened.
        radio: Who has the access point.
        on_refused: Gets the name of a method that cannot listen, and why, while others can.
    """

    def __init__(
        self,
        platform: Platform,
        capabilities: Capabilities,
        *,
        identity: DeviceInfo,
        methods: Sequence[Method],
        settings: Settings,
        context: ListenContext,
        listeners: Listeners,
        radio: Radio,
        on_refused: Callable[[str, HalError], Awaitable[None]],
    ) -> None:
        self._platform = platform
        self._capabilities = capabilities
        self._identity = identity
        self._methods = methods
        self._settings = settings
        self._listeners = listeners
        self._radio = radio
        self._on_refused = on_refused
        self._turns: Sequence[Turn] = ()
        self._index = 0
        self._opened: Turn | None = None
        self._command: UdpListener | None = None
        self._after_join = AfterJoin(
            platform,
            identity,
            settings=settings,
            context=context,
            listeners=listeners,
            local=lambda: self.local,
        )

    @property
    def turn(self) -> Turn:
        """Whose turn it is."""
        return self._turns[self._index]

    @property
    def takes_turns(self) -> bool:
        """True where the radios cannot hold all methods at once."""
        return len(self._turns) > 1

    @property
    def local(self) -> tuple[str, int] | None:
        """Where the command service listens; None before it does."""
        return self._command.local if self._command is not None else None

    async def plan(self) -> None:
        """Find out who listens together; a method that cannot listen here is reported while others can.

        Raises:
            NotSupportedError: None of them can.
        """
        refused = {each.name: self._refusal(each) for each in self._methods}
        for name, error in refused.items():
            if error is None:
                continue
            if all(refused.values()):
                raise error
            await self._on_refused(name, error)
        possible = [each for each in self._methods if refused[each.name] is None]
        self._turns = plan_turns(possible, self._capabilities)

    def next_turn(self) -> None:
        """It is the next ones' turn; `open` makes it so."""
        self._index = (self._index + 1) % len(self._turns)

    async def has_phone(self) -> bool:
        """True where somebody is in our access point, or connected to a method, and about to send."""
        if self._listeners.occupied:
            return True
        if not self.turn.access_point:
            return False
        try:
            return bool(await self._platform.port(SoftAp).stations())
        except HalError:
            return False

    async def open(self) -> None:
        """Take the roles and open the doors of this turn; where nothing of it can listen, of the next.

        The listeners of other turns are closed. The command service stays open once it is.

        Raises:
            HalError: Nothing listens now.
        """
        await self._after_join.close()
        for _ in self._turns:
            await self._open_turn(self.turn)
            if self._listeners.names:
                return
            self.next_turn()
        raise HalError("nothing listens: every method failed to start", reason=Reason.METHOD_ENDED)

    async def _open_turn(self, turn: Turn) -> None:
        ours = [each for each in turn.methods if each.access_point and not self._by_chip(each)]
        leaving = self._listeners.names - {method.name for method in turn.methods} - {_COMMAND}
        if self._opened is not turn:
            # Also those of both turns: with and without an access point a sniffer is started differently.
            leaving |= {each.name for each in turn.methods if Role.SNIFF in each.listen}
        self._opened = turn
        for name in leaving:
            await self._listeners.close(name)
        if ours:
            await self._open_access_point(ours)
        else:
            await self._radio.close_access_point()
        for method in turn.methods:
            if method not in ours:
                await self._open_listener(method)

    async def open_after_join(self, offer: Offer | None, address: str) -> None:
        """Open the doors at which a joined device is spoken to, the command service first.

        Args:
            offer: What was joined.
            address: The station's IPv4 address; empty where it is not known.

        Raises:
            MediumError: The command service's port cannot be had.
        """
        if any(COMMAND_DOOR in method.after_join for method in self.turn.methods):
            await self._open_command_service()
        offering = None if offer is None else offer.peer.method
        for method in self._methods:
            if offer is not None and method.name == offering:
                await self._after_join.open(method, offer, address)

    async def heard(self, peer: Peer) -> None:
        """Somebody has spoken to the device."""
        await self._after_join.heard(peer)

    def _by_chip(self, method: Method) -> bool:
        return method.name in self._capabilities.chip

    def _refusal(self, method: Method) -> NotSupportedError | None:
        """Why a method cannot listen here, in the platform's own words where it has some."""
        cloud = self._identity.cloud
        ours = method.port is None  # what a platform runs may bring what it likes
        if ours and self._settings.goal is Step.BOUND and method.cloud != cloud:
            return NotSupportedError(
                f"{method.name} brings what binds to {method.cloud}, and this device belongs to {cloud}",
                hint="Choose another method; the device's `cloud` is in its device_info.json.",
            )
        refusal = missing_role(method, self._capabilities)
        if refusal is not None and not method.access_point:
            try:
                self._listener(method)
            except NotSupportedError as error:
                return error
        return refusal

    async def _open_access_point(self, methods: Sequence[Method]) -> None:
        try:
            await self._radio.open_access_point()
            if any(COMMAND_DOOR in method.doors for method in methods):
                await self._open_command_service()
        except HalError as error:
            await self._radio.close_access_point()
            if len(self._methods) == 1:
                raise
            for method in methods:
                await self._on_refused(method.name, error)

    async def _open_listener(self, method: Method) -> None:
        try:
            if method.name not in self._listeners.names:
                await self._listeners.open(method.name, self._listener(method))
        except HalError as error:
            if len(self._methods) == 1:
                raise
            await self._on_refused(method.name, error)

    def _listener(self, method: Method) -> Listener:
        """Who listens by it: the platform's own, or a driver over the platform's media.

        Raises:
            NotSupportedError: The platform has neither.
        """
        if method.port is not None:
            try:
                return self._platform.port(method.port)
            except NotSupportedError:
                if method.gatt is None:
                    raise
        gatt = self._platform.port(Gatt)
        try:
            wifi = self._platform.port(Wifi)
        except NotSupportedError:
            wifi = None
        return GattListener(gatt, codec_factory(method.name, gatt, wifi), method=method.name)

    async def _open_command_service(self) -> None:
        if _COMMAND in self._listeners.names:
            return
        settings = self._settings
        self._command = command_service(
            self._platform.port(Udp),
            product_id=self._identity.product_id,
            device_name=self._identity.device_name,
            host=settings.udp_host,
            port=settings.udp_port,
            proto_version=settings.proto_version,
            broadcast=settings.broadcast,
        )
        await self._listeners.open(_COMMAND, self._command)
