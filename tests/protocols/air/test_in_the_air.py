"""The decoders in the simulated air: figures that have to hold there, and several things at once."""

from __future__ import annotations

import itertools
import random
import statistics
from collections.abc import Callable

import attrs
import pytest

from benchmarks.air_decode import CASES, NEVER, parse_options, run
from qiot.model import Secret
from qiot.protocols.air.airkiss import AirKiss
from qiot.protocols.air.casts import Encoder
from qiot.protocols.air.esptouch import EspTouch
from qiot.protocols.air.esptouch_v2 import EspTouchV2
from qiot.protocols.air.realtek import RealtekSimpleConfig
from qiot.protocols.air.tracker import Tracker
from qiot.sim.air import Bursts, Cipher, Habits, House, Link, Manners, Protection, Traffic
from tests.protocols.air.scene import ACCESS_POINT, PHONE, Scene, only, results, take

OTHER = bytes.fromhex("0a1b2c3d4e60")
NEIGHBOUR = bytes.fromhex("00e04c990001")
BUSY = Traffic(up=10, voice=2, nulls=1, probes=0.2)


def esptouch(password: bytes, ssid: bytes = b"MyHome-2G", bssid: bytes = ACCESS_POINT) -> Encoder:
    return EspTouch(ssid, Secret(password), bssid, "192.168.1.100")


def esptouch_v2(password: bytes, ssid: bytes = b"MyHome-2G", bssid: bytes = ACCESS_POINT) -> Encoder:
    return EspTouchV2(ssid, Secret(password), bssid, random.Random(1).randbytes)


def airkiss(password: bytes, ssid: bytes = b"MyHome-2G", bssid: bytes = ACCESS_POINT) -> Encoder:
    return AirKiss(ssid, Secret(password), 186)


def simple_config(password: bytes, ssid: bytes = b"MyHome-2G", bssid: bytes = ACCESS_POINT) -> Encoder:
    randomness = random.Random(1).randbytes
    return RealtekSimpleConfig(ssid, Secret(password), "192.168.1.100", PHONE, randomness, pattern=2)


ENCODERS = [esptouch, esptouch_v2, airkiss, simple_config]


# --- the figures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["to", "from"])
@pytest.mark.parametrize(("name", "most"), [("esptouch-v1", 1.2), ("esptouch-v2", 1.2), ("airkiss", 1.3)])
@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_the_median_is_near_the_limit_of_the_same_runs(
    name: str, most: float, loss: float, direction: str
) -> None:
    """`benchmarks/air_decode.py` has more runs and rates."""
    options = parse_options(["--direction", direction])
    times = [run(CASES[name], loss, seed, options) for seed in range(15)]
    decoded = statistics.median(time for time, _ in times)
    assert decoded < NEVER
    assert decoded <= most * statistics.median(limit for _, limit in times)


@pytest.mark.parametrize("name", ["esptouch-v1", "airkiss"])
@pytest.mark.parametrize(("loss", "most"), [(0.0, 1.0), (0.3, 2.0)])
def test_a_start_in_the_middle_of_the_data_waits_for_no_guide(name: str, loss: float, most: float) -> None:
    """The next guide is 2.2 s away (AirKiss) or more."""
    options = parse_options(["--skip", "500"])
    assert statistics.median(run(CASES[name], loss, seed, options)[0] for seed in range(9)) < most


@pytest.mark.parametrize("name", ["esptouch-v1", "esptouch-v2", "airkiss"])
def test_both_halves_of_the_way_are_faster_than_one(name: str) -> None:
    medians = {
        direction: statistics.median(
            run(CASES[name], 0.3, seed, parse_options(["--direction", direction]))[0] for seed in range(9)
        )
        for direction in ("to", "from", "both")
    }
    assert medians["both"] < min(medians["to"], medians["from"])


