"""AirKiss, both sides: the vectors, keys, schedules, losses, restarts."""

from __future__ import annotations

import itertools
import random

import pytest

from qiot.errors import ProtocolError
from qiot.model import AckRecipe, Credentials, Reason, Secret
from qiot.protocols.air.airkiss import GUIDE, AirKiss, Pacing, decrypt, encrypt
from qiot.protocols.air.airkiss_decoder import AirKissDecoder
from qiot.protocols.air.calibration import OVERHEADS
from qiot.protocols.air.casts import Cast, Encoder
from qiot.protocols.air.esptouch import EspTouch
from qiot.protocols.air.esptouch_v2 import EspTouchV2
from qiot.protocols.air.observation import Direction
from qiot.protocols.air.results import AIRKISS
from qiot.protocols.air.tracker import Tracker
from tests.protocols.air.channel import Channel, merged
from tests.protocols.air.support import first, in_rounds, results, sent, vector

SHORT = Pacing(guides=10, magics=5, interval=0.005)
SEPARATE = Pacing(guides=100, magics=25, prefixes=25, rounds=24, prefix_in_round=False, interval=0.005)
BRIEF = Pacing(guides=20, magics=5, rounds=2)
KEY = Secret(b"qiotTestKey_0001")


def encoder(ssid: bytes = b"MyHome-2G", password: bytes = b"pass1234word", **options: object) -> AirKiss:
    return AirKiss(ssid, Secret(password), **{"random_byte": 186, **options})


def encoder_of(given: dict[str, object]) -> AirKiss:
    return AirKiss(
        bytes.fromhex(given["ssid_hex"]), Secret(bytes.fromhex(given["password_hex"])), given["random"]
    )


def with_key(key: Secret | None) -> Tracker:
    return Tracker(lambda: (AirKissDecoder(key),))


# --- the phone's side --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["airkiss-1", "airkiss-3"])
def test_the_fields_are_the_vendors(name: str) -> None:
    case = vector(name)
    phone = encoder_of(case["input"])
    assert list(phone.magic()) == case["magic"]
    assert list(phone.prefix()) == case["prefix"]
    assert phone.data() == case["data"]
    lengths = [cast.length for cast in phone.round()]
    assert lengths == [*case["guide"], *case["magic"], *case["prefix"], *case["data"]]


def test_the_worked_example() -> None:
    phone = encoder(b"MMKD", b"lixiaoxiong")
    assert [*phone.magic(), *phone.prefix()] == [1, 16, 44, 51, 64, 91, 98, 112]
    assert phone.data()[:6] == [144, 128, 364, 361, 376, 361]
    assert phone.data()[-6:] == [141, 131, 333, 333, 331, 324]


def test_the_encrypted_fields_are_what_the_official_receiver_takes() -> None:
    case = vector("airkiss-aes-1")
    given = case["input"]
    key = Secret(given["aes_key"])
    phone = AirKiss(b"MyHome-2G", Secret(b"pass1234word"), given["random"], key=key)
    assert encrypt(b"pass1234word", key.reveal()).hex() == case["cipher_hex"]
    assert in_rounds(GUIDE, 20, phone.magic(), 10) + 3 * [*phone.prefix(), *phone.data()] == case["lengths"]


def test_the_schedule_is_that_of_the_captures() -> None:
    casts = list(encoder(b"123456789", b"123456789012").casts())
    runs = [(part, len(list(run))) for part, run in itertools.groupby(casts, key=lambda cast: cast.part)]
    assert runs[:4] == [("guide", 200), ("magic", 80), ("prefix", 4), ("data", 34)]
    assert [part for part, _ in runs[:33]].count("data") == 15
    assert runs[32][0] == "guide"
    assert casts[1].t == pytest.approx(0.004)
    assert casts[-1].t == pytest.approx(45, abs=0.01)
    assert (casts[0].to, casts[0].port) == ("255.255.255.255", 10001)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ssid": b""},
        {"ssid": b"x" * 33},
        {"password": b"x" * 65},
        {"random_byte": 256},
        {"random_byte": -1},
        {"key": Secret(b"")},
        {"key": Secret(b"x" * 17)},
    ],
)
def test_what_cannot_be_sent_is_said(wrong: dict[str, object]) -> None:
    with pytest.raises(ProtocolError) as caught:
        encoder(**wrong)
    assert caught.value.reason is Reason.BAD_FIELD


