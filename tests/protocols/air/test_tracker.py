"""The tracker: who is who, what was heard before, what is forgotten, and how much is kept."""

from __future__ import annotations

import gc
import itertools
import random
import tracemalloc

import attrs
import pytest

from qiot.errors import ConfigurationError
from qiot.model import Secret
from qiot.protocols.air.airkiss import AirKiss
from qiot.protocols.air.alignment import Aligned, align
from qiot.protocols.air.dot11 import parse_header
from qiot.protocols.air.esptouch import EspTouch
from qiot.protocols.air.esptouch_v2 import EspTouchV2
from qiot.protocols.air.observation import BROADCAST, Direction, Observation
from qiot.protocols.air.order import Order
from qiot.protocols.air.realtek import RealtekSimpleConfig
from qiot.protocols.air.results import AIRKISS, ESPTOUCH, ESPTOUCH_V2, REALTEK
from qiot.protocols.air.tracker import Tracker, all_decoders
from qiot.protocols.air.tracks import PHONES_MAX, STRANGERS_MAX
from tests.protocols.air.channel import ACCESS_POINT, Channel, merged
from tests.protocols.air.support import results


def frame(sequence: int, length: int = 100, **changes: object) -> Observation:
    return Observation(
        **{
            "transmitter": b"\2\0\0\0\0\1",
            "bssid": ACCESS_POINT,
            "direction": Direction.TO_AP,
            "destination": BROADCAST,
            "length": length,
            "sequence": sequence,
            "fragment": 0,
            "retry": False,
            "tid": None,
            "channel": 1,
            "time": 0.0,
            **changes,
        }
    )


def phone(
    number: int, password: bytes = b"pass1234word", ssid: bytes = b"MyHome-2G"
) -> tuple[bytes, EspTouch]:
    return bytes((2, 0, 0, 0, 0, number)), EspTouch(ssid, Secret(password), ACCESS_POINT, "192.168.1.2")


# --- order -------------------------------------------------------------------------------------------------


def test_places_count_what_was_missed_and_wrap() -> None:
    order = Order()
    assert [order.place(frame(sequence)) for sequence in (4093, 4094, 1, 2)] == [0, 1, 4, 5]
    assert order.sure


def test_numbers_of_other_frames_are_left_out() -> None:
    order = Order()
    assert order.place(frame(10)) == 0
    for sequence in (11, 13, 13, 14, 9):
        order.skip(sequence, None)
    order.skip(12, 5)  # counted apart
    assert order.place(frame(14)) == 2
    assert order.place(frame(15)) == 3


def test_a_late_frame_finds_its_place_among_others() -> None:
    order = Order()
    places = [order.place(frame(10))]
    order.skip(12, None)
    order.skip(14, None)
    places += [order.place(frame(sequence, sequence)) for sequence in (15, 13, 11)]
    assert places == [0, 3, 2, 1]


def test_numbers_that_are_used_twice_are_counted_apart() -> None:
    order = Order()
    places = []
    for sequence in range(10, 40):
        order.skip(sequence + 1, None)
        places.append(order.place(frame(sequence)))
    assert [after - before for before, after in itertools.pairwise(places)][-20:] == [1] * 20


def test_what_was_heard_before_is_dropped() -> None:
    order = Order()
    assert order.place(frame(10, 1)) == 0
    assert order.place(frame(10, 1, retry=True)) is None
    assert order.place(frame(10, 1)) is None
    assert order.place(frame(12, 2)) == 2
    assert order.place(frame(11, 3, retry=True)) == 1
    assert order.place(frame(11, 3, retry=True)) is None
    assert order.place(frame(13, 3)) == 3


def test_a_retry_whose_first_copy_was_lost_counts() -> None:
    order = Order()
    assert [order.place(frame(10)), order.place(frame(11, retry=True))] == [0, 1]


@pytest.mark.parametrize("numbers", [[0] * 40, random.Random(1).sample(range(4096), 40)])
def test_numbers_without_meaning_are_not_trusted(numbers: list[int]) -> None:
    order = Order()
    places = [order.place(frame(number, length)) for length, number in enumerate(numbers)]
    assert not order.sure
    assert None not in places
    steps = [after - before for before, after in itertools.pairwise(places)]
    assert set(steps[-10:]) <= {1}


def test_another_tid_is_another_count() -> None:
    order = Order()
    places = [order.place(frame(10, tid=0)), order.place(frame(11, tid=6)), order.place(frame(12, tid=6))]
    assert places[1] - places[0] > 4096
    assert places[2] - places[1] == 1


# --- alignment ---------------------------------------------------------------------------------------------


def always(_index: int, _distance: int) -> bool:
    return True


def test_without_strangers_the_numbers_say_it_all() -> None:
    assert align([1, 3], 5, 0, always) == [Aligned(1, exact=True), Aligned(3, exact=True)]


def test_next_to_an_anchor_there_is_no_doubt() -> None:
    assert align([1, 5], 6, 1, always) == [Aligned(1, exact=False), Aligned(4, exact=False)]
    assert align([1, 2, 6, 7], 8, 2, always)[0] == Aligned(1, exact=True)


