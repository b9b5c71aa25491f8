"""The public face: one class that provisions this device, with an event stream."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import attrs

from qiot.cloud.binder import Binder
from qiot.cloud.choice import CloudOptions, make_binder
from qiot.cloud.tencent.thing import Thing
from qiot.device_info import Cloud, DeviceInfo, load_device_info, save_device_info
from qiot.errors import ConfigurationError, NotSupportedError, QiotError
from qiot.finishing import finish
from qiot.hal.contract import Platform, SoftApSpec, Transport
from qiot.hal.registry import PlatformSpec, open_platform
from qiot.log import get_logger
from qiot.model import SSID_MAX, CloudLink, Event, Failure, Grant, Outcome, Reason, Secret, Step
from qiot.wifi_config.dev_log import DevLog
from qiot.wifi_config.error_log import ErrorLog
from qiot.wifi_config.keys import check_keys
from qiot.wifi_config.log_service import LOG_PORT, LogService, log_access_point
from qiot.wifi_config.methods import Method, parse_methods
from qiot.wifi_config.ownership import Ownership, storage_of
from qiot.wifi_config.result import SessionResult
from qiot.wifi_config.session import Session
from qiot.wifi_config.settings import Settings

__all__ = ["CloudOptions", "SessionResult", "Settings", "State", "WifiConfig", "make_binder"]

log = get_logger()


class State(enum.IntEnum):
    """What `query_state` says; numbers as in Tencent's ESP8266 code."""

    SUCCESS = 0
    GOING_ON = 1
    FAILED = 2


