"""`python -m qiot.sniff`: what is shown and what is masked, explanations, exit status, live listening."""

from __future__ import annotations

import asyncio
import io
import itertools
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest

from qiot.errors import MediumError
from qiot.hal import registry
from qiot.hal.contract import Capabilities, Frame, FrameFilter, Platform, Sniffer
from qiot.hal.mock.platform import MockPlatform
from qiot.model import Credentials, Secret
from qiot.protocols.air.airkiss import AirKiss
from qiot.protocols.air.esptouch import EspTouch
from qiot.protocols.air.esptouch_v2 import SYNC, EspTouchV2
from qiot.protocols.air.realtek import RealtekSimpleConfig
from qiot.protocols.air.tracker import Tracker
from qiot.sim.wifi import HomeNetwork
from qiot.sim.world import World
from qiot.sniff.command import main
from qiot.sniff.ear import Ear
from qiot.sniff.live import LiveEar
from qiot.testbed.phone.air import AirSender, PhoneSink
from tests.protocols.air.channel import ACCESS_POINT, PHONE
from tests.sniff.captures import PLAIN, Capture, Shape, sniffed

SSID = b"MyHome-2G"
PASSWORD = Secret(b"pass1234word")
KEY = Secret(bytes(range(16)))


def esptouch(count: int = 600) -> Capture:
    phone = EspTouch(SSID, PASSWORD, ACCESS_POINT, "192.168.1.100")
    return Capture(Shape()).add(itertools.islice(phone.casts(), count))


def encrypted() -> Capture:
    phone = EspTouchV2(
        SSID, PASSWORD, ACCESS_POINT, random.Random(1).randbytes, reserved=b"token-1234", key=KEY, security=2
    )
    return Capture(Shape()).add(itertools.islice(phone.casts(), 600))


# --- what is shown -----------------------------------------------------------------------------------------


def test_secrets_are_masked_unless_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = encrypted().write(tmp_path / "air.pcap")
    key = ["--esptouch-key", f"hex:{KEY.reveal().hex()}"]
    (result,), _ = sniffed(capsys, file, *key)
    assert [result[name] for name in ("password", "password_hex", "reserved_hex")] == [None] * 3
    (result,), _ = sniffed(capsys, file, *key, "--show-secrets")
    assert result["password"] == "pass1234word"
    assert bytes.fromhex(result["reserved_hex"]) == b"token-1234"
    for show in ([], ["--show-secrets"]):
        assert main([str(file), *key, *show]) == 0
        out = capsys.readouterr().out
        assert ("pass1234word" in out) is bool(show)
        assert ("token-1234" in out) is bool(show)


