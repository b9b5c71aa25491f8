"""The blocking façade, with the names of Tencent's ESP8266 code, for programs that have no event loop.

One device per process, as in C: the functions of this module share one `BlockingWifiConfig`.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from qiot.api import CloudOptions, SessionResult, Settings, State, WifiConfig
from qiot.device_info import DeviceInfo
from qiot.errors import ConfigurationError, QiotError
from qiot.log import get_logger
from qiot.model import Secret

__all__ = [
    "WIFI_CONFIG_FAILED",
    "WIFI_CONFIG_GOING_ON",
    "WIFI_CONFIG_SUCCESS",
    "BlockingWifiConfig",
    "is_wifi_config_successful",
    "query_wifi_config_state",
    "start_log_softAP",
    "start_smartconfig",
    "start_softAP",
    "start_wifi_config",
    "stop_wifi_config",
]

log = get_logger()

WIFI_CONFIG_SUCCESS: Final = int(State.SUCCESS)
WIFI_CONFIG_GOING_ON: Final = int(State.GOING_ON)
WIFI_CONFIG_FAILED: Final = int(State.FAILED)

_FAILED: Final = -1

_ResultT = TypeVar("_ResultT")


class BlockingWifiConfig:
    """`WifiConfig` on an event loop in a thread of its own; every call blocks and is safe from any thread.

    Args:
        device_info: As for `WifiConfig`.
        hal: As for `WifiConfig`.
        cloud: As for `WifiConfig`.
        settings: As for `WifiConfig`.
        version: As for `WifiConfig`.
        options: As for `WifiConfig`.
        keys: As for `WifiConfig`.

    Raises:
        ConfigurationError: As for `WifiConfig`.
    """

    def __init__(
        self,
        device_info: DeviceInfo | Path | str = "device_info.json",
        *,
        hal: str | Sequence[str] = "mock",
        cloud: CloudOptions | None = None,
        settings: Settings | None = None,
        version: str = "1.0.0",
        options: Mapping[str, str] | None = None,
        keys: Mapping[str, Secret] | None = None,
    ) -> None:
        self._closing = threading.RLock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="qiot", daemon=True)
        self._thread.start()
        try:
            self._config = self._call(
                _make(
                    device_info,
                    hal=hal,
                    cloud=cloud,
                    settings=settings,
                    version=version,
                    options=options,
                    keys=keys,
                )
            )
        except BaseException:
            self._end_loop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, methods: str = "soft_ap") -> int:
        """Begin to provision; 0, or -1 where it could not begin (the log says why)."""
        try:
            self._call(self._config.start(methods))
        except QiotError as error:
            log.error(f"start wifi config failed: {error} - {error.hint}")
            return _FAILED
        return 0

    def query_state(self) -> int:
        """WIFI_CONFIG_GOING_ON, WIFI_CONFIG_SUCCESS or WIFI_CONFIG_FAILED."""
        return int(self._config.query_state())

    def wait(self, timeout: float | None = None) -> SessionResult:
        """The end of the run.

        Raises:
            TimeoutError: Not within `timeout` seconds; the run goes on.
            ConfigurationError: Nothing was started.
        """
        return self._call(_result(self._config, timeout))

    def send_log(self) -> int:
        """Serve the device log on its own access point; 0, or -1 where that could not begin."""
        try:
            self._call(self._config.send_log())
        except QiotError as error:
            log.error(f"log service not started: {error} - {error.hint}")
            return _FAILED
        return 0

    def stop(self) -> None:
        """End the run."""
        with contextlib.suppress(ConfigurationError):  # closed: there is nothing to stop
            self._call(self._config.stop())

    def close(self) -> None:
        """Stop everything and end the thread. Idempotent."""
        with self._closing:
            if self._thread.is_alive():
                self._call(self._config.aclose())
                self._end_loop()

    def _call(self, coroutine: Coroutine[Any, Any, _ResultT]) -> _ResultT:
        with self._closing:
            if self._loop.is_closed():
                coroutine.close()
                raise ConfigurationError("this device is closed", hint="Make a new one.")
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return future.result()

    def _end_loop(self) -> None:
        self._call(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _make(device_info: DeviceInfo | Path | str, **options: Any) -> WifiConfig:
    return WifiConfig(device_info, **options)


async def _result(config: WifiConfig, timeout: float | None) -> SessionResult:
    async with asyncio.timeout(timeout):
        return await config.wait()


_current: BlockingWifiConfig | None = None


def start_wifi_config(
    methods: str,
    device_info: DeviceInfo | Path | str = "device_info.json",
    *,
    hal: str | Sequence[str] = "mock",
    cloud: CloudOptions | None = None,
    settings: Settings | None = None,
    version: str = "1.0.0",
    options: Mapping[str, str] | None = None,
    keys: Mapping[str, Secret] | None = None,
) -> int:
    """Begin a run by `methods`, ending the one before it; 0, or -1 with the reason in the log."""
    global _current  # noqa: PLW0603 - the C SDK has one run per process too
    stop_wifi_config()
    try:
        _current = BlockingWifiConfig(
            device_info,
            hal=hal,
            cloud=cloud,
            settings=settings,
            version=version,
            options=options,
            keys=keys,
        )
    except QiotError as error:
        log.error(f"start wifi config failed: {error} - {error.hint}")
        return _FAILED
    return _current.start(methods)


def start_softAP(device_info: DeviceInfo | Path | str = "device_info.json", **options: Any) -> int:  # noqa: N802
    """Begin a run by SoftAP; options as for `start_wifi_config`."""
    return start_wifi_config("soft_ap", device_info, **options)


def start_smartconfig(device_info: DeviceInfo | Path | str = "device_info.json", **options: Any) -> int:
    """Begin a run by ESP-TOUCH; options as for `start_wifi_config`."""
    return start_wifi_config("smart_config", device_info, **options)


def query_wifi_config_state() -> int:
    """State of the run; WIFI_CONFIG_FAILED where none was started."""
    return _current.query_state() if _current is not None else WIFI_CONFIG_FAILED


def is_wifi_config_successful() -> bool:
    """True where the run reached its goal."""
    return query_wifi_config_state() == WIFI_CONFIG_SUCCESS


def start_log_softAP() -> int:  # noqa: N802 - the name in Tencent's code
    """Serve the device log to a phone; 0, or -1 where nothing was started or it could not begin."""
    return _current.send_log() if _current is not None else _FAILED


def stop_wifi_config() -> None:
    """End the run and give everything back. Idempotent."""
    global _current
    current, _current = _current, None
    if current is not None:
        current.close()