class WifiConfig:
    """Provisions this device: start, watch, wait, stop.

    Args:
        device_info: The identity, or the path of a device_info.json; a path is saved to after registration.
        hal: Platform spec or specs, or a platform of the caller's own, which the caller closes.
        cloud: Where the cloud is.
        settings: Times, tries, ports.
        binder: A cloud of the caller's own instead of the one that the identity names.
        version: The firmware's version, as methods and clouds tell it.
        options: The methods' own options: `airkiss_device_type` and `airkiss_device_id` (WeChat's discovery),
            or a dialect or style of a Bluetooth method. Each method takes those that it knows.
        keys: The methods' own secrets: `esptouch_key` (16 octets), `airkiss_key` (1 to 16), `pin`.

    Raises:
        ConfigurationError: The identity, the spec or an option cannot be used.

    Use it as an asynchronous context manager: leaving it stops everything.
    """

    def __init__(
        self,
        device_info: DeviceInfo | Path | str,
        *,
        hal: str | PlatformSpec | Sequence[str | PlatformSpec] | Platform = "mock",
        cloud: CloudOptions | None = None,
        settings: Settings | None = None,
        binder: Binder | None = None,
        version: str = "1.0.0",
        options: Mapping[str, str] | None = None,
        keys: Mapping[str, Secret] | None = None,
    ) -> None:
        self._path = None if isinstance(device_info, DeviceInfo) else Path(device_info)
        self._settings = settings or Settings()
        self._cloud = cloud or CloudOptions()
        self.device_info = (
            device_info
            if isinstance(device_info, DeviceInfo)
            else load_device_info(device_info, dynamic_registration=self._cloud.dynamic_registration)
        )
        self._owns_platform = not isinstance(hal, Platform)
        self.platform = _open(hal)
        self._binder = binder
        self._version = version
        self._options = dict(options or {})
        self._keys = dict(keys or {})
        check_keys(self._keys)
        self._ownership = Ownership(storage_of(self.platform))
        self._dev_log = DevLog()
        self._session: Session | None = None
        self._task: asyncio.Task[None] | None = None
        self._result: asyncio.Future[SessionResult] | None = None
        self._log_service: LogService | None = None
        self._log_task: asyncio.Task[bool] | None = None
        self._grant: Grant | None = None
        self._starting = asyncio.Lock()
        self._ending = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    # --- start, watch, wait, stop -----------------------------------------------------------------------

    async def start(self, methods: str = "soft_ap", *, resume: bool = False) -> None:
        """Begin to provision; returns when the device listens, or is back in its network.

        Args:
            methods: Comma list of methods, or "all".
            resume: Be in the stored network again without a phone, where that can work.

        Raises:
            ConfigurationError: A method is unknown or not built, or a run is on already.
            QiotError: It could not begin to listen: busy port, missing role, access point refused.
        """
        chosen = parse_methods(methods)
        async with self._starting:
            session = await self._begin(chosen, resume=resume)
        try:
            async with contextlib.aclosing(session.events.watch()) as events:
                async for event in events:
                    if event.step is Step.LISTENING and event.outcome is Outcome.STARTED:
                        return
                    if event.step in (Step.JOINED, Step.BOUND, Step.FAILED):
                        break
        except asyncio.CancelledError:
            await self.stop()
            raise
        # It ended without listening: back in its network, or failed and everything undone.
        result = await self.wait()
        if not result.successful:
            raise _as_error(result.failure)

    async def _begin(self, methods: Sequence[Method], *, resume: bool) -> Session:
        if self._running:
            raise ConfigurationError("a run is on already", hint="Stop it first.")
        await self._end_last()
        errors = ErrorLog(storage_of(self.platform))
        await errors.load()
        # One for all runs: it keeps the platform's limit of one connection request per 5 s.
        self._binder = self._binder or self._own_binder()
        session = self._session = Session(
            self.platform,
            identity=self.device_info,
            binder=self._binder,
            methods=methods,
            settings=self._settings,
            save_identity=self._save_identity,
            errors=errors,
            dev_log=self._dev_log,
            version=self._version,
            options=self._options,
            keys=self._keys,
        )
        if self._grant is not None:
            await session.set_grant(self._grant)
        self._result = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(session, self._result, resume=resume), name="qiot session")
        return session

    async def wait(self) -> SessionResult:
        """The end of the run: bound, joined or failed; comes as soon as it is known.

        Raises:
            ConfigurationError: Nothing was started.
        """
        if self._result is None:
            raise ConfigurationError("nothing was started", hint="Call start() first.")
        return await asyncio.shield(self._result)

    async def linger(self) -> None:
        """Return when phones that lost an answer have had time to ask again, and the doors are closed."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def events(self) -> AsyncIterator[Event]:
        """What happens in the run, from its first event to its last."""
        if self._session is not None:
            async for event in self._session.events.watch():
                yield event

    @property
    def history(self) -> Sequence[Event]:
        """What has happened in the run so far."""
        return tuple(self._session.events.history) if self._session else ()

    async def stop(self) -> None:
        """End the run now; what was not finished is undone. Idempotent."""
        async with self._ending:
            await self._end_run()

    async def _end_run(self) -> None:
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
            self._task = None
        if self._result is not None and self._session is not None and not self._result.done():
            # Cancelled before its first step: nothing of `_run` has been at work.
            failure = Failure(Step.IDLE, Reason.STOPPED, text="stopped by the program")
            self._result.set_result(SessionResult(Step.FAILED, failure))
            self._grant = None
            await self._session.close()

    async def aclose(self) -> None:
        """Stop everything, close the connection and the platform. Idempotent."""
        await self._end_last()
        if self._owns_platform:
            await self.platform.close()

    # --- state ------------------------------------------------------------------------------------------

    @property
    def step(self) -> Step:
        """Where the run is."""
        return self._session.step if self._session else Step.IDLE

    @property
    def local(self) -> tuple[str, int] | None:
        """Address and port of the command service; None where it is not open."""
        return self._session.local if self._session else None

    @property
    def result(self) -> SessionResult | None:
        """How the run ended, or None while it goes on."""
        done = self._result is not None and self._result.done() and not self._result.cancelled()
        return self._result.result() if done and self._result is not None else None

    def query_state(self) -> State:
        """Going on, success or failed; failed as well where nothing was started."""
        result = self.result
        if result is not None:
            return State.SUCCESS if result.successful else State.FAILED
        return State.GOING_ON if self._task is not None else State.FAILED

    @property
    def successful(self) -> bool:
        """True where the run reached its goal."""
        return self.query_state() is State.SUCCESS

    async def provisioned(self) -> bool:
        """True where an earlier run bound this very device, so that `start(resume=True)` can work."""
        return await self._ownership.load(self.device_info) is not None

    async def forget(self) -> None:
        """Forget that this device was bound: the next start waits for a phone again."""
        await self._ownership.erase()

    # --- access point, token, log -----------------------------------------------------------------------

    @property
    def access_point(self) -> SoftApSpec:
        """The access point for provisioning (the C SDK's AP info)."""
        return self._settings.access_point

    def set_access_point(self, ssid: str, password: str = "") -> None:
        """Change it for the next start.

        Raises:
            ConfigurationError: The name is not 1 to 32 octets, or the password not 8 to 63 characters.
        """
        if not 1 <= len(ssid.encode()) <= SSID_MAX:
            raise ConfigurationError("the access point's name has to be 1 to 32 octets long")
        if password and not 8 <= len(password) <= 63:  # noqa: PLR2004 - IEEE 802.11i
            raise ConfigurationError("the access point's password has to be 8 to 63 characters long")
        spec = attrs.evolve(
            self._settings.access_point, ssid=ssid.encode(), password=Secret(password) if password else None
        )
        self._settings = attrs.evolve(self._settings, access_point=spec)

    async def set_token(self, token: str) -> None:
        """A token from the program, for this run or the next; it binds whoever's credentials joined."""
        await self.set_grant(Grant(self.device_info.cloud.value, Secret(token)))

    async def set_grant(self, grant: Grant) -> None:
        """The same with all that a phone may have said; rlink needs the param `userId`."""
        self._grant = grant
        if self._session is not None and self._running:
            await self._session.set_grant(grant)

    async def send_log(self, *, random_password: bool = False, port: int = LOG_PORT) -> LogService:
        """After a failure: bring up the log access point and serve the device log to a phone.

        Raises:
            ConfigurationError: A run is on.
            HalError: Access point or port could not be opened; nothing is left of it.
        """
        if self._running:
            raise ConfigurationError("a run is on", hint="The command port serves the log meanwhile.")
        await self.stop()
        await self._stop_log()
        service = LogService(
            self.platform,
            self._dev_log,
            access_point=log_access_point(random_password=random_password),
            host=self._settings.udp_host,
            port=port,
        )
        await service.start()
        self._log_service = service
        self._log_task = asyncio.create_task(service.run(), name="qiot log service")
        return service

    async def log_sent(self) -> bool:
        """Wait for the log service to end: True where a phone has had the log."""
        task = self._log_task
        if task is None:
            return False
        await asyncio.wait({task})
        return not task.cancelled() and task.result()

    # --- after the bind ---------------------------------------------------------------------------------

    @property
    def link(self) -> CloudLink | None:
        """The open connection to the cloud, once bound."""
        return self.result.link if self.result is not None else None

    def thing(self) -> Thing:
        """The device's properties on the connection that bound it.

        Raises:
            ConfigurationError: The device is not bound in this run, or not to Tencent.
        """
        if self.device_info.cloud is not Cloud.TENCENT:
            raise ConfigurationError(
                f"properties at {self.device_info.cloud} have another form", hint="Use `link` itself."
            )
        if self.link is None:
            raise ConfigurationError("the device is not connected", hint="Wait until it is bound.")
        return Thing(self.link, self.device_info)

    # --- inside -----------------------------------------------------------------------------------------

    async def _run(self, session: Session, result: asyncio.Future[SessionResult], *, resume: bool) -> None:
        ended: SessionResult | None = None
        try:
            ended = await session.run(resume=resume)
            self._grant = None  # one for the next run may come from here on
            result.set_result(ended)
            if ended.successful:
                await session.linger()
        except asyncio.CancelledError:
            if not result.done():
                self._grant = None
                failure = session.failure or Failure(session.step, Reason.STOPPED)
                result.set_result(ended or SessionResult(Step.FAILED, failure))
            raise
        except Exception as error:
            log.exception("the session broke")
            if not result.done():
                self._grant = None
                failure = Failure(session.step, Reason.INTERNAL, text=type(error).__name__)
                result.set_result(SessionResult(Step.FAILED, failure))
        finally:
            # Doors may need a moment to close; who stops the run meanwhile waits for that.
            await finish(session.close())

    @property
    def _running(self) -> bool:
        """True until the result is known; afterwards only the doors are still open for a while."""
        return self._task is not None and self.result is None

    async def _end_last(self) -> None:
        """Stop what the last run may have left to its caller: open doors, log service, connection."""
        await self.stop()
        await self._stop_log()
        if self.link is not None:
            await self.link.close()

    async def _stop_log(self) -> None:
        task, self._log_task = self._log_task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        service, self._log_service = self._log_service, None
        if service is not None:
            await service.stop()

    async def _save_identity(self, identity: DeviceInfo) -> None:
        self.device_info = identity
        if self._path is not None:
            # A secret that the cloud gave is saved even where the run is stopped meanwhile.
            self.device_info = await finish(asyncio.to_thread(save_device_info, self._path, identity))

    def _own_binder(self) -> Binder:
        try:
            transport: Transport | None = self.platform.port(Transport)
        except NotSupportedError:
            transport = None
        return make_binder(
            self.device_info,
            self._cloud,
            transport=transport,
            pair_time=self._settings.proto_version == "3.0",
            version=self._version,
        )


def _open(hal: str | PlatformSpec | Sequence[str | PlatformSpec] | Platform) -> Platform:
    if isinstance(hal, Platform):
        return hal
    if isinstance(hal, str | PlatformSpec):
        return open_platform(hal)
    return open_platform(*hal)


def _as_error(failure: Failure | None) -> QiotError:
    if failure is None:
        return QiotError("the run failed")
    return QiotError(failure.text, reason=failure.reason, code=failure.code, hint=failure.hint)
