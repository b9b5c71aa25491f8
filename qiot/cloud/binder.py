"""What the session needs of a cloud, whichever it is."""

from __future__ import annotations

import abc
import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

import attrs

from qiot.device_info import DeviceInfo
from qiot.errors import NotSupportedError
from qiot.model import CloudLink, Grant

__all__ = ["Binder", "Clock", "Journal"]


@attrs.frozen
class Clock:
    """Where time comes from; tests bring their own.

    Attributes:
        utc: UTC seconds.
        monotonic: Monotonic seconds.
        sleep: Waits that many seconds.
    """

    utc: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep


@attrs.define
class Journal:
    """When the steps of one attempt happened, for clouds that want to know (Tencent's `pairTime`).

    Attributes:
        method: The method that brought the credentials.
        marks: Milliseconds since the attempt's start by name.
    """

    method: str = ""
    marks: dict[str, int] = attrs.field(factory=dict)
    _start: float = attrs.field(factory=time.monotonic)

    def mark(self, name: str) -> None:
        """Note that `name` happened now."""
        self.marks[name] = round((time.monotonic() - self._start) * 1000)


class Binder(abc.ABC):
    """One cloud platform, for one device identity.

    Attributes:
        cloud: The cloud's name, as grants carry it.
        grant: Where the right to bind comes from: the phone, the device (`mint`), or none is needed.
    """

    cloud: str
    grant: Literal["phone", "minted", "none"] = "phone"

    @property
    @abc.abstractmethod
    def registered(self) -> bool:
        """True where the identity has what `connect` needs."""

    @abc.abstractmethod
    async def register(self, grant: Grant | None = None) -> DeviceInfo:
        """Get the missing secret or certificate; one try. The caller saves what comes back.

        Args:
            grant: The newest that is known, for clouds whose place the phone tells.

        Raises:
            CloudError: `permanent` where the cloud said no.
        """

    @abc.abstractmethod
    async def connect(self, grant: Grant | None = None) -> CloudLink:
        """Open the connection; one try.

        Args:
            grant: The newest that is known, for clouds whose place the phone tells. After a reboot it has no
                value, only the endpoint and params of the grant that bound the device.

        Raises:
            CloudError: `permanent` where the cloud said no.
            ConfigurationError: A file or option that the connection needs cannot be used.
            NotSupportedError: This machine lacks what the connection needs (TLS-PSK).
        """

    @abc.abstractmethod
    async def bind(self, link: CloudLink, grant: Grant, journal: Journal) -> Mapping[str, str]:
        """Hand in the grant and check the cloud's reply: method, client token, code.

        Returns:
            What of the reply the phone's wire may have to say; never secret. It is in the detail of the event
            that the device is bound.

        Raises:
            CloudError: TOKEN_SEND, TOKEN_REFUSED (code: the cloud's), TOKEN_MALFORMED, TOKEN_NO_REPLY,
                MQTT_SUBSCRIBE, MQTT_LOST, CLOUD_TIMEOUT.
        """

    async def resumed(self, link: CloudLink) -> None:
        """A bound device is back after a reboot: say so, where the cloud wants to hear it."""
        del link

    async def unbind(self, link: CloudLink, *, clean: bool) -> None:
        """The device has forgotten its owner: say so, where the cloud has a word for it.

        Args:
            link: The open connection.
            clean: The cloud is to forget the device's data, too.

        Raises:
            CloudError: It was not told.
        """
        del link, clean

    async def mint(self) -> Grant:
        """Make a grant on the device, where `grant` is "minted".

        Raises:
            NotSupportedError: This cloud's grants come from elsewhere.
        """
        raise NotSupportedError(f"{self.cloud} grants are not minted by the device")
