"""A method at work."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence

import attrs

from qiot.model import Secret
from qiot.protocols.base import Heard, News

__all__ = ["AirKiss", "BtCombo", "ChipSoftAp", "ListenContext", "Listener", "SimpleConfig", "SmartConfig"]


@attrs.frozen
class ListenContext:
    """What a listener may have to say about this device.

    Attributes:
        product_id: The cloud's product.
        device_name: The device's name in it.
        secret: The device's own secret, for methods that prove with it who they are; None without one.
        bound: The device has an owner.
        version: The firmware's version, as the application names it.
        options: The method's own options, from the caller: a dialect, a style.
        keys: The method's own secrets: a key, a PIN.
    """

    product_id: str
    device_name: str
    secret: Secret | None = None
    bound: bool = False
    version: str = ""
    options: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    keys: Mapping[str, Secret] = attrs.field(factory=dict, hash=False)


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
        """Wait for and give what was heard: offers, questions, signs of life, refused input.

        Raises:
            HalError: It is not started, was stopped meanwhile, or broke down.
        """

    @abc.abstractmethod
    async def tell(self, news: News) -> None:
        """Report an event or answer a question as this method's wire does it; first copies go at once."""

    async def drain(self) -> None:
        """Return when every repeat that `tell` began has gone out. The session bounds the wait."""
        return

    @property
    def occupied(self) -> bool:
        """True while a phone is connected, on media that have connections; its turn is not cut short then."""
        return False

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
