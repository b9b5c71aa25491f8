"""Phones that provision through the air, on real sockets: what they send can be decoded, answers count."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from qiot.errors import MediumError
from qiot.model import Secret
from qiot.protocols.air.airkiss import AirKiss
from qiot.protocols.air.casts import Cast
from qiot.protocols.air.observation import BROADCAST, Direction, Observation
from qiot.protocols.air.results import Decoded
from qiot.protocols.air.tracker import Tracker, all_decoders
from qiot.protocols.lan.air_acks import RealtekReport, RealtekRequest
from qiot.testbed.phone.__main__ import _parser, _printer
from qiot.testbed.phone.air import AirSender, open_udp_sink
from qiot.testbed.phone.air_options import plan_of
from qiot.testbed.phone.air_phone import AirPhone
from qiot.testbed.phone.air_rules import airkiss_rules
from tests.testbed_phone.peers import INFO, PASSWORD, TOKEN, cloud

MAC = bytes.fromhex("240ac4010203")
PHONE_MAC = bytes.fromhex("0a1b2c3d4e5f")
_hosts = itertools.count(1)


def loopback() -> tuple[str, str]:
    """The addresses of a phone and a device that no other test uses, so that ports cannot clash."""
    number = next(_hosts)
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) + 70
    return f"127.{worker}.{number}.1", f"127.{worker}.{number}.2"


class Ear(asyncio.DatagramProtocol):
    """One UDP port of a device."""

    def __init__(self, heard: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._heard = heard
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._heard(data, addr)


@contextlib.asynccontextmanager
async def ear(host: str, port: int, heard: Callable[[bytes, tuple[str, int]], None]) -> AsyncIterator[Ear]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(lambda: Ear(heard), local_addr=(host, port))
    try:
        yield protocol
    finally:
        transport.close()


def observed(length: int, number: int) -> Observation:
    """A datagram as it would be in the air."""
    return Observation(
        PHONE_MAC,
        bytes(6),
        Direction.TO_AP,
        BROADCAST,
        length + 52,
        number % 4096,
        0,
        False,
        None,
        6,
        number * 0.008,
    )


class Device:
    """Decodes what comes, as a sniffer beside it would, and then does what it is told."""

    def __init__(self, answer: Callable[[Decoded], Iterable[bytes]], **keys: Secret) -> None:
        self.decoded: Decoded | None = None
        self.ear: Ear | None = None
        self.ack_to: tuple[str, int] = ("", 0)
        self._answer = answer
        self._tracker = Tracker(lambda: all_decoders(**keys))
        self._count = 0

    def heard(self, data: bytes, sender: tuple[str, int]) -> None:
        self._count += 1
        for result in self._tracker.feed(observed(len(data), self._count)):
            self.decoded = result
            for answer in self._answer(result):
                self.ear.transport.sendto(answer, self.ack_to)


def phone_of(*arguments: object, steps: list[dict[str, Any]]) -> AirPhone:
    options = _parser().parse_args([*map(str, arguments), "--password", PASSWORD])
    plan = plan_of(options, Secret(PASSWORD))
    return AirPhone(
        plan.encoder,
        plan.rules,
        host=plan.host,
        on_event=steps.append,
        timeout=30,
        hidden=plan.hidden,
        poll_interval=0.01,
    )


async def acknowledged(
    command: str, port: int, ack_port: int, device: Device, *options: object
) -> tuple[Any, list[dict[str, Any]]]:
    host, address = loopback()
    steps: list[dict[str, Any]] = []
    phone = phone_of(command, "--ssid", "Home", "--host", host, "--broadcast", address, *options, steps=steps)
    device.ack_to = (host, ack_port)
    async with ear(address, port, device.heard) as listening:
        device.ear = listening
        result = await phone.run()
    assert PASSWORD not in json.dumps(steps)
    assert (result.error, result.device, result.mac) == ("", address, MAC)
    assert device.decoded is not None
    assert device.decoded.credentials.ssid == b"Home"
    assert device.decoded.credentials.password == Secret(PASSWORD)
    return result, steps


async def test_smartconfig_is_decoded_and_its_acknowledgement_counts() -> None:
    """The address is the header's: that in the answer is another one."""

    def answer(result: Decoded) -> Iterable[bytes]:
        token = result.ack.data
        ip = bytes((10, 9, 8, 7))
        yield bytes((token[0] ^ 1,)) + MAC + ip  # to another phone
        yield token + MAC  # too short
        yield token + MAC + ip

    _, steps = await acknowledged("smartconfig", 7001, 18266, Device(answer))
    assert [step["event"] for step in steps] == [
        "listening",
        "sending",
        "sending",
        "ignored",
        "ignored",
        "ack",
        "acked",
    ]
    assert [step["part"] for step in steps[1:3]] == ["guide", "data"]
    assert "another phone" in steps[3]["text"]
    assert steps[5]["mac"] == MAC.hex(":")
    assert steps[5]["ip"] == "10.9.8.7"