def test_a_frame_that_may_be_in_two_places_has_none() -> None:
    assert align([3], 6, 1, always) == [None]
    assert align([3], 6, 1, lambda _, distance: distance == 3) == [Aligned(3, exact=False)]


def test_what_fits_nowhere_is_said() -> None:
    assert align([1], 4, 0, lambda *_: False) is None
    assert align([1], 4, -1, always) is None
    assert align([1, 2, 3], 4, 1, always) is None  # three frames and a stranger have no room there
    assert align([1], 100, 50, always) is None


# --- several at once ---------------------------------------------------------------------------------------


def test_all_protocols_at_once_on_one_channel() -> None:
    secret = Secret(b"pass1234word")
    phones = {
        ESPTOUCH: EspTouch(b"one", secret, ACCESS_POINT, "192.168.1.2"),
        ESPTOUCH_V2: EspTouchV2(b"two", secret, ACCESS_POINT, random.Random(1).randbytes),
        AIRKISS: AirKiss(b"three", secret, 99),
        REALTEK: RealtekSimpleConfig(
            b"four", secret, "192.168.1.2", b"\2\0\0\0\0\3", random.Random(1).randbytes
        ),
    }
    heard = merged(
        *(
            Channel(random.Random(number), loss=0.2, others=5, phone=bytes((2, 0, 0, 0, 0, number))).carry(
                itertools.islice(encoder.casts(), 1500)
            )
            for number, encoder in enumerate(phones.values())
        )
    )
    found = {result.protocol: (result.credentials.ssid, result.transmitter[-1]) for result in results(heard)}
    assert found == {
        ESPTOUCH: (b"one", 0),
        ESPTOUCH_V2: (b"two", 1),
        AIRKISS: (b"three", 2),
        REALTEK: (b"four", 3),
    }


