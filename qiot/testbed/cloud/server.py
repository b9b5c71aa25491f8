"""The local cloud as one object: start it, point devices and phones at its URLs, read its journal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from qiot.errors import ConfigurationError
from qiot.testbed.cloud.app_api import AppApi
from qiot.testbed.cloud.authority import Authority
from qiot.testbed.cloud.broker import MqttService
from qiot.testbed.cloud.dynreg import Dynreg
from qiot.testbed.cloud.faults import Fault, Faults, Point, parse_mode
from qiot.testbed.cloud.http import HttpServer, Route
from qiot.testbed.cloud.journal import Journal, Kind, Record
from qiot.testbed.cloud.listener import Listener
from qiot.testbed.cloud.registry import Device, Registry, load_devices
from qiot.testbed.cloud.rlink.answers import Rlink
from qiot.testbed.cloud.rlink.app import CHECK_BIND, PROPERTIES, UNBIND, RlinkApp
from qiot.testbed.cloud.things import Things

__all__ = ["LocalCloud"]


class LocalCloud:
    """A stand-in for Tencent IoT Explorer and for rlink: registration, MQTT and the application's API.

    Use it as an async context manager, or call `start` and `aclose`. It can be started once.

    Args:
        devices: A file, or JSON data, with the devices (see `registry.load_devices`); None is the built-in
            demo product.
        host: Where to listen.
        http_port: 0 takes any free port. It serves HTTP, and HTTPS with `tls_dir`.
        mqtt_port: The same for MQTT and MQTTS.
        tls_dir: Folder of the certificates, made where missing (see `authority.Authority`).
        mode: What goes wrong on purpose (see `faults`).
        mode_file: The same as a file that is read again whenever it changes.
        on_record: Called with every record, on the event loop; it must not raise or block.
        connect_interval: Seconds within which a device may connect only once (contract section 9).
        token_life: Seconds in which a device has to report a bind token.

    Raises:
        ConfigurationError: Devices or mode cannot be used.
    """

    def __init__(
        self,
        devices: Path | str | Mapping[str, Any] | Sequence[Any] | None = None,
        *,
        host: str = "127.0.0.1",
        http_port: int = 0,
        mqtt_port: int = 0,
        tls_dir: Path | str | None = None,
        mode: Mapping[str, Any] | None = None,
        mode_file: Path | str | None = None,
        on_record: Callable[[Record], None] | None = None,
        connect_interval: float = 5.0,
        token_life: float = 600.0,
    ) -> None:
        if mode is not None and mode_file is not None:
            raise ConfigurationError("give a mode or a mode file, not both")
        found, products = load_devices(Path(devices) if isinstance(devices, str) else devices)
        certified = [each.path for each in found if isinstance(each, Device) and each.certificate]
        if certified and tls_dir is None:
            raise ConfigurationError(
                f"{certified[0]} logs in with a certificate, which needs TLS",
                hint="Give a folder for certificates with --tls-dir.",
            )
        self._host = host
        self._ports = (http_port, mqtt_port)
        self._tls_dir = Path(tls_dir) if tls_dir is not None else None
        self._interval = connect_interval
        self._authority: Authority | None = None
        self._http: Listener | None = None
        self._mqtt: Listener | None = None
        self._service: MqttService | None = None
        self.journal = Journal(on_record)
        self.registry = Registry(found, products, token_life)
        self._rlink = Rlink(self.registry.rlink, self.journal)
        self.faults = Faults(
            parse_mode(mode) if mode is not None else None,
            Path(mode_file) if mode_file is not None else None,
            on_fault=self._note_fault,
            on_mode=self._note_mode,
        )

    async def start(self) -> None:
        """Start everything.

        Raises:
            MediumError: A port cannot be had; nothing is left open.
            ConfigurationError: `tls_dir` holds certificates that cannot be used.
            StorageError: `tls_dir` cannot be read or written.
        """
        try:
            await self._start()
        except BaseException:
            await self.aclose()
            raise

    async def _start(self) -> None:
        context = None
        if self._tls_dir is not None:
            self._authority = await asyncio.to_thread(Authority.open, self._tls_dir)
            context = await asyncio.to_thread(self._authority.server_context)
        things = Things(self.registry, self.journal)
        rlink = self._rlink

        def answer(topic: str, payload: bytes) -> Iterator[tuple[str, bytes]]:
            yield from things.answer(topic, payload)
            yield from rlink.answer(topic, payload)

        service = MqttService(self.registry, self.faults, self.journal, answer, self._interval)
        self._service = service
        await service.start()

        def control(device: Device, data: dict[str, Any]) -> None:
            service.send(*things.control(device, data))

        dynreg = Dynreg(self.registry, self._authority, self.journal)
        app = Route(Point.APP, AppApi(self.registry, control, self.journal).answer)
        rlink_app = RlinkApp(self.registry.rlink, rlink, service.send, self.journal)
        routes = {
            "/register/dev": Route(Point.DYNREG, dynreg.register_dev),
            "/device/register": Route(Point.DYNREG, dynreg.device_register),
            "/app": app,
            "/api/exploreropen/tokenapi": app,
            CHECK_BIND: Route(Point.APP, rlink_app.check_bind),
            UNBIND: Route(Point.APP, rlink_app.unbind),
            PROPERTIES: Route(Point.APP, rlink_app.set_properties),
        }
        web = HttpServer(routes, self.faults, self.journal)
        self._http = Listener(
            web.serve, self.faults, self.journal, tcp=Point.HTTP_TCP, tls=Point.HTTP_TLS, context=context
        )
        await self._http.start(self._host, self._ports[0])
        self._mqtt = Listener(
            service.serve, self.faults, self.journal, tcp=Point.MQTT_TCP, tls=Point.MQTT_TLS, context=context
        )
        await self._mqtt.start(self._host, self._ports[1])

    async def aclose(self) -> None:
        """Stop everything; no task and no socket is left. Idempotent."""
        for listener in (self._http, self._mqtt):
            if listener is not None:
                await listener.close()
        if self._service is not None:
            await self._service.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def http_url(self) -> str:
        """Where dynamic registration and the application's API are, such as "http://127.0.0.1:8080"."""
        return self._url("http", self._http)

    @property
    def mqtt_url(self) -> str:
        """Where devices connect, such as "mqtt://127.0.0.1:1883"."""
        return self._url("mqtt", self._mqtt)

    @property
    def https_url(self) -> str | None:
        """The same port with TLS; None where TLS is off."""
        return self._url("https", self._http) if self._authority is not None else None

    @property
    def mqtts_url(self) -> str | None:
        """The same port with TLS; None where TLS is off."""
        return self._url("mqtts", self._mqtt) if self._authority is not None else None

    @property
    def ca_file(self) -> Path | None:
        """The certificate to trust; None where TLS is off."""
        return self._authority.ca_file if self._authority is not None else None

    @property
    def records(self) -> Sequence[Record]:
        """What happened, oldest first."""
        return self.journal.records

    async def wait_for(
        self, predicate: Callable[[Record], bool], *, timeout: float = 10.0, since: int = 0
    ) -> Record:
        """The first record after number `since` that fits; see `Journal.wait_for`.

        Raises:
            TimeoutError: None came within `timeout` seconds.
        """
        return await self.journal.wait_for(predicate, timeout=timeout, since=since)

    def set_mode(self, mode: Mapping[str, Any]) -> None:
        """Use another mode from now on (see `faults`); {} is a cloud without fault.

        Raises:
            ConfigurationError: It cannot be used; the old one stays.
        """
        self.faults.set(parse_mode(mode))

    def issue(self, uuid: str, code: str, data: Mapping[str, Any]) -> None:
        """Send a command to an rlink device.

        Raises:
            ConfigurationError: There is no such device.
        """
        unit = self.registry.rlink.unit(uuid)
        if unit is None or self._service is None:
            raise ConfigurationError(f"there is no rlink device {uuid}")
        self._service.send(*self._rlink.issue(unit, code, data))

    def _url(self, scheme: str, listener: Listener | None) -> str:
        assert listener is not None, "not started"  # noqa: S101 - a fault of the caller
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{scheme}://{host}:{listener.port}"

    def _note_fault(self, point: Point, fault: Fault) -> None:
        detail = {"kind": fault.kind} if fault.kind else {}
        self.journal.note(Kind.FAULT, f"{point}: {fault.do}", code=fault.code, **detail)

    def _note_mode(self, problem: str) -> None:
        self.journal.note(Kind.MODE, problem or "mode file read again", code=1 if problem else 0)
