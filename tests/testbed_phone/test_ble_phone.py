"""The phone's commands over Bluetooth, in a process of their own, and the link below them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest

from qiot.hal.bumble.gatt import BumbleGatt
from qiot.hal.contract import Gatt, GattProfile, Written
from qiot.model import Event, Failure, Offer, Outcome, Peer, Reason, Step
from qiot.protocols.base import Codec, Connected, Input, Learned, Lost, Mtu, News, Output, Send, Subscribed
from qiot.protocols.ble.blufi import BluFiDevice
from qiot.protocols.ble.btcombo import BtComboDevice
from qiot.protocols.ble.llsync import LLSyncDevice
from qiot.protocols.ble.thing import ThingDevice
from qiot.sim.bluetooth import BluetoothAir
from qiot.testbed.ble_link import Advertisement, CodecRunner, LinkError, Wanted
from qiot.testbed.ble_link.on_bumble import BumbleCentral
from qiot.testbed.phone.__main__ import _parser, main
from qiot.testbed.phone.ble_options import ble_phone

PATIENCE = 30.0
PROFILE = GattProfile(
    "fff0",
    {"fff1": frozenset({"write", "write-without-response"}), "fff2": frozenset({"notify"})},
    bytes.fromhex("0201060303f0ff"),
    b"\x05\x09TEST",
)


# --- what is seen -------------------------------------------------------------------------------------------


def test_an_advertisement_is_read() -> None:
    long = bytes(range(16))
    advertising = bytes.fromhex("0201060503f0ffffff") + b"\x11\x06" + long
    seen = Advertisement.of_octets("AA", advertising, b"\x03\x08TE\x05\xff\xe7\xfe\x02\x07", -40)
    assert seen.services == {
        "0000fff0-0000-1000-8000-00805f9b34fb",
        "0000ffff-0000-1000-8000-00805f9b34fb",
        "0f0e0d0c-0b0a-0908-0706-050403020100",
    }
    assert (seen.name, seen.manufacturer) == ("TE", {0xFEE7: b"\x02\x07"})


@pytest.mark.parametrize(
    "octets", [b"\x00", b"\x05\x09ab", b"\x02\xff\x01", b"\x03\x03\xf0", b"\xff" * 31, b"\x01"]
)
def test_damaged_advertisements_say_less(octets: bytes) -> None:
    assert Advertisement.of_octets("AA", octets, octets, 0).address == "AA"


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Wanted(), True),
        (Wanted(service="fff0"), True),
        (Wanted(service="ffff"), False),
        (Wanted(name="TE"), True),
        (Wanted(name="ST"), False),
        (Wanted(address="aa:bb:cc:dd:ee:ff"), True),
        (Wanted(address="AA:BB:CC:DD:EE:00"), False),
        (Wanted("fff0", "TEST", "AA:BB:CC:DD:EE:FF"), True),
    ],
)
def test_which_device_is_wanted(wanted: Wanted, fits: bool) -> None:
    seen = Advertisement.of_octets("AA:BB:CC:DD:EE:FF", PROFILE.advertising, PROFILE.scan_response, 0)
    assert wanted.fits(seen) is fits


# --- the link -----------------------------------------------------------------------------------------------


@attrs.define
class Script:
    """A phone's codec: writes `hello`, waits for `yes` or `no`, asks again when its clock is due."""

    fed: list[Input] = attrs.field(factory=list)
    due: float | None = None
    again: int = 0

    def feed(self, port: str, data: Input, peer: Peer, now: float) -> Sequence[Output]:
        self.fed.append(data)
        if isinstance(data, Subscribed):
            self.due = now + 0.05
            return [Send("fff1", b"hello", peer, confirm=True)]
        if data == b"yes":
            return [Learned("bound", last=True)]
        if data == b"no":
            failure = Failure(Step.BINDING, Reason.TOKEN_REFUSED)
            return [Learned("bound", failure=failure, last=True)]
        return ()

    def tell(self, news: News, now: float) -> Sequence[Output]:
        return ()

    def deadline(self) -> float | None:
        return self.due

    def tick(self, now: float) -> Sequence[Output]:
        self.due, self.again = None, self.again + 1
        return [Send("fff1", b"again", Peer("x", ""))]


