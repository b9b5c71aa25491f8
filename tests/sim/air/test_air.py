"""The simulated air: what is sent by whom, when, with which numbers and how long; and who hears it."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qiot.protocols.air.dot11 import BEACON, DATA, PROBE_REQUEST, Header, parse_header
from qiot.protocols.air.elements import elements_of
from qiot.sim.air import (
    BROADCAST,
    DEAF,
    Air,
    AirAccessPoint,
    AirStation,
    Bursts,
    Cipher,
    Emission,
    Habits,
    Heard,
    House,
    Link,
    Manners,
    Protection,
    Traffic,
    group_address,
    keep_house_busy,
    keep_station_busy,
    neighbours,
    udp_packet,
)
from qiot.sim.air.medium import airtime

ACCESS_POINT = bytes.fromhex("00e04c8712ab")
PHONE = bytes.fromhex("0a1b2c3d4e5f")
OPEN = Protection(Cipher.OPEN, Cipher.OPEN)
RELIABLE: dict[str, Any] = {"unheard": 0.0, "unacknowledged": 0.0}
HEADERS = 8 + 20 + 8
"""LLC, IP and UDP."""


class House1:
    """An access point, a phone, and somebody who hears everything."""

    def __init__(
        self,
        *,
        seed: int = 1,
        protection: Protection | None = None,
        manners: Manners | None = None,
        habits: Habits | None = None,
        beacons: bool = True,
        **ear: Any,
    ) -> None:
        self.air = Air(seed)
        self.access_point = AirAccessPoint(self.air, ACCESS_POINT, protection=protection, manners=manners)
        if beacons:
            self.access_point.start()
        self.phone = AirStation(self.air, PHONE, self.access_point, habits=habits or Habits(**RELIABLE))
        self.heard: list[Heard] = []
        self.receiver = self.air.receiver(self.heard.append, **{"channel": 6, **ear})

    def cast(self, lengths: Iterable[int], interval: float = 0.008, tid: int = 0) -> None:
        for number, length in enumerate(lengths):
            packet = udp_packet(
                PHONE,
                BROADCAST,
                address="192.168.1.5",
                to="255.255.255.255",
                port=7001,
                payload=bytes(length),
                origin=number,
            )
            self.air.at(number * interval, lambda packet=packet: self.phone.send(packet, tid))  # type: ignore[misc]

    def headers(self, wanted: Callable[[Header], bool] = lambda _: True) -> list[tuple[Heard, Header]]:
        pairs = [(heard, parse_header(heard.data)) for heard in self.heard if heard.intact]
        return [(heard, header) for heard, header in pairs if wanted(header)]

    def up(self) -> list[tuple[Heard, Header]]:
        return self.headers(lambda header: header.to_ds and header.carries_data)

    def down(self) -> list[tuple[Heard, Header]]:
        return self.headers(lambda header: header.from_ds and header.group_addressed)

    def beacons(self) -> list[tuple[Heard, Header]]:
        return self.headers(lambda header: header.type == 0 and header.subtype == BEACON)


# --- one datagram ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [True, False])
@pytest.mark.parametrize("ht_control", [True, False])
@pytest.mark.parametrize(
    ("pairwise", "group", "up", "down"),
    [
        (Cipher.OPEN, Cipher.OPEN, 60, 60),
        (Cipher.WEP, Cipher.WEP, 68, 68),
        (Cipher.TKIP, Cipher.TKIP, 80, 80),
        (Cipher.CCMP, Cipher.CCMP, 76, 76),
        (Cipher.CCMP, Cipher.TKIP, 76, 80),
        (Cipher.GCMP, Cipher.GCMP, 84, 84),
        (Cipher.CCMP_256, Cipher.GCMP_256, 84, 84),
    ],
)
def test_a_frame_is_as_long_as_its_headers_and_ciphers_make_it(
    pairwise: Cipher, group: Cipher, up: int, down: int, quality: bool, ht_control: bool
) -> None:
    """The figures are those of ESP-TOUCH's table: frame length less payload, without QoS."""
    house = House1(
        protection=Protection(pairwise, group),
        habits=Habits(quality=quality, ht_control=ht_control, **RELIABLE),
        manners=Manners(group_quality=ht_control),
        beacons=False,
    )
    house.cast([515])
    house.air.advance(1)
    ((there, above),) = house.up()
    ((back, below),) = house.down()
    assert len(there.data) == 515 + up + (2 if quality else 0) + (4 if quality and ht_control else 0)
    assert len(back.data) == 515 + down + (2 if ht_control else 0)
    assert above.protected is (pairwise is not Cipher.OPEN)
    assert below.protected is (group is not Cipher.OPEN)
    assert (above.tid, below.tid) == (0 if quality else None, 0 if ht_control else None)
    assert above.body == 515 + HEADERS + pairwise.head + pairwise.tail
    for header in (above, below):
        assert (header.source, header.destination, header.bssid) == (PHONE, BROADCAST, ACCESS_POINT)
    assert (above.transmitter, above.receiver) == (PHONE, ACCESS_POINT)
    assert (below.transmitter, below.receiver) == (ACCESS_POINT, BROADCAST)
    assert there.origin == back.origin == 0