def test_people_read_lines_that_cannot_move_the_cursor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phone = AirKiss(b"evil\x1b[2J", Secret(b"\x1b[31mred"), 5)
    file = Capture(Shape()).add(itertools.islice(phone.casts(), 800)).write(tmp_path / "air.pcap")
    assert main([str(file), "--show-secrets"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "evil\\x1b[2J" in out
    assert "UDP port 10000; random 5" in out


def test_count_ends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = esptouch()
    other = EspTouch(b"Other", PASSWORD, ACCESS_POINT, "192.168.1.101")
    capture.add(itertools.islice(other.casts(), 600), Shape(phone=b"\x0a" * 6))
    file = capture.write(tmp_path / "air.pcap")
    assert len(sniffed(capsys, file)[0]) == 2
    assert len(sniffed(capsys, file, "--count", 1)[0]) == 1


def test_an_encrypted_airkiss_password_is_taken_for_one_with_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phone = AirKiss(SSID, PASSWORD, 5, key=Secret(b"secret"))
    file = Capture(Shape()).add(itertools.islice(phone.casts(), 1000)).write(tmp_path / "air.pcap")
    _, said = sniffed(capsys, file)
    assert "--airkiss-key" in said
    results, said = sniffed(capsys, file, "--airkiss-key", "secret", "--show-secrets")
    assert (results[0]["password"], said) == ("pass1234word", "")


# --- explanations ------------------------------------------------------------------------------------------


def test_a_datum_that_is_not_whole_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results, said = sniffed(capsys, esptouch(300).write(tmp_path / "air.pcap"), status=1)
    assert not results
    assert "300 frames" in said
    assert "guide heard" in said
    assert "16 octets known, 36 needed" in said
    assert "missing: octet 1" in said
    assert "channels: 6 (300)" in said
    assert "only the phone's half" in said
    assert "listen longer" in said


def test_the_other_half_is_told_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    phone = EspTouch(SSID, PASSWORD, ACCESS_POINT, "192.168.1.100")
    capture = Capture(Shape(from_ap=True)).add(itertools.islice(phone.casts(), 300))
    _, said = sniffed(capsys, capture.write(tmp_path / "air.pcap"), status=1)
    assert "only the router's half" in said


@pytest.mark.parametrize("key", [[], ["--esptouch-key", "sixteen letters!"]])
def test_a_missing_or_wrong_key_is_explained(
    key: Sequence[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, said = sniffed(capsys, encrypted().write(tmp_path / "air.pcap"), *key, status=1)
    assert "--esptouch-key" in said
    assert "sixteen" not in said


def test_a_missing_pin_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    phone = RealtekSimpleConfig(
        SSID, PASSWORD, "10.0.0.1", PHONE, random.Random(1).randbytes, pattern=3, pin=Secret(b"12345678")
    )
    file = Capture(Shape()).add(itertools.islice(phone.casts(), 300)).write(tmp_path / "air.pcap")
    assert "--pin" in sniffed(capsys, file, status=1)[1]
    (result,), _ = sniffed(capsys, file, "--pin", "12345678", "--show-secrets")
    assert (result["password"], result["pattern"]) == ("pass1234word", 3)


@pytest.mark.parametrize("count", [500, 1500])
def test_wrong_checksums_are_explained(
    count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where another guide code has just begun."""
    casts = itertools.islice(AirKiss(SSID, PASSWORD, 5).casts(), count)
    wrong = (
        attrs.evolve(cast, length=cast.length ^ 1)
        if cast.part == "data" and 0x88 <= cast.length < 0x100
        else cast
        for cast in casts
    )
    _, said = sniffed(capsys, Capture(Shape()).add(wrong).write(tmp_path / "air.pcap"), status=1)
    assert "0 of 6 sequences" in said
    assert "missing: sequence 0" in said
    assert "many checksums are wrong" in said


def test_a_wrong_prefix_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    casts = itertools.islice(AirKiss(SSID, PASSWORD, 5).casts(), 900)
    wrong = (attrs.evolve(cast, length=cast.length ^ (cast.part == "prefix")) for cast in casts)
    _, said = sniffed(capsys, Capture(Shape()).add(wrong).write(tmp_path / "air.pcap"), status=1)
    assert "the prefix field's checksum is wrong" in said


def test_a_phone_that_waits_for_its_user_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phone = EspTouchV2(SSID, PASSWORD, ACCESS_POINT, random.Random(1).randbytes, presync=3.0)
    waiting = itertools.takewhile(lambda cast: cast.length == SYNC, phone.casts())
    _, said = sniffed(capsys, Capture(Shape()).add(waiting).write(tmp_path / "air.pcap"), status=1)
    assert "ESP-TOUCH v2: the phone waits for its user" in said
    assert "start it" in said
    assert "symbols are missing" not in said


def test_quiet_channels_are_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = Capture(Shape(frequency=5180)).beacon(0.0, SSID)
    _, said = sniffed(capsys, capture.write(tmp_path / "air.pcap"), status=1)
    assert "MyHome-2G (channel 6)" in said  # the beacon says so itself
    assert "only 5 GHz" in said
    assert "HT40" in said
    _, said = sniffed(capsys, Capture(Shape()).write(tmp_path / "air.pcap"), status=1)
    assert "nothing was heard" in said


def test_data_of_no_protocol_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = random.Random(1)
    casts = [
        cast.__class__(number * 0.01, "255.255.255.255", 9, source.randrange(900, 1000), "")
        for number, cast in enumerate(itertools.islice(AirKiss(SSID, PASSWORD, 1).casts(), 200))
    ]
    _, said = sniffed(capsys, Capture(Shape()).add(casts).write(tmp_path / "air.pcap"), status=1)
    assert "follows one of the four protocols" in said
    assert f"{PHONE.hex(':')} sent 200 of them" in said


def test_damaged_and_foreign_packets_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = esptouch(20)
    packet = bytearray(capture.records[-1][1])
    packet[8] = 0x40  # radiotap: the check sum is wrong
    capture.records += [(9.0, bytes(packet), len(packet))] * 10
    capture.records.append((9.0, b"\0\0\xff\xff", 4))
    _, said = sniffed(capsys, capture.write(tmp_path / "air.pcap"), status=1)
    assert "31 frames" in said
    assert "10 damaged, 1 not readable" in said
    assert "many frames were damaged" in said
    ethernet = bytearray(esptouch(5).bytes())
    ethernet[20] = 1
    file = tmp_path / "ethernet.pcap"
    file.write_bytes(ethernet)
    assert "monitor mode" in sniffed(capsys, file, status=1)[1]


def test_a_cut_off_file_is_decoded_as_far_as_it_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "air.pcap"
    file.write_bytes(esptouch().bytes()[:-3])
    results, said = sniffed(capsys, file)
    assert len(results) == 1
    assert "ends within a packet" in said


# --- wrong use ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nosuch.pcap"],
        ["no/such/file"],
        ["/"],
        ["mock:nonsense=1"],
        ["FILE", "--esptouch-key", "s3cret"],
        ["FILE", "--esptouch-key", "hex:s3cret"],
        ["FILE", "--airkiss-key", "s3cret-s3cret-s3cret"],
        ["FILE", "--nokey=s3cret"],
        ["FILE", "s3cret"],
        ["FILE", "--channel", "x"],
        ["FILE", "--timeout", "0"],
        ["FILE", "--count", "0"],
    ],
)
def test_wrong_use_is_2(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = esptouch(1).write(tmp_path / "air.pcap")
    with pytest.raises(SystemExit) as ended:
        main([str(file) if each == "FILE" else each for each in arguments])
    assert ended.value.code == 2
    assert "s3cret" not in capsys.readouterr().err


def test_what_is_no_capture_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a capture, by far")
    with pytest.raises(SystemExit) as ended:
        main([str(file)])
    assert ended.value.code == 2
    assert "no capture" in capsys.readouterr().err


def test_help_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "exit status: 0" in capsys.readouterr().out


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Stdin:
        buffer = io.BytesIO(Capture(Shape(link=PLAIN)).add(esptouch_casts()).bytes())

    monkeypatch.setattr(sys, "stdin", Stdin)
    assert sniffed(capsys, "-")[0][0]["ssid"] == "MyHome-2G"


def esptouch_casts() -> Sequence[object]:
    return list(itertools.islice(EspTouch(SSID, PASSWORD, ACCESS_POINT, "192.168.1.100").casts(), 600))


# --- live --------------------------------------------------------------------------------------------------


async def test_a_phone_of_the_simulated_world_is_heard(capsys: pytest.CaptureFixture[str]) -> None:
    world = World([HomeNetwork(SSID, PASSWORD, channel=11)], seed=1)
    phone = world.phone()
    await phone.join(Credentials(SSID, PASSWORD))
    platform = MockPlatform(registry.parse_spec("mock"), world=world)
    found = asyncio.get_running_loop().create_future()
    seen: list[str] = []
    live = LiveEar(
        platform.port(Sniffer),
        Ear(Tracker()),
        on_result=lambda result: found.done() or found.set_result(result),
        on_seen=lambda each: seen.append(each.text),
    )
    encoder = EspTouchV2(SSID, PASSWORD, ACCESS_POINT, random.Random(1).randbytes)
    sending = asyncio.ensure_future(AirSender(encoder.casts(), PhoneSink(phone)).run())
    listening = asyncio.ensure_future(live.run())
    result = await found
    for task in (sending, listening):
        task.cancel()
    await asyncio.gather(sending, listening, return_exceptions=True)
    await platform.close()
    assert result.credentials.password == PASSWORD
    assert (result.transmitter, result.channel) == (phone.mac, 11)
    assert any("ESP-TOUCH v2" in text for text in seen)


async def test_a_phone_that_is_not_joined_sends_nothing() -> None:
    sink = PhoneSink(World(seed=1).phone())
    with pytest.raises(MediumError, match="not joined"):
        await sink.send("255.255.255.255", 7001, 5)


class Radio(Sniffer):
    """Gives one batch of frames on the right channel, and then what it is told."""

    def __init__(self, frames: Sequence[Frame] = (), *, fails: str = "", held: int | None = None) -> None:
        self.tuned: list[int] = []
        self.started: FrameFilter | None = None
        self.stopped = 0
        self._frames = list(frames)
        self._fails = fails
        self._held = held

    async def start(self, wanted: FrameFilter) -> None:
        if self._fails == "start":
            raise MediumError("no monitor mode here")
        self.started = wanted

    async def tune(self, channel: int) -> int:
        if channel == 13:
            raise MediumError("not in this country")
        self.tuned.append(channel)
        return channel if self._held is None else self._held

    async def read(self) -> tuple[Sequence[Frame], int]:
        while not self._frames or self.tuned[-1:] != [self._frames[0].channel]:
            if self._fails == "read":
                raise MediumError("the radio is gone")
            await asyncio.sleep(0.01)
        frames, self._frames = self._frames, []
        return frames, 3

    async def stop(self) -> None:
        self.stopped += 1


class RadioPlatform(Platform):
    def __init__(self, radio: Radio) -> None:
        self.radio = radio
        self.closed = False

    async def capabilities(self) -> Capabilities:
        return Capabilities()

    def port(self, kind: type) -> Radio:
        return self.radio

    async def close(self) -> None:
        self.closed = True


def frames(channel: int) -> list[Frame]:
    return [Frame(packet[14:], t, channel) for t, packet, _ in esptouch().records]


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> RadioPlatform:
    made = RadioPlatform(Radio())
    monkeypatch.setattr("qiot.sniff.command.open_platform", lambda _: made)
    return made


@pytest.mark.parametrize("channel", [[], ["--channel", "3"]])
def test_live_frames_are_decoded(
    channel: list[str], platform: RadioPlatform, capsys: pytest.CaptureFixture[str]
) -> None:
    platform.radio = Radio(frames(3))
    (result,), said = sniffed(capsys, "wlan9", "--count", 1, "--timeout", 30, *channel)
    assert (result["ssid"], result["channel"]) == ("MyHome-2G", 3)
    assert said == ""
    assert platform.radio.tuned == ([3] if channel else platform.radio.tuned)
    assert platform.radio.started is not None
    assert platform.radio.started.kinds == {"data", "beacon"}
    assert (platform.radio.stopped, platform.closed) == (1, True)


def test_all_channels_take_their_turn(platform: RadioPlatform, capsys: pytest.CaptureFixture[str]) -> None:
    results, said = sniffed(capsys, "wlan9", "--timeout", 3, status=1)
    assert not results
    assert "nothing was heard" in said
    assert len(set(platform.radio.tuned)) > 6
    assert 13 not in platform.radio.tuned
    assert platform.radio.stopped == 1


@pytest.mark.parametrize(
    ("radio", "text"),
    [
        (Radio(fails="start"), "no monitor mode here"),
        (Radio(frames(3), fails="read"), "the radio is gone"),
    ],
)
def test_a_radio_that_cannot_is_1(
    radio: Radio, text: str, platform: RadioPlatform, capsys: pytest.CaptureFixture[str]
) -> None:
    platform.radio = radio
    _, said = sniffed(capsys, "wlan9", "--timeout", 30, status=1)
    assert text in said
    assert platform.closed
    assert radio.stopped == 1


def test_a_channel_that_cannot_be_tuned_is_said(
    platform: RadioPlatform, capsys: pytest.CaptureFixture[str]
) -> None:
    _, said = sniffed(capsys, "wlan9", "--channel", 13, "--timeout", 30, status=1)
    assert "not in this country" in said


def test_a_held_radio_is_said(platform: RadioPlatform, capsys: pytest.CaptureFixture[str]) -> None:
    platform.radio = Radio(frames(3), held=11)
    assert main(["wlan9", "--timeout", "0.3"]) == 1
    assert "stays on channel 11" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "qiot.sniff", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    # A result shows that it is at work; the pipe stays open.
    process.stdin.write(esptouch().bytes())
    process.stdin.flush()
    assert b"esptouch-v1" in process.stdout.readline()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err == b"interrupted\n"
