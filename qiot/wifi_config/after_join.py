"""What a device that joined by credentials from the air says and hears beside the command service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from qiot.device_info import DeviceInfo
from qiot.errors import HalError, MediumError
from qiot.hal.contract import ListenContext, Listener, Platform, Udp, Wifi
from qiot.log import get_logger
from qiot.model import Offer, Peer, Step
from qiot.protocols.base import Codec, Send
from qiot.protocols.lan.air_ack_device import LISTEN_PORTS, AirAckDevice
from qiot.protocols.lan.air_acks import REALTEK_ACK_PORT, REALTEK_CONTROL_PORT
from qiot.protocols.lan.airkiss_lan import PORT as AIRKISS_LAN_PORT
from qiot.protocols.lan.airkiss_lan import AirKissLanDevice
from qiot.protocols.lan.realtek_device import RealtekDevice
from qiot.protocols.lan.repeats import answerable_host
from qiot.wifi_config.drivers.mdns import ServiceRecord
from qiot.wifi_config.drivers.udp import UdpListener
from qiot.wifi_config.listeners import Listeners
from qiot.wifi_config.methods import COMMAND_DOOR, Method
from qiot.wifi_config.settings import Settings

__all__ = ["AfterJoin"]

log = get_logger()

_MAC: Final = 6


class _Acknowledging(Codec, Protocol):
    """A codec that answers whoever has spoken to the device."""

    def learn(self, host: str, now: float) -> Sequence[Send]:
        """Somebody at this address has spoken to the device."""
        ...


class AfterJoin:
    """Opens and closes what stands in a method's row behind the command service.

    Args:
        platform: Where the ports come from.
        identity: Whose doors they are.
        settings: Addresses.
        context: The methods' options and keys.
        listeners: Who supervises what is opened.
        local: Where the command service listens, once it does.
    """

    def __init__(
        self,
        platform: Platform,
        identity: DeviceInfo,
        *,
        settings: Settings,
        context: ListenContext,
        listeners: Listeners,
        local: Callable[[], tuple[str, int] | None],
    ) -> None:
        self._platform = platform
        self._identity = identity
        self._settings = settings
        self._context = context
        self._listeners = listeners
        self._local = local
        self._open: list[str] = []
        self._ack: tuple[UdpListener, _Acknowledging] | None = None

    async def open(self, method: Method, offer: Offer, address: str) -> None:
        """Open the doors of a method; what one of them cannot have is a warning, not the end of the way.

        Args:
            method: Its row.
            offer: What was joined.
            address: The station's IPv4 address; empty where it is not known.
        """
        await self.close()
        mac = await self._mac()
        for door in method.after_join:
            if door == COMMAND_DOOR:
                continue
            name = f"{door.codec} door"
            try:
                listener = await self._listener(door.codec, method, offer, mac=mac, address=address)
                if listener is not None:
                    self._open.append(name)
                    await self._listeners.open(name, listener)
            except HalError as error:
                log.warning(f"{name} of {method.name} does not open: {error}. {error.hint}")

    async def close(self) -> None:
        """Close them. Idempotent."""
        self._ack = None
        while self._open:
            await self._listeners.close(self._open.pop())

    async def heard(self, peer: Peer) -> None:
        """Somebody has spoken to the device: an answer that is being repeated goes there, too."""
        host = answerable_host(peer.address, self._settings.broadcast)
        if self._ack is not None and host is not None:
            listener, codec = self._ack
            await listener.carry_out(codec.learn(host, asyncio.get_running_loop().time()))

    async def _listener(
        self, codec: str, method: Method, offer: Offer, *, mac: bytes, address: str
    ) -> Listener | None:
        broadcast = self._settings.broadcast
        ours = offer.reached is Step.LISTENING  # a chip that has joined by itself has answered by itself
        match codec:
            case "air_ack" if ours and offer.ack is not None and offer.ack.protocol in LISTEN_PORTS:
                ack = AirAckDevice(offer.ack, method=method.name, mac=mac, broadcast=broadcast)
                return self._acknowledge(ack, method, LISTEN_PORTS[offer.ack.protocol], address)
            case "realtek" if ours and offer.ack is not None:
                device = RealtekDevice(
                    name=self._identity.device_name,
                    mac=mac,
                    pin=self._context.keys.get("pin"),
                    broadcast=broadcast,
                )
                return self._acknowledge(device, method, (REALTEK_ACK_PORT, REALTEK_CONTROL_PORT), address)
            case "airkiss_lan":
                options: Mapping[str, str] = self._context.options
                lan = AirKissLanDevice(
                    device_type=options.get("airkiss_device_type", self._identity.product_id),
                    device_id=options.get("airkiss_device_id", self._identity.device_name),
                    broadcast=broadcast,
                )
                return self._udp(lan, method, (AIRKISS_LAN_PORT,), address, announces=True)
            case "service":
                return await self._service(address)
            case _:
                return None

    def _acknowledge(
        self, codec: _Acknowledging, method: Method, ports: tuple[int, ...], address: str
    ) -> UdpListener:
        listener = self._udp(codec, method, ports, address)
        self._ack = (listener, codec)
        return listener

    def _udp(
        self, codec: Codec, method: Method, ports: tuple[int, ...], address: str, *, announces: bool = False
    ) -> UdpListener:
        first, *more = ports
        return UdpListener(
            self._platform.port(Udp),
            codec,
            door=str(first),
            method=method.name,
            host=self._settings.udp_host,
            port=first,
            more={str(port): port for port in more},
            any_port=True,
            broadcasts=(self._settings.broadcast, address) if address else None,
            announces=announces,
        )

    async def _service(self, address: str) -> ServiceRecord | None:
        place = self._local()
        if place is None:
            return None
        host, port = place
        if host == "0.0.0.0":  # noqa: S104 - a comparison
            if not address:
                return None
            host = await self._where(address)
        identity = self._identity
        return ServiceRecord(
            name=f"{identity.product_id}-{identity.device_name}",
            address=host,
            port=port,
            text={
                "pid": identity.product_id,
                "dn": identity.device_name,
                "proto": self._settings.proto_version,
            },
        )

    async def _where(self, address: str) -> str:
        """The station's address, or this machine's own where the network is only simulated."""
        try:
            await (await self._platform.port(Udp).open(address, 0)).close()
        except MediumError:
            return "127.0.0.1"
        return address

    async def _mac(self) -> bytes:
        try:
            mac = bytes.fromhex((await self._platform.port(Wifi).address()).replace(":", ""))
        except (HalError, ValueError) as error:
            log.debug(f"the station's address is not known: {error}")
            mac = b""
        return mac if len(mac) == _MAC else bytes(_MAC)