async def test_esptouch2_takes_the_first_free_port_and_answers_the_answer() -> None:
    confirmed: list[bytes] = []
    host, address = loopback()
    steps: list[dict[str, Any]] = []
    phone = phone_of(
        "esptouch2", "--ssid", "Home", "--host", host, "--broadcast", address, "--key", "hex:" + "07" * 16,
        "--security-version", 2, "--reserved", "uid=42", steps=steps,
    )  # fmt: skip
    device = Device(lambda result: [result.ack.data + MAC], esptouch_key=Secret(b"\7" * 16))
    device.ack_to = (host, 28266)
    twice = asyncio.Event()

    def confirm(data: bytes, _: tuple[str, int]) -> None:
        confirmed.append(data)
        if len(confirmed) == 2:
            twice.set()

    async with (
        ear(host, 18266, lambda *_: None),
        ear(address, 7001, device.heard) as device.ear,
        ear(address, 7002, confirm),
    ):
        result = await phone.run()
        await twice.wait()
    assert steps[0] == {"event": "listening", "port": 28266}
    assert (result.error, result.device) == ("", address)
    assert confirmed == [b"\1", b"\1"]
    assert device.decoded is not None
    assert device.decoded.ack.data == b"\1"
    assert device.decoded.reserved == b"uid=42"


async def test_airkiss_ends_with_the_token_in_the_devices_hands() -> None:
    tokens: list[dict[str, str]] = []
    host, address = loopback()
    steps: list[dict[str, Any]] = []
    phone = phone_of(
        "airkiss", "--ssid", "Home", "--host", host, "--broadcast", address, "--random-byte", 77,
        "--key", "secret key", steps=steps,
    )  # fmt: skip
    phone.token, phone.host = Secret(TOKEN), host
    device = Device(lambda result: [result.ack.data + MAC], airkiss_key=Secret(b"secret key"))
    device.ack_to = (host, 10000)

    def take_token(data: bytes, sender: tuple[str, int]) -> None:
        tokens.append(json.loads(data))
        commands.transport.sendto(INFO, sender)

    async with ear(address, 10001, device.heard) as device.ear, ear(address, 8266, take_token) as commands:
        result = await phone.run()
    assert tokens[0] == {"cmdType": 0, "token": TOKEN}
    assert result.error == ""
    assert (result.token.answered, result.token.product_id) == (True, "P1")
    assert steps[-1] == {"event": "answered", "productId": "P1", "deviceName": "D1"}
    assert TOKEN not in json.dumps(steps)
    assert "secret key" not in json.dumps(steps)


async def test_an_old_airkiss_device_answers_with_one_octet() -> None:
    host, address = loopback()
    steps: list[dict[str, Any]] = []
    phone = phone_of("airkiss", "--ssid", "Home", "--host", host, "--broadcast", address, steps=steps)
    device = Device(lambda result: [result.ack.data])
    device.ack_to = (host, 10000)
    async with ear(address, 10001, device.heard) as device.ear:
        result = await phone.run()
    assert (result.error, result.device, result.mac) == ("", address, None)


