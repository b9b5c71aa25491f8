"""A phone that provisions a device over Bluetooth: it finds it, connects, speaks the protocol, and binds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from qiot.errors import ProtocolError
from qiot.model import Secret, show_ssid
from qiot.protocols.base import Codec, Learned
from qiot.testbed.ble_link import Central, CodecRunner, Wanted
from qiot.testbed.phone.app_api import TOKEN_USED, AppApi
from qiot.testbed.phone.attempt import OnEvent, Teller, why_failed

__all__ = ["BlePhone", "BleResult"]

_POLLS: Final = 20
_TENCENT: Final = 0xFEE7
"""Company of LLSync's manufacturer data: version, MAC, and from here on the product."""
_PRODUCT_AT: Final = 1 + 6


@attrs.frozen
class BleResult:
    """How it ended.

    Attributes:
        bound: The application has bound the device.
        device_name: The device's name, as it said it; else empty.
        learned: Everything that the phone learned, in order.
        error: What went wrong, empty where nothing did.
    """

    bound: bool = False
    device_name: str = ""
    learned: Sequence[Learned] = ()
    error: str = ""


@attrs.define
class BlePhone:
    """One phone and one device.

    Attributes:
        central: The phone's Bluetooth; it is closed at the end.
        method: The protocol's name, for the log.
        wanted: Which device.
        notify: Characteristics to listen to.
        make_codec: Makes the phone's side, given the token, or None where there is none.
        token: The token; None: none, or one of the application's API.
        app_url: URL of the application's API: it makes the token, is polled and binds.
        on_event: Is told every step.
        hidden: What must not be shown.
        family: Family to bind the device to.
        room: Room in it.
        mtu: ATT MTU to ask for.
        reconnects: How often a lost device is looked for again.
        timeout: Seconds for everything, or None.
        find_timeout: Seconds to find the device.
        poll_interval: Seconds between two polls.
    """

    central: Central
    method: str
    wanted: Wanted
    notify: Sequence[str]
    make_codec: Callable[[Secret | None], Codec]
    token: Secret | None = None
    app_url: str | None = None
    on_event: OnEvent | None = None
    hidden: Sequence[Secret] = ()
    family: str = "default"
    room: str = "0"
    mtu: int = 517
    reconnects: int = 1
    timeout: float | None = None
    find_timeout: float = 30.0
    poll_interval: float = 2.0

    async def run(self) -> BleResult:
        """Do it once. Cancelling leaves nothing behind.

        Raises:
            ConfigurationError: The API's URL is no URL, or the protocol cannot say what it is to say.
        """
        api = AppApi(self.app_url) if self.app_url is not None else None
        teller = Teller(self.on_event)
        for each in self.hidden:
            teller.hide(each)
        learned: list[Learned] = []
        bound: list[str] = []
        try:
            error = await why_failed(self._attempt(api, teller, learned, bound), self.timeout, teller)
        finally:
            await self.central.close()
        return BleResult(bool(bound), _said(learned, "device_name"), learned, error)

    async def _attempt(
        self, api: AppApi | None, teller: Teller, learned: list[Learned], bound: list[str]
    ) -> None:
        token = self.token
        if token is None and api is not None:
            token = await api.create_token()
            teller.tell("token")
        if token is not None:
            teller.hide(token)

        def note(item: Learned) -> None:
            learned.append(item)
            _tell(teller, item)

        runner = CodecRunner(
            self.central,
            self.make_codec(token),
            method=self.method,
            notify=self.notify,
            on_learned=note,
            on_step=lambda step, facts: teller.tell(step, **facts),
            reconnects=self.reconnects,
            mtu=self.mtu,
            find_timeout=self.find_timeout,
        )
        await runner.connect(self.wanted)
        last = await runner.run()
        if last.failure is not None:
            raise ProtocolError(f"{last.what}: {last.failure}", reason=last.failure.reason)
        if api is not None and token is not None:
            seen = runner.seen.manufacturer.get(_TENCENT, b"") if runner.seen is not None else b""
            product = _said(learned, "product_id") or seen[_PRODUCT_AT:].decode(errors="replace")
            name = _said(learned, "device_name")
            await self._bind(api, token, teller, product, name)
            bound.append(name)

    async def _bind(self, api: AppApi, token: Secret, teller: Teller, product: str, name: str) -> None:
        """Poll until the device has handed the token in, and put it into the family."""
        for count in range(1, _POLLS + 1):
            state = await api.token_state(token)
            teller.tell("poll", count=count, state=state)
            if state == TOKEN_USED:
                break
            await asyncio.sleep(self.poll_interval)
        else:
            raise ProtocolError("the device has not handed the token in")
        if not product or not name:
            raise ProtocolError("the device has not said which one it is, so it cannot be bound")
        await api.bind(token, product, name, self.family, self.room)
        teller.tell("bound", productId=product, deviceName=name)


def _said(learned: Sequence[Learned], what: str) -> str:
    """A fact that the device told, the last time that it did."""
    return next((str(each.values[what]) for each in reversed(learned) if what in each.values), "")


def _tell(teller: Teller, item: Learned) -> None:
    facts = dict(item.values)
    if item.failure is not None:
        facts["failure"] = str(item.failure)
    if item.networks:
        for each in item.networks:
            teller.tell(
                "network",
                ssid=show_ssid(each.ssid),
                signal=each.signal,
                security=each.security.value,
                channel=each.channel,
            )
        facts["networks"] = len(item.networks)
    teller.tell(item.what, **facts)
