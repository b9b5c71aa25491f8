"""LLSync: Tencent's own bytes in both directions, then everything that they do not say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qiot.errors import ConfigurationError
from qiot.model import Credentials, Failure, Offer, Outcome, Peer, Reason, Secret, Step
from qiot.protocols.base import Answer, Ask, Connected, Lost, Mtu, Refused, Seen, Send
from qiot.protocols.ble.llsync import LLSyncDevice
from qiot.protocols.ble.llsync_frames import (
    MESSAGE_MAX,
    Down,
    Slices,
    Up,
    llsync_profile,
    packets,
    parse_device_info,
    wifi_groups,
)
from tests.protocols.ble.pair import PHONE, event, of, sent, vector

TOKEN = "69f978dfbb48ec40cadb6d9af470d0f6"
C_LOG = b"1234|f(1): hello log that is rather long\r\n"
RUNS = vector("llsync_device_c")["runs"]
PLUGIN = vector("tencent_phone_plugin")
HOME = Credentials(b"tencent", Secret("12345678"))


def device(**options) -> LLSyncDevice:
    options = {"device_name": "TEST2", "mtu": 128, **options}
    return LLSyncDevice(**options)


def write(codec: LLSyncDevice, *frames: bytes | str, peer: Peer = PHONE, now: float = 0.0) -> list:
    outputs = []
    for frame in frames:
        data = bytes.fromhex(frame) if isinstance(frame, str) else frame
        outputs += codec.feed("ffe1", data, peer, now)
    return outputs


# --- Tencent's bytes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run["ssid"])
def test_the_device_answers_as_tencent_s_c_does(run):
    """Every write of the phone, and what the C code notified after it; its sample echoes a fixed name."""
    codec = device(pad_log=False)
    codec.feed("", Connected(), PHONE, 0.0)
    expected, got, offers = [], [], []
    for line in run["device_log"]:
        verb, _, value = line.partition(" ")
        if verb == "WRITE":
            outputs = write(codec, value)
            offers += of(Offer, outputs)
            got += sent(outputs)
            if value == "e3":
                got += sent(codec.tell(event(Step.JOINING), 0.0))
            elif value.startswith("e4") and of(Offer, outputs):
                got += sent(codec.tell(event(Step.BINDING), 0.0))
            elif value == "e5":
                assert outputs == [Ask("log", PHONE)]
                got += sent(codec.tell(Answer("log", PHONE, (C_LOG,)), 0.0))
        elif verb == "NOTIFY":
            expected.append(bytes.fromhex(value))
    ssid = run["ssid"].encode()
    echoed = packets(Up.CONNECT_RESULT, [b"\1\0\0" + bytes([len(ssid)]) + ssid], 20)
    at = next(place for place, frame in enumerate(expected) if frame[0] == Up.CONNECT_RESULT)
    assert got == [*expected[:at], *echoed, *expected[at + 1 :]]
    assert offers[0].credentials == Credentials(ssid, Secret(run["password"]))
    assert offers[1].credentials is None
    assert offers[1].grant.value == Secret(TOKEN)
    assert offers[1].grant.cloud == "tencent"


def test_the_advertisement_is_the_one_of_tencent_s_c():
    profile = llsync_profile(product_id="L4WG9V9M2M", mac=bytes.fromhex("cbd52f25b5e1"), name="TEST2")
    assert profile.advertising.hex() == ("0201060303f0ff14ffe7fe02cbd52f25b5e14c3457473956394d324d")
    assert profile.scan_response == b"\x06\x09TEST2"
    assert len(profile.advertising) == 28
    assert {uuid[4:8] for uuid in profile.characteristics} == {"ffe1", "ffe3"}
    assert profile.service.endswith("-65d0-4e20-b56a-e493541ba4e2")


@pytest.mark.parametrize(
    "wrong",
    [
        {"product_id": "short"},
        {"product_id": "é123456789"},
        {"mac": b"12345"},
        {"name": "n" * 30},
        {"name": ""},
    ],
    ids=str,
)
def test_an_advertisement_over_31_octets_is_refused(wrong):
    right = {"product_id": "L4WG9V9M2M", "mac": bytes(6), "name": "n" * 29}
    assert len(llsync_profile(**right).scan_response) == 31
    with pytest.raises(ConfigurationError):
        llsync_profile(**(right | wrong))


def test_open_network_as_the_mini_program_sends_it():
    outputs = write(device(), "e20004046f70656e00", "e3")
    assert sent(outputs) == [bytes.fromhex("e1000100")]
    assert of(Offer, outputs) == [Offer(PHONE, Credentials(b"open", Secret("")))]


# --- the log -----------------------------------------------------------------------------------------------


def shown_by_the_plug_in(frames: list[bytes]) -> bytes:
    """What the mini program makes of a log reply: its parser, by the octets that it looks at."""
    data = b""
    for frame in frames:
        if frame[1] >> 6 in (0, 1):
            data = b""
        data += frame[3:]
    merged = len(data).to_bytes(2, "big") + data
    length = int.from_bytes(merged[1:3], "big")
    return merged[4 : 4 + length]


def test_the_stand_in_for_the_plug_in_does_as_the_plug_in():
    for case in PLUGIN["llsync_device_tx_acceptance"]:
        if case["case"].startswith("log"):
            frames = [bytes.fromhex(frame) for frame in case["device_tx"]]
            assert shown_by_the_plug_in(frames).decode() == case["result"]["logStr"]


@given(st.integers(1, 1100), st.integers(23, 517))
def test_the_mini_program_loses_nothing_of_a_log(length, mtu):
    codec = device()
    codec.feed("", Mtu(mtu), PHONE, 0.0)
    write(codec, "090000")
    text = bytes(33 + place % 90 for place in range(length))
    frames = sent(codec.tell(Answer("log", PHONE, (text,)), 0.0))
    assert all(len(frame) <= mtu - 3 for frame in frames)
    assert shown_by_the_plug_in(frames).rstrip(b" ") == text[-min(length, MESSAGE_MAX - 32) :]


def test_a_long_log_is_cut_at_a_line_and_keeps_the_newest():
    codec = device()
    write(codec, "e0")
    lines = [b"%04d %s\r\n" % (number, b"x" * 50) for number in range(100)]
    slices = Slices()
    read = [slices.feed(frame) for frame in sent(codec.tell(Answer("log", PHONE, lines), 0.0))][-1]
    text = read[1][2:].strip(b" ")
    assert text.endswith(lines[-1])
    assert text.startswith(lines[100 - len(text) // len(lines[0])])


def test_no_log_is_an_empty_reply():
    codec = device()
    write(codec, "e5")
    assert sent(codec.tell(Answer("log", PHONE), 0.0)) == [b"\xe4\0\0"]
    assert codec.tell(Answer("log", Peer("ble", "other")), 0.0) == ()


# --- slices ------------------------------------------------------------------------------------------------

mtus = st.integers(20, 514)


@given(st.binary(max_size=MESSAGE_MAX), mtus)
def test_slices_of_any_message_at_any_mtu(payload, mtu):
    frames = packets(Up.LOG, [payload], mtu)
    assert all(len(frame) <= mtu for frame in frames)
    slices = Slices()
    read = [slices.feed(frame) for frame in frames]
    assert read[:-1] == [None] * (len(frames) - 1)
    assert read[-1] == (Up.LOG, len(payload).to_bytes(2, "big") + payload)


@given(st.binary(min_size=1, max_size=32), st.binary(max_size=64), mtus)
def test_any_network_at_any_mtu(ssid, password, mtu):
    codec = device()
    codec.feed("", Connected(), PHONE, 0.0)
    frames = packets(Down.SET_WIFI, wifi_groups(ssid, password), mtu, length=len(ssid) + len(password))
    outputs = write(codec, *frames, "e3")
    assert sent(outputs) == [b"\xe1\0\1\0"]
    assert of(Offer, outputs) == [Offer(PHONE, Credentials(ssid, Secret(password)))]
    answer = sent(codec.tell(event(Step.JOINING), 0.0))
    slices = Slices()
    read = [slices.feed(frame) for frame in answer][-1]
    assert read == (
        Up.CONNECT_RESULT,
        (4 + len(ssid)).to_bytes(2, "big") + b"\1\0\0" + bytes([len(ssid)]) + ssid,
    )


@given(st.binary(min_size=1, max_size=MESSAGE_MAX), mtus)
def test_any_token_at_any_mtu(token, mtu):
    outputs = write(device(), *packets(Down.SET_TOKEN, [token], mtu))
    assert [offer.grant.value for offer in of(Offer, outputs)] == [Secret(token)]
    assert len(outputs) == 1


LONG = packets(
    Down.SET_WIFI, wifi_groups("客厅的无线网络_0001".encode(), b"p@ssw0rd-with-32-chars-length!!!"), 20
)
FAILED = [b"\xe1\0\1\1"]


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(LONG[1:], id="head lost"),
        pytest.param([LONG[0], *LONG[2:]], id="body lost"),
        pytest.param([LONG[0], LONG[1], LONG[1], *LONG[2:]], id="body doubled"),
        pytest.param([*LONG, LONG[-1]], id="tail doubled"),
        pytest.param([LONG[0], LONG[2], LONG[1], *LONG[3:]], id="bodies swapped"),
        pytest.param([LONG[0], LONG[1][:-1], *LONG[2:]], id="body cut"),
        pytest.param([LONG[0], LONG[1] + b"!", *LONG[2:]], id="body longer"),
        pytest.param([LONG[0], b"\xe0", *LONG[1:]], id="another message between"),
    ],
)
def test_a_broken_message_fails_once_and_the_next_is_taken(frames):
    codec = device()
    outputs = write(codec, *frames)
    answers = [frame for frame in sent(outputs) if frame[0] == Up.WIFI_RESULT]
    assert answers.count(FAILED[0]) == 1
    assert len(of(Refused, outputs)) == 1
    assert not of(Offer, outputs)
    again = write(codec, *LONG, "e3")
    assert sent(again) == [b"\xe1\0\1\0"]
    assert len(of(Offer, again)) == 1


def test_a_head_alone_is_not_yet_an_error_and_a_new_head_starts_over():
    codec = device()
    assert write(codec, LONG[0]) == []
    assert sent(write(codec, *LONG)) == [b"\xe1\0\1\0"]


def test_more_than_the_buffer_is_refused_once():
    codec = device()
    body = b"\xe4\x80\x11" + b"t" * 17
    outputs = write(codec, b"\xe4\x40\x11" + b"t" * 17, *[body] * 100, b"\xe4\xc0\x01t")
    assert sent(outputs) == [b"\xe3\0\1\1"]
    assert not of(Offer, outputs)


def test_partial_slices_are_gone_with_the_link():
    codec = device()
    write(codec, *LONG[:-1])
    codec.feed("", Lost(), PHONE, 0.0)
    codec.feed("", Connected(), PHONE, 0.0)
    assert sent(write(codec, LONG[-1])) == FAILED


@pytest.mark.parametrize(
    "frame",
    ["e2", "e200", "e20000", "e2000f", "e2000f0774656e6365", "e200020000", "e2000c0774656e63656e7408313233",
     "e20024" + "21" + "61" * 33 + "00", "e20043" + "0161" + "41" + "62" * 65, "e20004046f70656e0000"],
)  # fmt: skip
def test_a_network_that_cannot_be_is_refused(frame):
    codec = device()
    outputs = write(codec, frame)
    assert sent(outputs) == FAILED
    assert len(of(Refused, outputs)) == 1
    assert sent(write(codec, "e3")) == [bytes.fromhex("e2000401010000")]


def test_the_network_of_before_is_forgotten_with_a_broken_one():
    codec = device()
    write(codec, "e2000f0774656e63656e74083132333435363738")
    outputs = write(codec, "e2000f0774656e6365", "e3")
    assert not of(Offer, outputs)


@pytest.mark.parametrize("frame", ["e4", "e40000", "e400057465", "e4000374657374746573"])
def test_a_token_that_is_not_as_long_as_it_says_is_refused(frame):
    outputs = write(device(), frame)
    assert sent(outputs) == [b"\xe3\0\1\1"]
    assert not of(Offer, outputs)


def test_the_length_of_an_unsliced_network_does_not_matter():
    for said in ("0000", "000f", "0011", "3fff"):
        outputs = write(device(), f"e2{said}0774656e63656e74083132333435363738", "e3")
        assert of(Offer, outputs) == [Offer(PHONE, HOME)]


# --- mode, MTU ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "result"), [("01", 0), ("00", 1), ("02", 1), ("", 1)])
def test_only_the_station_s_mode(mode, result):
    assert sent(write(device(), "e1" + mode)) == [bytes([0xE0, 0, 1, result])]


def test_a_long_name_is_sliced():
    name = "n" * 48
    frames = sent(write(device(device_name=name), "e0"))
    assert len(frames) == 4
    slices = Slices()
    assert parse_device_info([slices.feed(each) for each in frames][-1][1][2:]).name == name


def test_a_device_that_wants_no_mtu_set():
    assert sent(write(device(mtu=20, wants_mtu=False), "e0")) == [bytes.fromhex("080009020014055445535432")]


@pytest.mark.parametrize(
    ("events", "result", "answer", "size"),
    [
        ([], "0000", [], 20),
        ([Mtu(128)], "0000", ["0c0002007d"], 125),
        ([Mtu(23)], "0000", [], 20),
        ([Mtu(517)], "0000", ["0c00020202"], 514),
        ([Mtu(128)], "ffff", ["0c00020014"], 20),
        ([], "ffff", ["0c00020014"], 20),
        ([Mtu(256)], "00b9", [], 182),
        ([Mtu(100)], "00b9", [], 97),
        ([], "00b9", [], 182),
        ([], "0001", [], 20),
        ([Mtu(9999)], "0000", ["0c00020202"], 514),
    ],
)
def test_the_mtu_is_agreed_on(events, result, answer, size):
    codec = device()
    codec.feed("", Connected(), PHONE, 0.0)
    for each in events:
        codec.feed("", each, PHONE, 0.0)
    assert sent(write(codec, "e0")) == [bytes.fromhex("080009028080055445535432")]
    assert [frame.hex() for frame in sent(write(codec, "09" + result))] == answer
    frames = sent(codec.tell(Answer("log", PHONE, (b"x" * 900,)), 0.0))
    assert max(map(len, frames)) == size


def test_half_an_mtu_result_is_refused():
    outputs = write(device(), "09", "0900")
    assert len(of(Refused, outputs)) == 2
    assert not sent(outputs)


# --- results -----------------------------------------------------------------------------------------------


def connecting(**options) -> LLSyncDevice:
    codec = device(**options)
    write(codec, "e2000f0774656e63656e74083132333435363738", "e3")
    return codec


def test_a_wrong_password_is_told_and_the_phone_tries_again_on_the_same_link():
    codec = connecting()
    failure = Failure(Step.JOINING, Reason.WRONG_PASSWORD)
    told = codec.tell(event(Step.JOINING, Outcome.FAILED, failure=failure), 1.0)
    assert sent(told) == [bytes.fromhex("e2000b0101000774656e63656e74")]
    outputs = write(codec, "e2000f0774656e63656e74083837363534333231", "e3")
    assert of(Offer, outputs) == [Offer(PHONE, Credentials(b"tencent", Secret("87654321")))]
    assert sent(codec.tell(event(Step.JOINING), 2.0)) == [bytes.fromhex("e2000b0100000774656e63656e74")]


def test_a_join_is_told_once_and_again_when_asked_again():
    codec = connecting()
    good = [bytes.fromhex("e2000b0100000774656e63656e74")]
    assert sent(codec.tell(event(Step.JOINING), 1.0)) == good
    assert codec.tell(event(Step.JOINING), 1.0) == []
    assert len(of(Offer, write(codec, "e3"))) == 1
    assert sent(codec.tell(event(Step.LISTENING, again=True), 1.0)) == good


def test_the_join_of_a_network_that_was_replaced_is_not_told():
    codec = connecting()
    write(codec, "e20004046f70656e00", "e3")
    assert codec.tell(event(Step.JOINING, ssid="tencent"), 1.0) == []
    assert sent(codec.tell(event(Step.JOINING, ssid="open"), 1.0)) == [
        bytes.fromhex("e20008010000046f70656e")
    ]


def test_an_acceptance_is_no_join():
    codec = connecting()
    assert codec.tell(event(Step.LISTENING), 1.0) == []
    assert codec.tell(event(Step.JOINING, Outcome.STARTED), 1.0) == []


@pytest.mark.parametrize(
    ("failure", "octet"),
    [
        (None, 0x00),
        (Failure(Step.BINDING, Reason.TOKEN_REFUSED, 6017), 0x81),
        (Failure(Step.BINDING, Reason.TOKEN_REFUSED, 256), 0xFF),
        (Failure(Step.BINDING, Reason.TOKEN_REFUSED, 0), 0xFF),
        (Failure(Step.BINDING, Reason.TOKEN_REFUSED, -1), 0xFF),
        (Failure(Step.BINDING, Reason.TOKEN_REFUSED), 0x01),
        (Failure(Step.BINDING, Reason.TOKEN_NO_REPLY), 0x98),
        (Failure(Step.BINDING, Reason.TOKEN_NO_REPLY, 408), 0x98),
        (Failure(Step.CONNECTING, Reason.CLOUD_TIMEOUT), 0x98),
        (Failure(Step.CONNECTING, Reason.MQTT_REFUSED, 5), 0x05),
    ],
    ids=str,
)
def test_the_bind_result_is_the_low_octet_of_the_code(failure, octet):
    codec = connecting()
    codec.tell(event(Step.JOINING), 1.0)
    write(codec, b"\xe4\0\x20" + TOKEN.encode())
    step = Step.BINDING if failure is None else failure.step
    outcome = Outcome.OK if failure is None else Outcome.FAILED
    assert sent(codec.tell(event(step, outcome, failure=failure), 1.0)) == [bytes([0xE3, 0, 1, octet])]
    assert codec.tell(event(Step.BOUND), 1.0) == []


def test_a_token_before_the_network_waits_for_its_result():
    codec = device()
    outputs = write(codec, b"\xe4\0\x20" + TOKEN.encode(), "e2000f0774656e63656e74083132333435363738", "e3")
    assert [bool(offer.grant) for offer in of(Offer, outputs)] == [True, False]
    assert sent(codec.tell(event(Step.JOINING), 1.0)) == [bytes.fromhex("e2000b0100000774656e63656e74")]
    assert sent(codec.tell(event(Step.BINDING), 1.0)) == [b"\xe3\0\1\0"]


def test_an_early_token_is_good_for_the_next_network():
    codec = device()
    write(codec, b"\xe4\0\x20" + TOKEN.encode(), "e2000f0774656e63656e74083132333435363738", "e3")
    failure = Failure(Step.JOINING, Reason.WRONG_PASSWORD)
    told = codec.tell(event(Step.JOINING, Outcome.FAILED, failure=failure), 1.0)
    assert sent(told) == [bytes.fromhex("e2000b0101000774656e63656e74")]
    write(codec, "e20004046f70656e00", "e3")
    codec.tell(event(Step.JOINING), 2.0)
    assert sent(codec.tell(event(Step.BINDING), 2.0)) == [b"\xe3\0\1\0"]


def test_a_token_after_the_attempt_has_failed_is_answered_at_once_and_kept():
    codec = connecting()
    codec.tell(event(Step.JOINING), 1.0)
    failure = Failure(Step.CONNECTING, Reason.MQTT_REFUSED, 5)
    assert codec.tell(event(Step.CONNECTING, Outcome.FAILED, failure=failure), 1.0) == []
    outputs = write(codec, b"\xe4\0\x20" + TOKEN.encode())
    assert sent(outputs) == [b"\xe3\0\1\5"]
    assert len(of(Offer, outputs)) == 1


def test_a_second_token_after_a_refused_one_waits_for_its_own_result():
    codec = connecting()
    codec.tell(event(Step.JOINING), 1.0)
    write(codec, b"\xe4\0\x20" + TOKEN.encode())
    failure = Failure(Step.BINDING, Reason.TOKEN_REFUSED, 6017)
    assert sent(codec.tell(event(Step.BINDING, Outcome.FAILED, failure=failure), 1.0)) == [b"\xe3\0\1\x81"]
    assert sent(write(codec, b"\xe4\0\4new!")) == []
    assert sent(codec.tell(event(Step.BINDING), 1.0)) == [b"\xe3\0\1\0"]


def test_without_a_cloud_a_token_is_refused():
    codec = connecting()
    codec.tell(event(Step.JOINING), 1.0)
    write(codec, b"\xe4\0\x20" + TOKEN.encode())
    assert sent(codec.tell(event(Step.JOINED), 1.0)) == [b"\xe3\0\1\1"]


def test_the_end_of_the_session_is_told_to_whoever_waits():
    codec = connecting()
    failure = Failure(Step.JOINING, Reason.TIMEOUT)
    ended = event(Step.FAILED, Outcome.FAILED, peer=None, failure=failure)
    assert sent(codec.tell(ended, 1.0)) == [bytes.fromhex("e2000b0101000774656e63656e74")]
    assert codec.tell(ended, 1.0) == []


def test_a_connect_that_nobody_speaks_of_fails_after_a_minute():
    codec = connecting()
    assert codec.deadline() == 60.0
    assert codec.tick(59.0) == []
    assert sent(codec.tick(60.0)) == [bytes.fromhex("e2000b0101000774656e63656e74")]
    assert codec.deadline() is None


def test_an_event_on_the_way_gives_another_minute():
    codec = connecting()
    codec.tell(event(Step.JOINING, Outcome.STARTED), 50.0)
    assert codec.deadline() == 110.0


def test_a_phone_that_comes_back_after_the_join_hears_of_it():
    codec = connecting()
    codec.feed("", Lost(), PHONE, 1.0)
    codec.tell(event(Step.JOINING, ssid="tencent"), 2.0)
    later = Peer(PHONE.method, PHONE.address, 2)
    codec.feed("", Connected(), later, 3.0)
    write(codec, "e2000f0774656e63656e74083132333435363738", "e3", peer=later, now=3.0)
    assert codec.tell(event(Step.LISTENING, peer=later), 4.0) == []
    good = [bytes.fromhex("e2000b0100000774656e63656e74")]
    assert sent(codec.tell(event(Step.LISTENING, peer=later, again=True), 4.0)) == good
    write(codec, "e3", peer=later, now=5.0)
    assert sent(codec.tell(event(Step.AWAITING_GRANT, Outcome.STARTED, peer=later), 6.0)) == good


def test_a_later_join_forgets_the_one_before():
    codec = connecting()
    codec.tell(event(Step.JOINING, ssid="tencent"), 1.0)
    codec.tell(event(Step.JOINING, Outcome.STARTED, ssid="tencent"), 2.0)
    write(codec, "e3")
    assert codec.tell(event(Step.LISTENING, again=True), 3.0) == []


def test_events_of_others_are_not_told():
    codec = connecting()
    assert codec.tell(event(Step.JOINING, peer=Peer("ble", "66:55:44:33:22:11")), 1.0) == []
    assert codec.tell(event(Step.JOINING, peer=None), 1.0) == []


def test_a_phone_that_comes_back_hears_of_the_join_of_its_earlier_link():
    codec = connecting()
    later = Peer(PHONE.method, PHONE.address, 2)
    codec.feed("", Lost(), PHONE, 1.0)
    codec.feed("", Connected(), later, 2.0)
    write(codec, "e2000f0774656e63656e74083132333435363738", "e3", peer=later, now=2.0)
    told = codec.tell(event(Step.JOINING), 3.0)
    assert [(each.to, each.data[0]) for each in told] == [(later, 0xE2)]


def test_two_phones_do_not_disturb_each_other():
    codec = device()
    other = Peer("ble", "66:55:44:33:22:11", 1)
    outputs = []
    for mine, theirs in zip(LONG, LONG, strict=True):
        outputs += write(codec, mine) + write(codec, theirs, peer=other)
    assert [each.to for each in of(Send, outputs)] == [PHONE, other]


def test_a_ninth_phone_pushes_the_first_out():
    codec = device()
    peers = [Peer("ble", f"00:00:00:00:00:{number:02x}", 1) for number in range(9)]
    for peer in peers:
        codec.feed("", Connected(), peer, 0.0)
        write(codec, "e20004046f70656e00", "e3", peer=peer)
    assert codec.tell(event(Step.JOINING, peer=peers[0]), 1.0) == []
    assert len(codec.tell(event(Step.JOINING, peer=peers[8]), 1.0)) == 1
    assert len(codec._links) == 8


def test_what_is_not_of_provisioning_is_only_seen():
    outputs = write(device(), "00", "05", "0a01", "ff")
    assert [type(each) for each in outputs] == [Seen] * 4
    assert device().feed("ffe2", b"\xe0", PHONE, 0.0) == ()
    assert write(device(), b"") == []


@pytest.mark.parametrize(
    "wrong", [{"device_name": ""}, {"device_name": "n" * 49}, {"mtu": 22}, {"mtu": 518}], ids=str
)
def test_a_device_that_cannot_be(wrong):
    with pytest.raises(ConfigurationError):
        device(**wrong)


def test_secrets_are_not_shown():
    codec = connecting()
    write(codec, b"\xe4\0\x20" + TOKEN.encode())
    link = next(link for _, link in codec._links)
    assert "12345678" not in repr(link)
    assert TOKEN not in repr(link)
