"""What the session needs of a cloud, whichever it is."""

from __future__ import annotations

import abc
import time
from typing import Literal

import attrs

from qiot.device_info import DeviceInfo
from qiot.errors import NotSupportedError
from qiot.model import CloudLink, Grant

__all__ = ["Binder", "Journal"]


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
    async def register(self) -> DeviceInfo:
        """Get the missing secret or certificate; one try. The caller saves what comes back.

        Raises:
            CloudError: `permanent` where the cloud said no.
        """

    @abc.abstractmethod
    async def connect(self) -> CloudLink:
        """Open the connection; one try.

        Raises:
            CloudError: `permanent` where the cloud said no.
            ConfigurationError: A file or option that the connection needs cannot be used.
            NotSupportedError: This machine lacks what the connection needs (TLS-PSK).
        """

    @abc.abstractmethod
    async def bind(self, link: CloudLink, grant: Grant, journal: Journal) -> None:
        """Hand in the grant and check the cloud's reply: method, client token, code.

        Raises:
            CloudError: TOKEN_SEND, TOKEN_REFUSED (code: the cloud's), TOKEN_MALFORMED, TOKEN_NO_REPLY,
                MQTT_SUBSCRIBE, MQTT_LOST, CLOUD_TIMEOUT.
        """

    async def mint(self) -> Grant:
        """Make a grant on the device, where `grant` is "minted".

        Raises:
            NotSupportedError: This cloud's grants come from elsewhere.
        """
        raise NotSupportedError(f"{self.cloud} grants are not minted by the device")