@pytest.mark.parametrize("number", range(3))
def test_late_retries_and_duplicates_do_no_harm(number: int) -> None:
    """Block acknowledgements let lost frames come after later ones."""
    secret = Secret(b"pass1234word")
    encoder = (
        EspTouch(b"one", secret, ACCESS_POINT, "192.168.1.2"),
        EspTouchV2(b"two", secret, ACCESS_POINT, random.Random(1).randbytes),
        AirKiss(b"three", secret, 99),
    )[number]
    for seed in range(5):
        randomness = random.Random(seed)
        casts = itertools.islice(encoder.casts(), 1800)
        heard = list(Channel(randomness, loss=0.2, others=10, retries=0.2).carry(casts))
        for index in sorted(randomness.sample(range(len(heard) - 10), len(heard) // 12)):
            late = attrs.evolve(heard.pop(index), retry=True)
            heard.insert(index + randomness.randrange(1, 8), late)
        assert [result.credentials.password for result in results(heard)] == [secret]


def test_two_phones_and_a_neighbour_do_not_mix() -> None:
    passwords = [b"pass1234word", b"word1234pass", b"pass5678word"]
    streams = []
    for number, password in enumerate(passwords):
        address, encoder = phone(number, password)
        access_point = ACCESS_POINT if number < 2 else ACCESS_POINT[::-1]
        casts = list(itertools.islice(encoder.casts(), 1500))
        for direction in Direction:
            channel = Channel(
                random.Random(number),
                loss=0.3,
                phone=address,
                access_point=access_point,
                direction=direction,
                start=0.003 * number,
            )
            streams.append(channel.carry(casts))
    found = {
        result.transmitter[-1]: result.credentials.password.reveal() for result in results(merged(*streams))
    }
    assert found == dict(enumerate(passwords))


def test_a_wrong_track_blocks_no_right_one() -> None:
    """Something of the phone's looks like a guide code for a while, with another overhead."""
    address, encoder = phone(1)
    noise = [frame(index, 900 - index % 4, transmitter=address, time=index * 0.008) for index in range(40)]
    channel = Channel(random.Random(1), loss=0.1, phone=address, start=0.4, sequence=40)
    (result,) = results([*noise, *channel.carry(itertools.islice(encoder.casts(), 1500))])
    assert result.credentials.password == Secret(b"pass1234word")


def test_fragments_and_frames_to_one_station_are_no_symbols() -> None:
    address, encoder = phone(1)
    heard = list(Channel(random.Random(1), phone=address).carry(itertools.islice(encoder.casts(), 800)))
    tracker = Tracker()
    assert not results([attrs.evolve(seen, fragment=1) for seen in heard], tracker)
    assert not results([attrs.evolve(seen, destination=address) for seen in heard], tracker)
    assert tracker.frames == 0
    assert not tracker.progress()


# --- frames as they are ------------------------------------------------------------------------------------


def in_the_air(seen: Observation, *, qos: bool) -> bytes:
    """The whole frame of an observation."""
    to_ap = seen.direction is Direction.TO_AP
    addresses = (
        (seen.bssid, seen.transmitter, seen.destination)
        if to_ap
        else (seen.destination, seen.bssid, seen.transmitter)
    )
    control = bytes((0x88 if qos else 0x08, (1 if to_ap else 2) | (0x08 if seen.retry else 0) | 0x40))
    header = control + bytes(2) + b"".join(addresses) + (seen.sequence << 4).to_bytes(2, "little")
    return header + (bytes(2) if qos else b"") + bytes(seen.length)


def test_headers_of_frames_do_as_well() -> None:
    """To the AP with QoS, from it without; beacons and frames to one station count numbers."""
    address, encoder = phone(1)
    casts = list(itertools.islice(encoder.casts(), 1200))
    tracker, found = Tracker(), []
    both = merged(
        *(
            Channel(
                random.Random(number),
                loss=0.2,
                others=20,
                phone=address,
                direction=direction,
                start=number / 500,
            ).carry(casts)
            for number, direction in enumerate(Direction)
        )
    )
    for seen in both:
        header = parse_header(in_the_air(seen, qos=seen.direction is Direction.TO_AP))
        found += tracker.hear(header, 6, seen.time)
    (result,) = found
    assert result.credentials.password == Secret(b"pass1234word")
    assert {progress.directions for progress in tracker.progress()} == {frozenset(Direction)}
    assert ACCESS_POINT in tracker.senders
    beacon = b"\x80\0\0\0" + BROADCAST + ACCESS_POINT * 2 + b"\0\1" + bytes(40)
    assert tracker.hear(parse_header(beacon), 6, both[-1].time) == ()
    assert tracker.hear(parse_header(b"\xd4\0\0\0" + address), 6, both[-1].time) == ()  # an ACK


# --- memory ------------------------------------------------------------------------------------------------


def test_a_busy_neighbourhood_does_not_push_a_phone_out() -> None:
    address, encoder = phone(1)
    randomness = random.Random(1)
    tracker = Tracker()
    found = []
    for seen in Channel(randomness, loss=0.1, phone=address).carry(itertools.islice(encoder.casts(), 1000)):
        found += tracker.feed(seen)
        for _ in range(20):
            foreign = frame(
                randomness.randrange(4096),
                randomness.randrange(1600),
                transmitter=randomness.randbytes(6),
                time=seen.time,
            )
            found += tracker.feed(foreign)
    assert [result.transmitter for result in found] == [address]


def test_what_is_kept_is_bounded() -> None:
    randomness = random.Random(2)
    tracker = Tracker()

    def hear(stations: int, frames: int) -> None:
        for index in range(frames):
            station = randomness.randrange(stations)
            length = 600 - index % 4 if station % 5 == 0 else randomness.randrange(40, 1200)
            seen = frame(
                randomness.randrange(4096) if station % 3 else index % 4096,
                length,
                transmitter=station.to_bytes(6, "big"),
                bssid=randomness.randrange(40).to_bytes(6, "big"),
                destination=BROADCAST if station % 2 else b"\1\0\x5e" + randomness.randbytes(3),
                direction=randomness.choice(list(Direction)),
                time=index * 0.001,
            )
            tracker.feed(seen)

    hear(30, 2000)
    hear(2000, 3000)
    tracemalloc.start()
    try:
        hear(30, 2000)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(3):
            hear(30, 2000)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 200_000
    assert len(tracker._stations) <= STRANGERS_MAX + PHONES_MAX
    tracker.clear()
    assert not tracker.progress()
    assert tracker.weight == 0


def test_phones_that_are_done_make_room() -> None:
    tracker = Tracker()
    for number in range(2 * PHONES_MAX):
        address, encoder = phone(number)
        channel = Channel(random.Random(number), phone=address, start=20.0 * number)
        assert len(results(channel.carry(itertools.islice(encoder.casts(), 500)), tracker)) == 1
    assert len(tracker.progress()) == PHONES_MAX
    assert {progress.weight for progress in tracker.progress()} == {1.0}


def test_weight_and_progress_lead_to_the_nearest() -> None:
    tracker = Tracker()
    assert tracker.weight == 0
    (one, first), (two, second) = phone(1), phone(2)
    streams = [
        Channel(random.Random(1), phone=one).carry(itertools.islice(first.casts(), 300)),
        Channel(random.Random(1), phone=two).carry(itertools.islice(second.casts(), 260)),
    ]
    results(merged(*streams), tracker)
    nearest, other = tracker.progress()
    assert (nearest.transmitter, other.transmitter) == (one, two)
    assert 0 < other.weight < nearest.weight == tracker.weight < 1
    assert ACCESS_POINT not in tracker.senders
    assert one in tracker.senders


@pytest.mark.parametrize("keys", [{"esptouch_key": Secret(b"short")}, {"airkiss_key": Secret(b"x" * 17)}])
def test_keys_of_a_wrong_length_are_refused(keys: dict[str, Secret]) -> None:
    with pytest.raises(ConfigurationError):
        all_decoders(**keys)


def test_no_result_shows_its_secrets() -> None:
    address, encoder = phone(1)
    heard = Channel(random.Random(1), phone=address).carry(encoder.casts())
    tracker = Tracker()
    (result,) = results(heard, tracker)
    assert "pass1234word" not in repr((result, tracker.progress()))