def test_what_is_not_encrypted_is_the_datagram_itself() -> None:
    house = House1(protection=OPEN, beacons=False)
    house.cast([5])
    house.air.advance(1)
    ((_, header),) = house.up()
    body = house.up()[0][0].data[header.length :]
    assert body[:8] == bytes.fromhex("aaaa030000000800")
    assert body[8:10] == bytes.fromhex("4500")
    assert int.from_bytes(body[10:12]) == 33
    assert body[20:28] == bytes((192, 168, 1, 5, 255, 255, 255, 255))
    total = sum(int.from_bytes(body[8 + place : 10 + place]) for place in range(0, 20, 2))
    assert total % 0xFFFF == 0  # RFC 1071
    assert body[28:] == bytes.fromhex("1b591b59000d0000") + bytes(5)
    assert house.down()[0][0].data[24:] == body


def test_initialisation_vectors_say_which_cipher_and_count() -> None:
    for cipher, key_octet in ((Cipher.CCMP, 3), (Cipher.TKIP, 3), (Cipher.WEP, 3)):
        house = House1(protection=Protection(cipher, cipher), beacons=False)
        house.cast([9, 9, 9])
        house.air.advance(1)
        heads = [heard.data[header.length :][:8] for heard, header in house.up()]
        extended = 0 if cipher is Cipher.WEP else 0x20
        assert {head[key_octet] for head in heads} == {extended}
        assert {heard.data[24 + key_octet] for heard, _ in house.down()} == {extended | 1 << 6}
        assert len({head[:4] for head in heads}) == 3
        if cipher is Cipher.TKIP:
            assert all(head[1] == (head[0] | 0x20) & 0x7F for head in heads)


@settings(deadline=None)
@given(st.integers(0, 2**48 - 1), st.integers(0, 3), st.sampled_from(Cipher))
def test_a_cipher_header_has_its_length(number: int, key: int, cipher: Cipher) -> None:
    assert len(cipher.header(number, key)) == cipher.head


@pytest.mark.parametrize(
    ("to", "mac"),
    [
        ("255.255.255.255", "ffffffffffff"),
        ("192.168.1.255", "ffffffffffff"),
        ("192.168.1.7", None),
        ("192.168.2.255", None),
        ("234.5.5.5", "01005e050505"),
        ("239.129.2.3", "01005e010203"),
    ],
)
def test_group_addresses(to: str, mac: str | None) -> None:
    assert group_address(to, 24, "192.168.1.5") == (None if mac is None else bytes.fromhex(mac))


def test_a_datagram_that_cannot_be() -> None:
    good: dict[str, Any] = {"address": "10.0.0.1", "to": "10.0.0.2", "port": 1, "payload": b""}
    for wrong in ({"payload": bytes(1473)}, {"port": 0}, {"port": 65536}, {"to": "here"}):
        with pytest.raises(ValueError, match=r"\w"):
            udp_packet(PHONE, BROADCAST, **{**good, **wrong})


# --- counters ----------------------------------------------------------------------------------------------


def test_a_station_counts_each_traffic_identifier_apart() -> None:
    house = House1(beacons=False)
    house.cast([100] * 30)
    house.cast([200] * 30, interval=0.007, tid=6)
    house.air.advance(1)
    for tid in (0, 6):
        numbers = [header.sequence for _, header in house.up() if header.tid == tid]
        assert len(numbers) == 30
        assert all((later - before) % 4096 == 1 for before, later in itertools.pairwise(numbers))  # type: ignore[operator]