async def test_simpleconfig_confirms_to_the_device() -> None:
    confirmed = asyncio.get_running_loop().create_future()

    def confirm(data: bytes, sender: tuple[str, int]) -> None:
        confirmed.set_result((data, sender))

    host, address = loopback()
    steps: list[dict[str, Any]] = []
    phone = phone_of(
        "simpleconfig", "--ssid", "Home", "--host", host, "--broadcast", address, "--pattern", 4,
        "--pin", "87654321", "--mac", PHONE_MAC.hex(), steps=steps,
    )  # fmt: skip

    def answer(result: Decoded) -> Iterable[bytes]:
        yield RealtekReport(1, MAC, "0.0.0.0").build()
        yield RealtekReport(0, MAC, "0.0.0.0").build()

    device = Device(answer, pin=Secret(b"87654321"))
    device.ack_to = (host, 8864)
    async with ear(address, 18864, device.heard) as device.ear, ear(address, 8864, confirm):
        result = await phone.run()
        data, sender = await confirmed
    assert (result.error, result.device, result.mac) == ("", address, MAC)
    assert data[0] == 4
    assert len(data) == 92
    request = RealtekRequest.parse(data)
    assert request.proves(b"87654321")
    assert request.mac == PHONE_MAC
    assert sender == (host, 8864)
    assert "ignored" in [step["event"] for step in steps]


# --- the program -------------------------------------------------------------------------------------------