@pytest.mark.parametrize("key", [b"1", b"0123456789abcdef"])
@pytest.mark.parametrize("password", [b"", b"x" * 15, b"x" * 16, b"x" * 64])
def test_what_a_key_hides_it_shows_again(key: bytes, password: bytes) -> None:
    field = encrypt(password, key)
    assert len(field) % 16 == 0
    assert len(field) > len(password)
    assert decrypt(field, key) == password
    assert decrypt(field, key + b"\0"[: 16 - len(key)]) == password  # keys are filled up with zeros
    assert decrypt(field[:-1], key) is None
    assert decrypt(b"", key) == b""


# --- the device's side -------------------------------------------------------------------------------------


@pytest.mark.parametrize("overhead", [23, 36, 44, 52, 60, 84, 108])
@pytest.mark.parametrize("name", ["airkiss-1", "airkiss-3"])
def test_the_vendors_lengths_are_decoded(name: str, overhead: int) -> None:
    case = vector(name)
    lengths = in_rounds(case["guide"], 10, case["magic"], 6) + 3 * (case["prefix"] + case["data"])
    result, _ = first(Channel(random.Random(0), overhead=overhead).carry(sent(lengths, 0.005)))
    given = case["input"]
    assert result.protocol == AIRKISS
    assert result.credentials == Credentials(
        bytes.fromhex(given["ssid_hex"]), Secret(bytes.fromhex(given["password_hex"]))
    )
    assert result.ack == AckRecipe(AIRKISS, 10000, bytes((given["random"],)))
    assert result.fields == {"random": given["random"]}


def test_the_encrypted_vector_is_decoded_with_its_key() -> None:
    case = vector("airkiss-aes-1")
    heard = list(Channel(random.Random(0)).carry(sent(case["lengths"], 0.005)))
    result, _ = first(heard, with_key(Secret(case["input"]["aes_key"])))
    assert result.credentials == Credentials(b"MyHome-2G", Secret(b"pass1234word"))
    assert result.fields == {"random": 90}


def test_another_key_gives_no_result_but_a_reason() -> None:
    tracker = with_key(Secret(b"another key"))
    case = vector("airkiss-aes-1")
    assert not results(Channel(random.Random(0)).carry(sent(case["lengths"], 0.005)), tracker)
    (progress,) = tracker.progress()
    assert "key" in progress.text
    assert progress.wrong_checksums


@pytest.mark.parametrize("pacing", [Pacing(), SHORT, SEPARATE])
@pytest.mark.parametrize("password", [b"", b"12345678", b"1234567", b"\xff" * 64])
@pytest.mark.parametrize("ssid", [b"x", "Büro 会议室".encode(), "会议室".encode("gbk"), bytes(range(32))])
def test_any_octets_go_through(ssid: bytes, password: bytes, pacing: Pacing) -> None:
    phone = encoder(ssid, password, pacing=pacing)
    result, _ = first(Channel(random.Random(1), loss=0.2, others=5).carry(phone.casts()))
    assert result.credentials == Credentials(ssid, Secret(password))


@pytest.mark.parametrize("password", [b"", b"12345678", b"\xff" * 64])
def test_keys_go_through(password: bytes) -> None:
    phone = encoder(password=password, key=KEY)
    result, _ = first(Channel(random.Random(1), loss=0.2).carry(phone.casts()), with_key(KEY))
    assert result.credentials.password == Secret(password)


def test_a_zero_total_may_be_sent_as_zero() -> None:
    """A first symbol of no length at all, as some senders do; it comes with the length of the overhead."""
    case = vector("airkiss-3")
    magic = [0, *case["magic"][1:]]
    lengths = in_rounds(case["guide"], 10, magic, 6) + 3 * (case["prefix"] + case["data"])
    result, _ = first(Channel(random.Random(0)).carry(sent(lengths, 0.005)))
    assert result.credentials.ssid == b"FreeCafe"


def test_rounds_before_and_after_a_guide_code_add_up() -> None:
    """Two rounds between guide codes are far too few at this loss."""
    result, time = first(Channel(random.Random(5), loss=0.55).carry(encoder(pacing=BRIEF).casts()))
    assert result.credentials == Credentials(b"MyHome-2G", Secret(b"pass1234word"))
    assert time > 3 * 0.004 * (100 + 76)