def test_other_traffic_uses_up_numbers_of_the_same_counter() -> None:
    house = House1(beacons=False)
    keep_station_busy(house.air, house.phone, Traffic(up=50, replies=0.5, voice=20, nulls=5, probes=2))
    house.cast([100] * 200)
    house.air.advance(2)
    mine = [header for _, header in house.up() if header.tid == 0]
    assert all((later.sequence - before.sequence) % 4096 == 1 for before, later in itertools.pairwise(mine))  # type: ignore[operator]
    casts = [header for header in mine if header.group_addressed]
    steps = {(later.sequence - before.sequence) % 4096 for before, later in itertools.pairwise(casts)}  # type: ignore[operator]
    assert len(casts) == 200
    assert len(steps) > 2
    replies = house.headers(lambda header: header.from_ds and not header.group_addressed)
    assert replies
    assert {header.destination for _, header in replies} == {PHONE}
    assert house.headers(lambda header: header.subtype == PROBE_REQUEST and header.type == 0)
    assert house.headers(lambda header: header.type == DATA and not header.carries_data)
    # What is not for everybody is not sent on.
    assert len(house.down()) == 200


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("dozing", [True, False])
def test_the_access_points_counter_is_shared_with_beacons(counted: bool, dozing: bool) -> None:
    house = House1(manners=Manners(beacons_counted=counted, dozing=dozing))
    keep_house_busy(house.air, house.access_point, House(wired=20))
    house.cast([300] * 300)
    house.air.advance(4)
    sent = house.headers(lambda header: header.transmitter == ACCESS_POINT and header.group_addressed)
    if not counted:
        sent = house.down()
    numbers = [header.sequence for _, header in sent]
    assert all((later - before) % 4096 == 1 for before, later in itertools.pairwise(numbers))  # type: ignore[operator]
    assert len([header for _, header in house.down() if header.source == PHONE]) == 300
    assert {header.source for _, header in house.down()} > {PHONE}


def test_the_counter_goes_on_while_nobody_listens() -> None:
    house = House1()
    house.air.advance(1)
    house.air.remove(house.receiver)
    before = house.beacons()[-1][1].sequence
    house.heard.clear()
    house.air.advance(1001)
    house.air.receiver(house.heard.append, channel=6)
    house.air.advance(1002)
    assert before is not None
    first = house.beacons()[0]
    beacons = round(1000 / 0.1024)
    assert (first[1].sequence - before) % 4096 in {(beacons + more) % 4096 for more in range(-2, 3)}  # type: ignore[operator]
    assert 9 <= len(house.beacons()) <= 10


# --- retries and duplicates --------------------------------------------------------------------------------


def test_a_frame_that_is_not_acknowledged_is_sent_again_and_comes_on_once() -> None:
    house = House1(habits=Habits(unheard=0.2, unacknowledged=0.3), beacons=False)
    house.cast([400 + number for number in range(300)], interval=0.02)
    house.air.advance(10)
    groups = [list(group) for _, group in itertools.groupby(house.up(), key=lambda pair: pair[1].sequence)]
    assert len(groups) == 300
    assert sum(len(group) > 1 for group in groups) > 60
    for group in groups:
        assert [header.retry for _, header in group] == [False] + [True] * (len(group) - 1)
        assert len({heard.data[:1] + heard.data[2:] for heard, _ in group}) == 1
        assert len(group) <= 7
    # In order, and each once, whatever was sent twice.
    origins = [heard.origin for heard, _ in house.down()]
    assert origins == sorted(set(origins))  # type: ignore[type-var]
    assert len(origins) >= 298
    assert not any(header.retry for _, header in house.down())


def test_what_never_arrives_is_given_up_and_the_next_one_goes_on() -> None:
    house = House1(habits=Habits(unheard=1.0), beacons=False)
    house.cast([100, 101])
    house.air.advance(1)
    assert [heard.origin for heard, _ in house.up()] == [0] * 7 + [1] * 7
    assert house.down() == []
    assert house.phone.lost == 2


def test_an_access_point_that_keeps_its_stations_apart_sends_nothing_on() -> None:
    house = House1(manners=Manners(forwards=False))
    house.cast([100] * 10)
    house.air.advance(1)
    assert len(house.up()) == 10
    assert house.down() == []