@attrs.define
class Near:
    """A device and a phone."""

    gatt: Gatt
    central: BumbleCentral
    codec: Script = attrs.field(factory=Script)
    steps: list[str] = attrs.field(factory=list)

    def runner(self, **options: Any) -> CodecRunner:
        return CodecRunner(
            self.central,
            self.codec,
            method="x",
            notify=["fff2"],
            on_step=lambda step, _: self.steps.append(step),
            **options,
        )

    async def written(self, wanted: bytes) -> Peer:
        """The peer that wrote this."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for peer, event in await self.gatt.read():
                    if event == Written("fff1", wanted):
                        return peer


@pytest.fixture
async def near() -> AsyncIterator[Near]:
    air = BluetoothAir()
    gatt = BumbleGatt(partial(air.device, air.address()))
    await gatt.start([PROFILE])
    async with BumbleCentral(partial(air.device, air.address())) as central:
        yield Near(gatt, central)
    await gatt.stop()


async def test_a_codec_is_driven_to_its_end(near: Near) -> None:
    runner = near.runner(mtu=100)
    await runner.connect(Wanted(name="TEST"))
    running = asyncio.ensure_future(runner.run())
    peer = await near.written(b"again")
    await near.gatt.notify("fff2", b"yes", peer)
    last = await asyncio.wait_for(running, PATIENCE)
    assert (last.what, near.codec.again) == ("bound", 1)
    assert near.codec.fed == [Connected(), Mtu(100), Subscribed("fff2"), b"yes"]
    assert near.steps[:4] == ["looking for", "found", "connected", "subscribed"]


async def test_a_lost_device_is_looked_for_again_as_often_as_allowed(near: Near) -> None:
    runner = near.runner(reconnects=1)
    await runner.connect(Wanted(service="fff0"))
    running = asyncio.ensure_future(runner.run())
    await near.gatt.disconnect(await near.written(b"hello"))
    peer = await near.written(b"hello")
    assert near.codec.fed.count(Lost()) == 1
    await near.gatt.disconnect(peer)
    with pytest.raises(LinkError, match="before it was done"):
        await asyncio.wait_for(running, PATIENCE)


async def test_nobody_is_there(near: Near) -> None:
    with pytest.raises(LinkError, match="no device was seen with service ffff") as caught:
        await near.central.find(Wanted(service="ffff"), 0.2)
    assert await near.gatt.address() in caught.value.hint


async def test_what_a_link_cannot_do(near: Near) -> None:
    with pytest.raises(LinkError, match="no link"):
        await near.central.write("fff1", b"x")
    await near.central.connect(await near.central.find(Wanted(), PATIENCE), PATIENCE)
    with pytest.raises(LinkError, match="no characteristic ff01"):
        await near.central.write("ff01", b"x")
    long = bytes(range(256)) * 2
    await near.central.write("fff1", long)
    await near.written(long)
    await near.gatt.stop()
    async with asyncio.timeout(PATIENCE):
        assert [item async for item in near.central.notifications()] == [Lost()]
    with pytest.raises(LinkError):
        await near.central.write("fff1", b"x")


# --- the commands -------------------------------------------------------------------------------------------


async def command(*words: str) -> tuple[int, list[dict[str, Any]], str]:
    """Run a command; gives status, steps, and what it said on stderr."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "error", "-m", "qiot.testbed.phone", *words, "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE * 2)
    return process.returncode or 0, [json.loads(line) for line in out.splitlines()], err.decode()


async def test_a_command_shows_each_step_and_fails_with_1() -> None:
    """The device has LLSync's service, and does not speak it."""
    air = BluetoothAir()
    gatt = BumbleGatt(partial(air.device, air.address()))
    names = {"ffe1": frozenset({"write"}), "ffe3": frozenset({"notify"})}
    await gatt.start([attrs.evolve(PROFILE, characteristics=names)])
    async with air.transport() as name, contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(gatt.stop)
        running = asyncio.ensure_future(
            command(
                *("llsync", "--ssid", "Home", "--password", "secret123", "--reconnects", "0"),
                *("--adapter", f"bumble:{name}"),
            )
        )
        async with asyncio.timeout(PATIENCE):
            heard: list[Any] = []
            while not any(isinstance(event, Written) for _, event in heard):
                heard += await gatt.read()
        await gatt.stop()
        code, steps, err = await running
    assert (code, err) == (1, "")
    assert [step["event"] for step in steps[:4]] == ["looking for", "found", "connected", "subscribed"]
    assert steps[-1]["event"] == "failed"
    assert "secret123" not in json.dumps(steps)