def test_both_directions_are_faster_than_one() -> None:
    def time(seed: int, *directions: Direction) -> float:
        randomness = random.Random(seed)
        heard = [
            Channel(
                randomness,
                loss=0.4,
                direction=direction,
                overhead=52 if direction is Direction.TO_AP else 56,
                others=10,
                sequence=randomness.randrange(4096),
                start=0.002 if direction is Direction.FROM_AP else 0,
            ).carry(itertools.islice(encoder().casts(), 2500))
            for direction in directions
        ]
        return first(merged(*heard))[1]

    seeds = range(7)
    both = sorted(time(seed, Direction.TO_AP, Direction.FROM_AP) for seed in seeds)
    one = sorted(time(seed, Direction.TO_AP) for seed in seeds)
    assert both[3] < one[3]


def test_a_capture_without_sequence_numbers_is_decoded() -> None:
    result, _ = first(Channel(random.Random(7), loss=0.1, numbered=False).carry(encoder().casts()))
    assert result.credentials == Credentials(b"MyHome-2G", Secret(b"pass1234word"))


def test_a_phone_that_starts_over_is_heard_again() -> None:
    wrong = encoder(password=b"pass1234work", random_byte=7, pacing=BRIEF)
    right = encoder(random_byte=99, pacing=BRIEF)
    for seed, cut in itertools.product(range(4), (120, 160, 190, 400)):
        before = itertools.islice(wrong.casts(), cut)
        lengths = [cast.length for cast in (*before, *itertools.islice(right.casts(), 1500))]
        heard = Channel(random.Random(seed), loss=0.3).carry(sent(lengths, 0.004))
        found = [(result.credentials.password.reveal(), result.fields["random"]) for result in results(heard)]
        assert found[-1] == (b"pass1234word", 99)
        assert set(found) <= {(b"pass1234work", 7), (b"pass1234word", 99)}


def test_progress_says_what_is_missing() -> None:
    tracker = Tracker()
    casts = list(itertools.islice(encoder(pacing=SHORT).casts(), 40 + 20 + 4 + 18))
    results(Channel(random.Random(10)).carry(casts), tracker)
    (progress,) = tracker.progress()
    assert progress.protocol == AIRKISS
    assert progress.overhead == (52,)
    assert progress.missing == ("sequence 3", "sequence 4", "sequence 5")
    assert (progress.have, progress.need) == (3, 6)
    assert "3 of 6" in progress.text


# --- from the middle of the data on ------------------------------------------------------------------------


def data_of(phone: AirKiss, first: int = 7) -> list[Cast]:
    """What comes between the magic field and the next guide code, the first symbols of it left out."""
    start = 4 * (phone.pacing.guides + phone.pacing.magics) + first
    casts = itertools.islice(phone.casts(), start, None)
    return list(itertools.takewhile(lambda cast: cast.part != "guide", casts))


@pytest.mark.parametrize("overhead", OVERHEADS)
@pytest.mark.parametrize(
    ("ssid", "password"),
    [(b"MyHome-2G"[:size], b"pass1234word") for size in (4, 5, 6, 7)]  # every length of the last sequence
    + [(b"x", b""), (b"abc", b""), ("会议室".encode("gbk"), b"\xff" * 64), (bytes(range(32)), b"12345678")],
)
def test_no_guide_code_and_no_magic_field_is_needed(ssid: bytes, password: bytes, overhead: int) -> None:
    phone = encoder(ssid, password)
    result, time = first(Channel(random.Random(1), overhead=overhead).carry(data_of(phone)))
    assert result.credentials == Credentials(ssid, Secret(password))
    assert result.fields == {"random": 186}
    symbols = len(phone.prefix()) + len(phone.data())
    assert time < data_of(phone)[0].t + 0.004 * max(3.1 * symbols, 60)


@pytest.mark.parametrize("first_symbol", [0, 1, 2, 3, 4, 5, 11, 20, 37])
def test_data_may_begin_anywhere(first_symbol: int) -> None:
    heard = Channel(random.Random(first_symbol), loss=0.15, others=5).carry(data_of(encoder(), first_symbol))
    result, _ = first(heard)
    assert result.credentials == Credentials(b"MyHome-2G", Secret(b"pass1234word"))


def test_data_under_a_key_is_enough() -> None:
    result, _ = first(Channel(random.Random(1), loss=0.1).carry(data_of(encoder(key=KEY))), with_key(KEY))
    assert result.credentials.password == Secret(b"pass1234word")