# --- sleepers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [1, 2, 3])
def test_while_somebody_sleeps_everything_for_everybody_follows_a_dtim_beacon(period: int) -> None:
    house = House1(manners=Manners(dozing=True, dtim_period=period))
    house.cast([300] * 200)
    house.air.advance(3)
    counts: list[int] = []
    after_dtim: list[bool] = []
    group_waits = False
    for heard, header in house.headers(lambda header: not header.to_ds):
        if header.subtype == BEACON and header.type == 0:
            tim = dict(elements_of(heard.data, 24 + 12))[5]
            counts.append(tim[0])
            assert tim[1] == period
            group_waits = bool(tim[2] & 1)
            assert not group_waits or tim[0] == 0
            after_dtim.append(group_waits)
        else:
            assert group_waits, "a frame for everybody without a beacon that tells"
    assert counts == [count % period for count in range(0, -len(counts), -1)]
    down = house.down()
    assert [heard.origin for heard, _ in down] == list(range(200))
    # More data is said by all of a burst but its last.
    more = [bool(header.flags & 0x20) for _, header in down]
    bursts = sum(after_dtim)
    assert more.count(False) == bursts
    assert max(later[0].t - before[0].t for before, later in itertools.pairwise(down)) > period * 0.09


def test_an_access_point_keeps_only_so_much_for_sleepers() -> None:
    house = House1(manners=Manners(dozing=True, dtim_period=20))
    house.cast([300] * 240)
    house.air.advance(4.5)
    assert house.access_point.lost > 0
    assert len(house.down()) + house.access_point.lost == 240
    assert [heard.origin for heard, _ in house.down()][-1] == 239  # the oldest are lost


# --- beacons -----------------------------------------------------------------------------------------------


def test_beacons_come_every_hundred_time_units_and_tell_the_name() -> None:
    house = House1()
    house.air.advance(5)
    times = [heard.t for heard, _ in house.beacons()]
    assert 48 <= len(times) <= 49
    assert all(0.1 < later - before < 0.105 for before, later in itertools.pairwise(times))
    for heard, _ in house.beacons():
        found = dict(elements_of(heard.data, 24 + 12))
        assert found[0] == b"Home"
        assert found[3] == bytes((6,))
        assert found[48][:2] == b"\x01\x00"


def test_a_hidden_network_a_stopped_one_and_one_that_starts_again() -> None:
    house = House1(beacons=False)
    house.access_point.hidden = True
    for _ in range(3):
        house.access_point.start()
        house.access_point.start()
        house.access_point.stop()
        house.access_point.stop()
    house.air.advance(1)
    assert house.beacons() == []
    house.access_point.start()
    house.air.advance(2)
    assert 9 <= len(house.beacons()) <= 10
    assert {dict(elements_of(heard.data, 36))[0] for heard, _ in house.beacons()} == {b""}


# --- the channel -------------------------------------------------------------------------------------------


def test_frames_on_a_channel_do_not_overlap() -> None:
    house = House1(habits=Habits(unheard=0.3, rate=6.0), manners=Manners(group_rate=1.0))
    neighbours(house.air, 3, channels=(6,))
    house.cast([500] * 300, interval=0.004)
    house.air.advance(5)
    times = [(heard.t - airtime(len(heard.data), heard.rate), heard.t) for heard in house.heard]
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(times))
    # 500 octets at 1 Mbit/s take longer than 4 ms: it gets late, but nothing is out of order.
    origins = [heard.origin for heard, header in house.down() if header.source == PHONE]
    assert origins == sorted(origins)  # type: ignore[type-var]


def test_airtime() -> None:
    assert airtime(96, 1.0) == pytest.approx(192e-6 + 800e-6)
    assert airtime(96, 6.0) == pytest.approx(20e-6 + 800e-6 / 6)


# --- who hears what ----------------------------------------------------------------------------------------


def emitted(count: int, channel: int = 6, sender: bytes = PHONE, **ear: Any) -> list[Heard]:
    """What is heard of frames ten milliseconds apart."""
    air = Air(7)
    heard: list[Heard] = []
    air.receiver(heard.append, **{"channel": 6, **ear})
    frame = bytes.fromhex("08020000") + BROADCAST + ACCESS_POINT + PHONE + bytes(40)
    for number in range(count):
        air.at(number * 0.01, lambda: air.emit(Emission(frame, sender, channel)))
    air.advance(count)
    return heard