async def run_program(*arguments: object) -> tuple[int, list[dict[str, Any]]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "qiot.testbed.phone",
        *map(str, arguments),
        "--json",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = out.decode()
    assert PASSWORD not in text
    assert TOKEN not in text
    assert process.returncode is not None
    return process.returncode, [json.loads(line) for line in text.splitlines()]


async def test_the_program_goes_from_the_air_to_bound(tmp_path: Path) -> None:
    script = {
        "AppCreateBindToken": {"Response": {"Token": TOKEN}},
        "AppGetDeviceBindTokenState": {"Response": {"State": 2}},
        "AppTokenBindDeviceFamily": {"Response": {}},
    }
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    host, address = loopback()
    device = Device(lambda result: [result.ack.data + MAC])
    device.ack_to = (host, 18266)

    def take_token(data: bytes, sender: tuple[str, int]) -> None:
        assert json.loads(data)["token"] == TOKEN
        commands.transport.sendto(INFO, sender)

    async with (
        cloud(**script) as api,
        ear(address, 7001, device.heard) as device.ear,
        ear(address, 8266, take_token) as commands,
    ):
        status, steps = await run_program(
            "esptouch2", "--ssid", "Home", "--password-file", tmp_path / "password", "--host", host,
            "--broadcast", address, "--app-url", api.url, "--timeout", 60,
        )  # fmt: skip
    assert status == 0
    assert device.decoded is not None
    assert device.decoded.credentials.password == Secret(PASSWORD)
    assert steps[-1] == {"event": "bound", "productId": "P1", "deviceName": "D1"}
    assert [each["event"] for each in steps if each["event"] in {"ack", "token", "poll"}] == [
        "ack",
        "token",
        "poll",
    ]


async def test_the_program_fails_with_reason_and_hint() -> None:
    host, address = loopback()
    status, steps = await run_program(
        "smartconfig", "--ssid", "Home", "--host", host, "--broadcast", address, "--timeout", 0.1
    )
    assert status == 1
    assert steps[-1]["event"] == "failed"
    assert steps[-1]["reason"] == "time-out"
    assert steps[-1]["hint"]


# --- what goes wrong ---------------------------------------------------------------------------------------


async def test_no_answer_is_a_typed_failure() -> None:
    host, address = loopback()
    steps: list[dict[str, Any]] = []
    phone = phone_of("airkiss", "--ssid", "Home", "--host", host, "--broadcast", address, steps=steps)
    phone.timeout = 0.05
    error = (await phone.run()).error
    assert "no end within 0.05 s: no device has acknowledged" in error
    assert (steps[-1]["event"], steps[-1]["reason"]) == ("failed", "time-out")
    assert "router" in steps[-1]["hint"]


async def test_after_the_last_datagram_it_listens_no_longer_than_the_protocol_says() -> None:
    host, address = loopback()

    class Brief:
        def round(self) -> Iterable[Cast]:
            return self.casts()

        def casts(self) -> Iterable[Cast]:
            return [Cast(0.0, address, 10001, 5, "guide"), Cast(0.001, address, 10001, 0, "data")]

    heard: asyncio.Queue[int] = asyncio.Queue()
    steps: list[dict[str, Any]] = []
    rules = airkiss_rules(7)
    phone = AirPhone(lambda _: Brief(), rules.__class__(rules.ports, rules.check, patience=0.0), host=host)
    phone.on_event = steps.append
    async with ear(address, 10001, lambda data, _: heard.put_nowait(len(data))):
        assert "after 2 datagrams" in (await phone.run()).error
        assert [await heard.get(), await heard.get()] == [5, 0]
    assert "2.4 GHz" in steps[-1]["hint"]


async def test_a_taken_port_is_named() -> None:
    host, address = loopback()
    steps: list[dict[str, Any]] = []
    phone = phone_of("airkiss", "--ssid", "Home", "--host", host, "--broadcast", address, steps=steps)
    async with ear(host, 10000, lambda *_: None):
        assert "10000" in (await phone.run()).error
    assert steps[-1]["reason"] == "port busy"


async def test_an_address_of_somebody_else_is_named() -> None:
    with pytest.raises(MediumError, match=r"198\.51\.100\.9"):
        async with open_udp_sink("198.51.100.9"):
            pass


async def test_a_network_that_takes_nothing_is_said_at_once() -> None:
    async with open_udp_sink("127.0.0.1") as sink:
        with pytest.raises(MediumError, match="nothing can be sent") as caught:
            await sink.send("198.51.100.9", 7001, 5)
    assert "--interface" in caught.value.hint


async def test_a_cancelled_phone_leaves_nothing() -> None:
    host, address = loopback()
    steps: list[dict[str, Any]] = []
    phone = phone_of("smartconfig", "--ssid", "Home", "--host", host, "--broadcast", address, steps=steps)
    first = asyncio.Event()
    tasks = len(asyncio.all_tasks())
    async with ear(address, 7001, lambda *_: first.set()):
        running = asyncio.ensure_future(phone.run())
        await first.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert len(asyncio.all_tasks()) == tasks
    async with ear(host, 18266, lambda *_: None):
        pass


# --- the sender without sockets ----------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


class Record:
    """A sink that takes its time now and then."""

    def __init__(self, clock: Clock, delays: dict[int, float]) -> None:
        self.sent: list[tuple[float, int]] = []
        self._clock = clock
        self._delays = delays

    async def send(self, to: str, port: int, length: int) -> None:
        self.sent.append((self._clock.time - 100.0, length))
        self._clock.time += self._delays.get(len(self.sent), 0.0)


async def test_the_sender_keeps_the_encoders_time() -> None:
    clock = Clock()
    sink = Record(clock, {})
    encoder = AirKiss(b"Home", Secret(b"12345678"), 1)
    casts = list(itertools.islice(encoder.casts(), 1000))
    parts: list[str] = []
    sender = AirSender(casts, sink, on_part=parts.append, clock=clock)
    await sender.run()
    assert sink.sent == [(pytest.approx(cast.t), cast.length) for cast in casts]
    assert sender.sent == 1000
    assert parts == ["guide", "magic", "prefix", "data"]


async def test_a_late_sender_catches_up_with_little_and_never_bursts() -> None:
    clock = Clock()
    sink = Record(clock, {2: 0.02, 6: 5.0})
    casts = [Cast(count * 0.01, "255.255.255.255", 7001, count, "data") for count in range(9)]
    await AirSender(casts, sink, clock=clock).run()
    times = [time for time, _ in sink.sent]
    assert times == pytest.approx([0.0, 0.01, 0.03, 0.03, 0.04, 0.05, 5.05, 5.06, 5.07])


def test_the_printer_takes_every_step(capsys: pytest.CaptureFixture[str]) -> None:
    _printer(as_json=False)({"event": "ack", "mac": "24:0a", "sender": "1.2.3.4:5"})
    assert capsys.readouterr().out == "ack: mac=24:0a, sender=1.2.3.4:5\n"