def test_an_overhead_that_no_cipher_has_waits_for_the_guide_code() -> None:
    tracker = Tracker()
    assert not results(Channel(random.Random(8), overhead=70).carry(data_of(encoder())), tracker)
    assert not tracker.progress()
    casts = itertools.islice(encoder().casts(), 500, None)
    result, time = first(Channel(random.Random(8), overhead=70, loss=0.2).carry(casts))
    assert result.credentials.password == Secret(b"pass1234word")
    assert time < 850 * 0.004 + 2


@pytest.mark.parametrize(("random_byte", "found"), [(186, [b"pass1234word"]), (187, [])])
def test_data_from_before_the_guide_code_is_used_where_the_random_byte_is_the_same(
    random_byte: int, found: list[bytes]
) -> None:
    """One round before the guide code, and less than one after it, which ends with the random byte."""
    before, after = encoder(), encoder(random_byte=random_byte, pacing=SHORT)
    until_random = 4 * (SHORT.guides + SHORT.magics + 1) + 4 * (2 + 4)
    casts = (*data_of(before)[:55], *itertools.islice(after.casts(), until_random))
    heard = Channel(random.Random(0)).carry(sent([cast.length for cast in casts], 0.004))
    assert [result.credentials.password.reveal() for result in results(heard)] == found


@pytest.mark.parametrize("seed", range(12))
def test_data_of_two_that_no_guide_code_parts_is_never_mixed(seed: int) -> None:
    """The receiver was away when the phone started over; the lengths are the same, most octets, too."""
    wrong, right = encoder(password=b"pass1234work", random_byte=7), encoder(random_byte=99)
    before, after = data_of(wrong)[: 60 + 30 * seed], data_of(right, seed)
    lengths = [cast.length for cast in (*before, *after)]
    heard = Channel(random.Random(seed), loss=0.05 * (seed % 5)).carry(sent(lengths, 0.004))
    found = {(result.credentials.password.reveal(), result.fields["random"]) for result in results(heard)}
    assert found <= {(b"pass1234work", 7), (b"pass1234word", 99)}


def test_the_prefix_field_of_another_datum_does_not_cut_this_one() -> None:
    """Same octets, other borders: without a magic field only the prefix field would tell."""
    long, short = encoder(b"l", b"H)~NcJ2M ARW+", random_byte=45), encoder(b"l", b"", random_byte=72)
    symbols = len(long.prefix()) + len(long.data())
    for rounds, cut in itertools.product((2, 4, 5), range(symbols)):
        lengths = [cast.length for cast in data_of(long, 0)][: rounds * symbols + cut]
        lengths += [cast.length for cast in data_of(short, 0)] * 3
        heard = Channel(random.Random(cut), loss=0.1).carry(sent(lengths, 0.004))
        found = {(result.credentials.ssid, result.credentials.password.reveal()) for result in results(heard)}
        assert found <= {(b"l", b"H)~NcJ2M ARW+"), (b"l", b"")}


@pytest.mark.parametrize("seed", range(8))
def test_frames_to_others_do_not_make_the_data_longer_or_shorter(seed: int) -> None:
    """Their numbers are all that is known of them, and there are as many as two in each round."""
    noisy = Channel(random.Random(seed), loss=0.2, others=15, others_heard=False)
    found = [result.credentials for result in results(noisy.carry(data_of(encoder())))]
    assert found in ([], [Credentials(b"MyHome-2G", Secret(b"pass1234word"))])


def test_progress_knows_a_phone_in_the_middle_of_the_data() -> None:
    tracker = Tracker()
    assert not results(Channel(random.Random(1)).carry(data_of(encoder())[:40]), tracker)
    (progress,) = tracker.progress()
    assert (progress.protocol, progress.overhead, progress.missing) == (AIRKISS, (52,), ("magic field",))
    assert "started in the middle of the data" in progress.text


def test_what_is_no_airkiss_is_not_taken_for_it() -> None:
    source = random.Random(3)
    alike = [source.choice((0x80, 0x81, 0x82, *range(0x80, 0x200))) for _ in range(20_000)]
    others: list[Encoder] = [
        EspTouch(b"MyHome-2G", Secret(b"pass1234word"), bytes(6), "192.168.1.2"),
        EspTouchV2(b"MyHome-2G", Secret(b"pass1234word"), bytes(6), source.randbytes),
    ]
    for casts in (sent(alike, 0.004), *(itertools.islice(other.casts(), 3000) for other in others)):
        tracker = with_key(None)
        assert not results(Channel(source).carry(casts), tracker)
        assert not tracker.progress()