@settings(deadline=None, max_examples=30)
@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_so_many_are_lost_and_damaged(loss: float, damage: float) -> None:
    heard = emitted(2000, link=Link(loss, damage))
    good = [each for each in heard if each.intact]
    bad = [each for each in heard if not each.intact]
    assert len(good) == pytest.approx(2000 * (1 - loss), abs=150)
    assert len(bad) == pytest.approx(2000 * loss * damage, abs=150)
    assert len({each.data for each in good}) <= 1
    assert all(len(each.data) == 62 and each.data != good[0].data for each in bad if good)


def test_interference_comes_in_bursts() -> None:
    heard = emitted(20_000, bursts=Bursts(loss=1.0, seconds=0.2, every=1.0))
    assert len(heard) == pytest.approx(20_000 * 5 / 6, rel=0.1)
    gaps = [later.t - before.t for before, later in itertools.pairwise(heard)]
    long = [gap for gap in gaps if gap > 0.015]
    # Lost one by one at this rate, hardly any gap would be as long as a burst is on average.
    assert len(long) == pytest.approx(200 / 1.2, rel=0.3)
    assert sum(long) / len(long) == pytest.approx(0.21, rel=0.3)


def test_channels_are_apart_but_for_the_neighbouring_ones_of_2_4_ghz() -> None:
    assert emitted(1000, channel=5) == []
    heard = emitted(1000, channel=5, overhears=True)
    assert 400 < len(heard) < 600
    assert {each.channel for each in heard} == {6}  # that is where the receiver is
    assert 50 < len(emitted(1000, channel=8, overhears=True)) < 150
    assert emitted(1000, channel=9, overhears=True) == []
    assert len(emitted(1000, channel=6, overhears=True)) == 1000


def test_a_sender_out_of_reach_and_the_own_radio_are_not_heard() -> None:
    assert emitted(10, links={PHONE: DEAF}) == []
    assert emitted(10, ignores=lambda sender: sender == PHONE) == []
    assert len(emitted(10, sender=ACCESS_POINT, links={PHONE: DEAF})) == 10
    assert {each.signal for each in emitted(10, links={PHONE: Link(signal=-80)})} == {-80}


def test_losses_of_one_receiver_do_not_depend_on_another() -> None:
    alone = emitted(200, link=Link(0.5))
    air = Air(7)
    heard: list[Heard] = []
    air.receiver(heard.append, channel=6, link=Link(0.5))
    air.receiver(lambda _: None, channel=6, link=Link(0.3))
    frame = alone[0].data
    for number in range(200):
        air.at(number * 0.01, lambda: air.emit(Emission(frame, PHONE, 6)))
    air.advance(2)
    assert [each.t for each in heard] == [each.t for each in alone]


def test_what_is_damaged_has_a_check_sum_that_does_not_fit() -> None:
    (good, *_) = emitted(1)
    assert zlib.crc32(good.data + good.check_sum) == 0x2144DF1C  # the residue of this CRC
    bad = attrs.evolve(good, intact=False)
    assert bytes(a ^ b for a, b in zip(good.check_sum, bad.check_sum, strict=True)) == b"\xff" * 4


# --- the same again ----------------------------------------------------------------------------------------


def recorded(seed: int, step: float) -> list[Heard]:
    house = House1(
        seed=seed,
        habits=Habits(unheard=0.2),
        manners=Manners(dozing=True),
        link=Link(0.2, 0.3),
        bursts=Bursts(),
        overhears=True,
    )
    keep_station_busy(house.air, house.phone, Traffic(up=20, voice=5, nulls=2, probes=1))
    keep_house_busy(house.air, house.access_point, House(5))
    neighbours(house.air, 4)
    house.cast([500] * 100)
    now = 0.0
    while now < 2:
        now += step
        house.air.advance(now)
    return [each for each in house.heard if each.t <= 2]


def test_the_same_seed_gives_the_same_frames_however_time_moves() -> None:
    one = recorded(3, 2.0)
    assert len(one) > 300
    assert recorded(3, 2.0) == one
    assert recorded(3, 0.013) == one
    assert recorded(4, 2.0) != one


def test_time_does_not_go_back() -> None:
    air = Air(start=10.0)
    happened: list[float] = []
    air.at(5.0, lambda: happened.append(air.now))
    air.at(11.0, lambda: happened.append(air.now))
    air.advance(3.0)
    assert air.now == 10.0
    air.advance(12.0)
    assert happened == [10.0, 11.0]
    assert air.next_time is None