# --- what an air can be ------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize(
    "change",
    [
        {"manners": Manners(dozing=True, dtim_period=3)},
        {"manners": Manners(beacons_counted=False)},
        {"manners": Manners(group_quality=True, group_rate=24.0)},
        {"protection": Protection(Cipher.CCMP, Cipher.TKIP)},
        {"protection": Protection(Cipher.OPEN, Cipher.OPEN)},
        {"protection": Protection(Cipher.GCMP_256, Cipher.GCMP_256)},
        {"house": House(wired=20)},
        {"heard": "data"},
        {"heard": "device"},
    ],
)
def test_it_is_decoded_in_any_house(encoder: Callable[[bytes], Encoder], change: dict[str, object]) -> None:
    for direction in ("to", "from"):
        scene = Scene(seed=f"{direction}", **change)  # type: ignore[arg-type]
        scene.phone(encoder(b"pass1234word").casts(), habits=Habits(unheard=0.1), traffic=BUSY)
        tracker = Tracker()
        link = Link(0.15, 0.1)
        heard = scene.hear(40, link=link, links=only(direction, link), bursts=Bursts())
        found = (result for each in heard for result in take(tracker, each))
        result = next(found, None)
        assert result is not None, [progress.text for progress in tracker.progress()]
        assert result.credentials.password == Secret(b"pass1234word")
        assert result.credentials.ssid == b"MyHome-2G"


@pytest.mark.parametrize("encoder", ENCODERS[:3])
def test_without_qos_and_with_ht_control(encoder: Callable[[bytes], Encoder]) -> None:
    for habits in (Habits(quality=False), Habits(ht_control=True)):
        scene = Scene(seed=3)
        scene.phone(encoder(b"pass1234word").casts(), habits=habits, traffic=BUSY)
        tracker = Tracker()
        heard = scene.hear(20, link=Link(0.1), links=only("to", Link(0.1)))
        assert next(
            result for each in heard for result in take(tracker, each)
        ).credentials.password == Secret(b"pass1234word")


# --- several at once ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", ENCODERS)
@pytest.mark.parametrize("other", ENCODERS[:3])
def test_two_phones_and_a_neighbour_at_once(
    one: Callable[[bytes], Encoder], other: Callable[..., Encoder]
) -> None:
    scene = Scene(seed=5, manners=Manners(dozing=True), heard="device")
    neighbour = scene.add_access_point(NEIGHBOUR)
    scene.phone(one(b"pass1234word").casts(), traffic=BUSY)
    scene.phone(other(b"word1234pass").casts(), OTHER, traffic=BUSY, after=0.3)
    scene.phone(
        airkiss(b"next-door-12", b"Next door", NEIGHBOUR).casts(),
        OTHER[::-1],
        access_point=neighbour,
        after=0.1,
    )
    found = {
        (result.transmitter, result.credentials.ssid, result.credentials.password.reveal())
        for result in results(scene.hear(14, link=Link(0.1, 0.05)))
    }
    assert found == {
        (PHONE, b"MyHome-2G", b"pass1234word"),
        (OTHER, b"MyHome-2G", b"word1234pass"),
        (OTHER[::-1], b"Next door", b"next-door-12"),
    }


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("pause", [0.02, 0.5, 4.0])
@pytest.mark.parametrize("direction", ["to", "both"])
def test_a_phone_that_starts_over_with_another_password(
    encoder: Callable[[bytes], Encoder], pause: float, direction: str
) -> None:
    """Both are right, or only the second where there was no time for the first; never a mixture."""
    for sent in (150, 700):
        scene = Scene(seed=f"{sent}/{pause}", manners=Manners(dozing=True))
        before = list(itertools.islice(encoder(b"pass1234word").casts(), sent))
        begin = before[-1].t + pause
        after = (attrs.evolve(cast, t=cast.t + begin) for cast in encoder(b"pass1234worm").casts())
        scene.phone(itertools.chain(before, after), traffic=BUSY)
        link = Link(0.2)
        found = [
            result.credentials.password.reveal()
            for result in results(scene.hear(begin + 16, link=link, links=only(direction, link)))
        ]
        assert found in ([b"pass1234word", b"pass1234worm"], [b"pass1234worm"])


def test_damaged_frames_that_nobody_marks_give_no_wrong_result() -> None:
    for seed, encoder in enumerate(ENCODERS * 2):
        scene = Scene(seed=seed)
        scene.phone(encoder(b"pass1234word").casts(), traffic=BUSY)
        trusted = (attrs.evolve(each, intact=True) for each in scene.hear(12, link=Link(0.2, 0.5)))
        found = {result.credentials.password.reveal() for result in results(trusted)}
        assert found <= {b"pass1234word"}