async def test_a_transport_that_does_not_open_is_a_failure() -> None:
    code, steps, _ = await command("blufi", "--adapter", "bumble:tcp-client:127.0.0.1:1")
    assert code == 1
    assert "does not open" in steps[-1]["text"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["btcombo"], "--ssid is missing"),
        (["blufi", "--password", "x"], "--password without --ssid"),
        (["thing", "--password-file", "x"], "--password-file without --ssid"),
        (["llsync", "--ssid", "x", "--password-file", "/nowhere/at/all"], "cannot be read as UTF-8"),
        (["blufi", "--ssid", "x", "--password", "x", "--password-file", "x"], "not allowed with"),
        (["llsync", "--ssid", "x" * 33], "32 octets"),
        (["blufi", "--ssid", "x", "--adapter", "usb:0"], "bumble:usb:0"),
        (["blufi", "--ssid", "x", "--mtu", "600"], "--mtu"),
        (["thing", "--ssid", "x", "--ble", "dance"], "--ble"),
        (["llsync", "--ssid", "x", "--app-url", "nonsense"], "nonsense"),
    ],
)
def test_wrong_use_is_2(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert says in capsys.readouterr().err


# --- the password from a file -------------------------------------------------------------------------------

DEVICES: dict[str, Callable[[], Codec]] = {
    "blufi": lambda: BluFiDevice(random=secrets.token_bytes),
    "btcombo": lambda: BtComboDevice(product_id="P1", device_name="D1"),
    "llsync": lambda: LLSyncDevice(device_name="D1"),
    "thing": lambda: ThingDevice(
        product_id="P1", uuid="U1", secret=None, random=secrets.token_bytes, wall=lambda: 0.0
    ),
}


def passwords_that_reach(device: Codec, phone: Codec, notify: str, count: int) -> list[str]:
    """What the phone gives the device, which can join with none of them, on one connection."""
    peer = Peer("phone", "AA:BB:CC:DD:EE:FF")
    now, heard = 0.0, list[str]()
    waiting: list[tuple[Codec, Output]] = []

    def said_by(side: Codec, outputs: Sequence[Output]) -> None:
        waiting.extend((side, output) for output in outputs)

    for side in (device, phone):
        said_by(side, side.feed("", Connected(), peer, now))
    said_by(phone, phone.feed(notify, Subscribed(notify), peer, now))
    while len(heard) < count:
        if not waiting:
            due = phone.deadline()
            assert due is not None, "the phone waits for nothing"
            now = max(now, due)
            said_by(phone, phone.tick(now))
            continue
        side, output = waiting.pop(0)
        other = phone if side is device else device
        if isinstance(output, Send):
            said_by(other, other.feed(output.port, output.data, peer, now))
        elif isinstance(output, Offer) and output.credentials is not None:
            heard.append(output.credentials.password.text())
            failure = Failure(Step.JOINING, Reason.WRONG_PASSWORD)
            event = Event(1, now, 1, Step.JOINING, Outcome.FAILED, failure=failure, peer=peer)
            said_by(device, device.tell(event, now))
    return heard


@pytest.mark.parametrize("name", list(DEVICES))
def test_passwords_come_from_files_too(name: str, tmp_path: Path) -> None:
    words = [name, "--ssid", "Home", "--adapter", "bumble:none"]
    for number, text in enumerate(("wrong 1", "s3cret é")):
        (tmp_path / str(number)).write_text(f"{text}\r\nnot this\n", encoding="utf-8")
        words += ["--password-file", str(tmp_path / str(number))]
    phone = ble_phone(_parser().parse_args(words), lambda _: None)
    (notify,) = phone.notify
    heard = passwords_that_reach(DEVICES[name](), phone.make_codec(None), notify, 2)
    assert heard == ["wrong 1", "s3cret é"]
    assert [each.text() for each in phone.hidden] == heard
