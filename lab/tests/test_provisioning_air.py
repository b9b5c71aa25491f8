"""Provisioning through the air on real radios: a phone at home sends, the device listens, joins and is bound.

What of a phone's data is in the air where the device is depends on the place:

- "both": what the phone sends, and what the access point passes on to everybody;
- "to_ap": only the phone; the access point hands broadcasts to each other station by itself;
- "from_ap": only the access point; the phone is too far away.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest

from lab.support.bench import Bench
from lab.support.managers import Manager, WithNetworkManager, WithSupplicant
from lab.support.programs import Daemon, run
from lab.support.provisioning import Application, Device, Provisioning
from lab.support.waiting import until
from lab.tests.provisioning_cases import nothing_is_left
from lab.tests.test_sniffer import BURST, bursts, hear, octets, send_burst, sniffing

Way = Literal["both", "to_ap", "from_ap"]

REALTEK = "realtek-simpleconfig"
KEY = "0123456789abcdef"
WRONG = "not-the-password"
PIN = "72639187"
# What the device says when it has heard one half only for a while.
ONLY = {"to_ap": "only from the phone", "from_ap": "only from the router"}


@attrs.frozen
class Sender:
    """One protocol with its options.

    Attributes:
        command: The phone's.
        method: The device's.
        protocol: As the device calls it when it is complete.
        options: More for the phone.
        device_options: More for the device.
    """

    command: str
    method: str
    protocol: str
    options: Sequence[str] = ()
    device_options: Sequence[str] = ()


SENDERS = {
    "esptouch": Sender("smartconfig", "smart_config", "esptouch-v1"),
    "esptouch2": Sender("esptouch2", "smart_config", "esptouch-v2"),
    "esptouch2-key": Sender(
        "esptouch2",
        "smart_config",
        "esptouch-v2",
        ["--key", KEY, "--security-version", "2", "--reserved", "for the device", "--port-mark", "2"],
        ["--esptouch-key", KEY],
    ),
    "airkiss": Sender("airkiss", "airkiss", "airkiss"),
    "airkiss-key": Sender("airkiss", "airkiss", "airkiss", ["--key", KEY], ["--airkiss-key", KEY]),
    "realtek2": Sender("simpleconfig", "simple_config", REALTEK, ["--pattern", "2"]),
    "realtek3": Sender(
        "simpleconfig",
        "simple_config",
        REALTEK,
        ["--pattern", "3", "--pin", PIN],
        ["--pin", PIN],
    ),
    "realtek4": Sender("simpleconfig", "simple_config", REALTEK, ["--pattern", "4"]),
}


@attrs.define
class Air:
    """What this module's tests share: the home with its cloud, and the phone in it."""

    lot: Provisioning
    way: Way | None = None
    running: list[Device | Application] = attrs.field(factory=list)

    def choose(self, way: Way) -> None:
        """Let the device hear one half, or both."""
        lot, home = self.lot, self.lot.home
        home.radio.place(0, 1)
        lot.phone.radio.place(0)
        lot.radio.place(1 if way == "from_ap" else 0)
        if self.way is None or home.unicast_only != (way == "to_ap"):
            home.unicast_only = way == "to_ap"
            home.stop()
            home.start()
            lot.phone.join(home.ssid, home.password, frequencies=[home.frequency])
        self.way = way

    def device(self, method: str, *options: str) -> Device:
        """The device's program, listening, and knowing no network."""
        device = self.lot.device(method=method, options=["--forget", *options])
        self.running.append(device)
        device.start()
        return device

    def application(self, command: str, *, until_bound: bool = False, **more: Any) -> Application:
        """The phone's program, sending."""
        application = self.lot.application(command, until_bound=until_bound, **more)
        self.running.append(application)
        application.start()
        return application

    def stop(self) -> None:
        """Stop what a test that failed left."""
        while self.running:
            self.running.pop().stop()

    def provision(self, sender: Sender, device: Device) -> None:
        """From the first datagram to bound, as the phone and the cloud say it."""
        lot, before = self.lot, self.lot.bound()
        application = self.application(sender.command, until_bound=True, options=sender.options)
        assert application.wait(200) == 0, application.told()
        [acknowledged] = application.told("ack")
        assert acknowledged["mac"] == lot.radio.address
        assert application.told("bound")
        assert device.wait() == 0, device.text()[-6000:]
        assert lot.bound() == before + 1
        assert f"{sender.protocol} from <" in device.text()
        nothing_is_left(lot)


@pytest.fixture(scope="module")
def air(module_bench: Bench) -> Air:
    return Air(Provisioning(module_bench))


@pytest.fixture(autouse=True)
def nothing_runs_on(air: Air) -> Iterator[None]:
    yield
    air.stop()


@pytest.fixture
def supplicant(bench: Bench, air: Air) -> Manager:
    """The device's wpa_supplicant, which knows no network."""
    made = WithSupplicant(air.lot.radio)
    made.start(bench)
    return made


SMOKE = (("esptouch", "both"), ("realtek2", "from_ap"), ("airkiss", "to_ap"))
"""One of each way, of three protocols."""
PLAIN = ("esptouch", "esptouch2", "airkiss", "realtek2", "realtek4")


def from_the_air_to_bound(air: Air, name: str, way: Way) -> None:
    sender = SENDERS[name]
    air.choose(way)
    device = air.device(sender.method, *sender.device_options)
    air.provision(sender, device)
    assert not [each for each, text in ONLY.items() if each != way and text in device.text()]


