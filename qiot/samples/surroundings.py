"""What the sample starts around the device: the local cloud, and a phone that sends the credentials."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from qiot.api import CloudOptions, WifiConfig
from qiot.device_info import AuthMode, Cloud, DeviceInfo
from qiot.errors import QiotError
from qiot.log import get_logger
from qiot.model import Secret
from qiot.samples.air_phone import provision, world_of
from qiot.samples.ble_phone import provision_over_bluetooth
from qiot.samples.options import at_local_cloud
from qiot.samples.thing_phone import DEMO_ENTRY, METHOD, provision_thing

if TYPE_CHECKING:  # a device that has no use for them does not load them
    from qiot.testbed.cloud import LocalCloud
    from qiot.testbed.phone import PhoneResult

__all__ = ["LocalSide"]

log = get_logger()


class LocalSide:
    """A local cloud that knows one device, as an asynchronous context manager.

    Args:
        info: The device.
        path: Its device_info.json, or None for the demo identity.
    """

    def __init__(self, info: DeviceInfo, path: Path | None) -> None:
        self._info = info
        self._path = path
        self._stack = AsyncExitStack()
        self._cloud: LocalCloud | None = None

    async def __aenter__(self) -> Self:
        from qiot.testbed.cloud import LocalCloud

        async with self._stack:
            self._cloud = await self._stack.enter_async_context(
                LocalCloud(self._path or self._demo(), tls_dir=self._tls_dir())
            )
            self._stack = self._stack.pop_all()
        log.info(f"local cloud: registration and app at {self.cloud.http_url}, MQTT at {self.cloud.mqtt_url}")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def cloud(self) -> LocalCloud:
        """The running cloud."""
        if self._cloud is None:
            raise RuntimeError("the local cloud has not been started")
        return self._cloud

    def options(self, given: CloudOptions) -> CloudOptions:
        """Cloud options that lead here; over TLS where the device proves itself by a certificate."""
        cloud = self.cloud
        if self._info.cloud is Cloud.RLINK:
            return at_local_cloud(given, http_url=None, mqtt_url=cloud.mqtt_url, ca_file=None)
        if self._info.auth_mode is AuthMode.CERT and cloud.https_url and cloud.mqtts_url:
            return at_local_cloud(
                given, http_url=cloud.https_url, mqtt_url=cloud.mqtts_url, ca_file=cloud.ca_file
            )
        return at_local_cloud(given, http_url=cloud.http_url, mqtt_url=cloud.mqtt_url, ca_file=None)

    async def phone(self, host: str, port: int, *, ssid: str, password: str) -> PhoneResult:
        """A phone that sends the credentials to the device and asks this cloud until it is bound.

        What goes wrong is in the result, never an exception of qiot's.
        """
        from qiot.testbed.phone import PhoneResult, SoftApPhone

        target = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 - a comparison
        phone = SoftApPhone(
            target,
            port,
            ssid=ssid,
            password=password,
            app_url=f"{self.cloud.http_url}/app",
            poll_interval=0.5,
            on_event=lambda event: log.debug(f"phone: {event}"),
        )
        try:
            return await phone.run()
        except QiotError as error:
            return PhoneResult(error=str(error))

    async def air_phone(
        self,
        wifi: WifiConfig,
        method: str,
        *,
        host: str,
        ssid: str,
        password: str,
        keys: Mapping[str, Secret],
    ) -> PhoneResult:
        """A phone that sends the credentials through the simulated air; otherwise as `phone`."""
        from qiot.testbed.phone import PhoneResult

        try:
            return await provision(
                wifi,
                method,
                host=host,
                ssid=ssid,
                password=password,
                keys=keys,
                app_url=f"{self.cloud.http_url}/app",
                tell=lambda event: log.debug(f"phone: {event}"),
            )
        except QiotError as error:
            return PhoneResult(error=str(error))

    async def ble_phone(self, wifi: WifiConfig, method: str, *, ssid: str, password: str) -> PhoneResult:
        """A phone that sends the credentials over the simulated Bluetooth; otherwise as `phone`."""
        from qiot.testbed.phone import PhoneResult

        world = world_of(wifi.platform)

        def tell(event: Mapping[str, object]) -> None:
            log.debug(f"phone: {event}")

        try:
            if method == METHOD:
                mqtt_url = self.cloud.mqtt_url
                return await provision_thing(
                    world, ssid=ssid, password=password, mqtt_url=mqtt_url, tell=tell
                )
            return await provision_over_bluetooth(
                world, method, ssid=ssid, password=password, app_url=f"{self.cloud.http_url}/app", tell=tell
            )
        except QiotError as error:
            return PhoneResult(error=str(error))

    def _demo(self) -> Mapping[str, object] | None:
        """The built-in device, where it is not the local cloud's own."""
        return DEMO_ENTRY if self._info.cloud is Cloud.RLINK else None

    def _tls_dir(self) -> Path | None:
        """Certificates are only needed by CERT devices, and have to outlive the run with the device's own."""
        if self._info.auth_mode is not AuthMode.CERT:
            return None
        if self._path is not None:
            return self._path.resolve().parent / ".qiot-local-cloud"
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="qiot-")))


async def give_up_with(phone: asyncio.Task[PhoneResult], device: asyncio.Task[object]) -> PhoneResult | None:
    """Wait for the device; where the phone gives up first, the device has nobody left to wait for.

    Returns:
        The phone's result where it failed before the device was done, else None.
    """
    await asyncio.wait({phone, device}, return_when=asyncio.FIRST_COMPLETED)
    if phone.done() and not device.done() and not phone.result().bound:
        return phone.result()
    await asyncio.wait({device})
    return None