@pytest.mark.smoke
@pytest.mark.vm("smoke")
@pytest.mark.parametrize(("name", "way"), SMOKE)
@pytest.mark.usefixtures("supplicant")
@pytest.mark.duration(40)
@pytest.mark.limit(400)
def test_from_the_air_to_bound(air: Air, name: str, way: Way) -> None:
    from_the_air_to_bound(air, name, way)


@pytest.mark.vm("more")
@pytest.mark.parametrize("way", ["both", "from_ap", "to_ap"])
@pytest.mark.duration(15)
async def test_the_air_is_as_its_name_says(air: Air, tmp_path: Path, way: Way) -> None:
    await asyncio.to_thread(air.choose, way)
    phone = air.lot.phone
    sender, enough = octets(phone.radio.address), min if way == "both" else max
    async with sniffing("wlan0", tmp_path) as (_, sniffer):
        await sniffer.tune(air.lot.home.channel)
        sending = asyncio.ensure_future(send_burst(phone))
        heard = await hear(sniffer, lambda heard: enough(map(len, bursts(heard, sender))) >= len(BURST))
        await sending
        heard += await hear(sniffer, lambda _: False, seconds=1.0)  # the other half, if there is one
    to_ap, from_ap = bursts(heard, sender)
    assert len(to_ap) == (0 if way == "from_ap" else len(BURST))
    assert len(from_ap) == (0 if way == "to_ap" else len(BURST))


def others() -> list[object]:
    """Every protocol every way, and the ways of encrypting."""
    pairs = [(name, way) for way in ("both", "from_ap", "to_ap") for name in PLAIN]
    pairs += [(name, "both") for name in SENDERS if name not in PLAIN]
    return [pytest.param(*pair, marks=pytest.mark.vm(pair[1])) for pair in pairs if pair not in SMOKE]


@pytest.mark.parametrize(("name", "way"), others())
@pytest.mark.usefixtures("supplicant")
@pytest.mark.duration(40)
@pytest.mark.limit(400)
def test_so_do_all_the_others(air: Air, name: str, way: Way) -> None:
    from_the_air_to_bound(air, name, way)


@pytest.mark.vm("more")
@pytest.mark.duration(60)
@pytest.mark.limit(400)
def test_under_networkmanager(bench: Bench, air: Air) -> None:
    manager = WithNetworkManager(air.lot.radio)
    manager.start(bench)
    air.choose("both")
    air.provision(SENDERS["airkiss"], air.device("airkiss"))
    manager.wait_for_network(air.lot.home.ssid)


@pytest.mark.vm("more")
@pytest.mark.usefixtures("supplicant")
@pytest.mark.duration(80)
@pytest.mark.limit(500)
def test_all_methods_at_once(air: Air) -> None:
    """The access point and the ears take turns on the one radio."""
    air.choose("both")
    device = air.device("all")
    device.wait_for("listening to the air")
    air.provision(SENDERS["esptouch2"], device)


@pytest.mark.vm("more")
@pytest.mark.duration(90)
@pytest.mark.limit(500)
def test_a_wrong_password_is_told_and_the_next_one_taken(air: Air, supplicant: Manager) -> None:
    air.choose("both")
    device = air.device("smart_config")
    first = air.application("smartconfig", password=WRONG)
    device.wait_for("wrong password")
    first.stop()
    assert not first.told("ack")
    air.provision(SENDERS["esptouch"], device)
    supplicant.wait_for_network(air.lot.home.ssid)


@pytest.mark.vm("more")
@pytest.mark.usefixtures("supplicant")
@pytest.mark.duration(70)
@pytest.mark.limit(400)
def test_killed_while_it_listens(air: Air) -> None:
    air.choose("both")
    device = air.device("airkiss,smart_config")
    device.kill()
    assert "type monitor" in run(["iw", "dev"]), "it had no time to tidy up"
    again = air.device("airkiss,smart_config")
    air.provision(SENDERS["airkiss"], again)  # which looks for what is left


@pytest.mark.vm("more")
@pytest.mark.usefixtures("supplicant")
@pytest.mark.duration(40)
@pytest.mark.limit(300)
def test_the_sniffer_shows_what_a_phone_sends(bench: Bench, air: Air) -> None:
    air.choose("both")
    home = air.lot.home
    words = [os.environ.get("LAB_PYTHON", "python3"), "-m", "qiot.sniff", "wlan0", "--json", "--show-secrets"]
    sniffer = Daemon("sniff", [*words, "--count", "1", "--timeout", "200"])
    bench.stack.callback(sniffer.stop)
    sniffer.start(lambda: "type monitor" in run(["iw", "dev"]), 90)
    application = air.application("esptouch2", options=["--reserved", "for the device"])
    assert sniffer.wait(200) == 0, sniffer.text()
    application.stop()
    [line] = [json.loads(line) for line in sniffer.text().splitlines() if line.startswith("{")]
    assert line["protocol"] == "esptouch-v2"
    assert (line["ssid"], line["ssid_hex"]) == (home.ssid.decode(), home.ssid.hex())
    assert line["password"] == home.password
    assert bytes.fromhex(line["reserved_hex"]) == b"for the device"
    assert (line["phone"], line["channel"]) == (air.lot.phone.radio.address, home.channel)
    assert line["complete"] is True
    assert line["frames_seen"] > 0
    assert "faster" not in sniffer.text(), "frames were dropped"
    until(lambda: "type monitor" not in run(["iw", "dev"]), "the sniffer's interface is gone")
