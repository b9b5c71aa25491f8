"""The device's side of the JSON messages: what it takes, refuses, answers and broadcasts."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qiot.model import Event, Grant, Offer, Outcome, Peer, Reason, Secret, Step
from qiot.protocols.base import Answer, Ask, Connected, Output, Refused, Seen, Send
from qiot.protocols.lan.app_message import AppMessageDevice, error_record

PHONE = Peer("soft_ap", "192.168.4.66:47482")
OTHER = Peer("soft_ap", "192.168.4.67:8266")
TOKEN = "6ab82618a9d529a2ee777cdef528a0fd"
JOIN = f'{{"cmdType":1,"ssid":"Home","password":"s3cret-wifi-pass","token":"{TOKEN}"}}'.encode()
INFO = (
    b'{\n\t"cmdType":\t2,\n\t"productId":\t"L4WG9V9M2M",'
    b'\n\t"deviceName":\t"TEST2",\n\t"protoVersion":\t"2.0"\n}'
)
RECORD = b'{"cmdType":2,"deviceReply":"Current_Error","log":"APP command error! (2, 201)"}\r\n'
BROADCAST = "255.255.255.255:8266"


def device(**options) -> AppMessageDevice:
    return AppMessageDevice(**{"product_id": "L4WG9V9M2M", "device_name": "TEST2", **options})


def event(step: Step, outcome: Outcome, peer: Peer | None = PHONE, **detail) -> Event:
    return Event(seq=1, t=0.0, attempt=1, step=step, outcome=outcome, peer=peer, detail=detail)


def accepted(peer: Peer = PHONE, **detail) -> Event:
    return event(Step.LISTENING, Outcome.OK, peer, **detail)


def datagrams(outputs: Sequence[Output]) -> list[tuple[str, bytes]]:
    assert all(isinstance(each, Send) for each in outputs)
    return [(each.to.address, each.data) for each in outputs if isinstance(each, Send)]


def refusal(data: bytes) -> tuple[Reason, str]:
    refused, ask = device().feed("command", data, PHONE, 0.0)
    assert isinstance(refused, Refused)
    assert ask == Ask("errors", PHONE)
    assert refused.failure.step is Step.LISTENING
    return refused.failure.reason, refused.failure.text


# --- requests ---


def test_join_request_is_an_offer_with_credentials_and_grant():
    (offer,) = device().feed("command", JOIN, PHONE, 0.0)
    assert isinstance(offer, Offer)
    assert offer.credentials is not None
    assert (offer.peer, offer.credentials.ssid) == (PHONE, b"Home")
    assert offer.credentials.password == Secret("s3cret-wifi-pass")
    assert offer.grant == Grant("tencent", Secret(TOKEN))
    assert offer.reached is Step.LISTENING


def test_token_request_is_an_offer_with_only_the_grant():
    (offer,) = device().feed("command", f'{{"cmdType":0,"token":"{TOKEN}"}}'.encode(), PHONE, 0.0)
    assert offer == Offer(PHONE, grant=Grant("tencent", Secret(TOKEN)))


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + JOIN,
        JOIN + b"\r\n\t \0",
        JOIN + b"\0what follows a NUL is not part of a C string",
        JOIN.replace(b"cmdType", b"CMDTYPE").replace(b"ssid", b"Ssid").replace(b"token", b"TOKEN"),
        JOIN.replace(b'"ssid":"Home"', b'"ssid":"Home","SSID":"Neighbour","region":"ap-guangzhou"'),
        JOIN[:-1] + b',"cmdType":9,"extra":[1,{"ssid":"x"}]}',
    ],
)
def test_the_contract_s_tolerance(data: bytes):
    (offer,) = device().feed("command", data, PHONE, 0.0)
    assert isinstance(offer, Offer)
    assert offer.credentials is not None
    assert offer.credentials.ssid == b"Home"


def test_control_characters_inside_a_string_are_taken_as_cjson_does():
    (offer,) = device().feed("command", JOIN.replace(b"Home", b"Ho\tme"), PHONE, 0.0)
    assert isinstance(offer, Offer)
    assert offer.credentials is not None
    assert offer.credentials.ssid == b"Ho\tme"


def test_only_ascii_letters_are_folded():
    kelvin = JOIN.replace(b'"token"', '"to\u212aen"'.encode())
    assert refusal(kelvin) == (Reason.BAD_FIELD, "token is missing")


def test_an_ssid_is_its_utf_8_octets():
    data = json.dumps({"cmdType": 1, "ssid": "我的家", "password": "", "token": "t"}).encode()
    (offer,) = device().feed("command", data, PHONE, 0.0)
    assert isinstance(offer, Offer)
    assert offer.credentials is not None
    assert offer.credentials.ssid == "我的家".encode()
    assert len(offer.credentials.password) == 0


@pytest.mark.parametrize("data", [b'{"cmdType":3}', b' { "cmdtype" : 3 } '])
def test_log_query_asks_for_log_and_pending_errors(data: bytes):
    assert device().feed("command", data, PHONE, 0.0) == (Ask("log", PHONE), Ask("errors", PHONE))


def test_auth_info_query_is_seen_and_flushes_errors():
    outputs = device().feed("command", b'{"cmdType":4}', PHONE, 0.0)
    assert outputs == (Seen(0, None, "auth info query"), Ask("errors", PHONE))


@pytest.mark.parametrize("command", [2, 5, 6, 7])
def test_messages_of_devices_are_not_answered(command: int):
    (seen,) = device().feed("command", json.dumps({"cmdType": command}).encode(), PHONE, 0.0)
    assert isinstance(seen, Seen)
    assert seen.weight == 0


def test_two_devices_that_broadcast_never_answer_each_other():
    mine, theirs = device(proto_version="3.0"), device(proto_version="3.0", device_name="TEST3")
    for step, outcome in [
        (Step.JOINING, Outcome.OK),
        (Step.CONNECTING, Outcome.FAILED),
        (Step.BOUND, Outcome.OK),
    ]:
        for send in mine.tell(event(step, outcome, ip="192.168.1.7", ssid_length=4, password_length=8), 0.0):
            assert isinstance(send, Send)
            if send.to.address == BROADCAST:
                heard = theirs.feed("command", send.data, Peer("soft_ap", "192.168.1.7:8266"), 0.0)
                assert all(isinstance(each, Seen) for each in heard)


@pytest.mark.parametrize(
    "address",
    [
        "255.255.255.255:8266",
        "192.168.4.66:0",
        "0.0.0.0:8266",
        "224.0.0.251:5353",
        "10.1.2.255:8266",
        "nobody",
        "",
    ],
)
def test_senders_that_cannot_be_answered(address: str):
    codec = device(broadcast="10.1.2.255", proto_version="3.0")
    peer = Peer("soft_ap", address)
    for data in (JOIN, b"junk", b'{"cmdType":3}'):
        (seen,) = codec.feed("command", data, peer, 0.0)
        assert isinstance(seen, Seen)
    assert codec.tell(accepted(peer), 0.0) == []
    assert codec.tell(Answer("errors", peer, [RECORD]), 0.0) == []
    assert codec.tell(Answer("log", peer, [b"line\r\n"]), 0.0) == []
    assert codec.deadline() is None


# --- refused ---

BAD_MESSAGES = {
    "empty": b"",
    "blank": b" \r\n",
    "text": b"hello",
    "array": b"[1]",
    "null": b"null",
    "string": b'"cmdType"',
    "cut off": JOIN[:-1],
    "two objects": b"{}{}",
    "no cmdType": b"{}",
    "not UTF-8": JOIN.replace(b"Home", b"\xbc\xd2"),
    "UTF-16": JOIN.decode().encode("utf-16"),
    "NaN": b'{"cmdType":3,"x":NaN}',
    "infinity": b'{"cmdType":-Infinity}',
    "integer as text": JOIN.replace(b":1,", b':"1",'),
    "fraction": JOIN.replace(b":1,", b":1.9,"),
    "exponent": JOIN.replace(b":1,", b":1e0,"),
    "true": JOIN.replace(b":1,", b":true,"),
    "null cmdType": JOIN.replace(b":1,", b":null,"),
    "nested cmdType": b'{"cmdType":{"cmdType":1}}',
    "unknown": b'{"cmdType":8}',
    "negative": b'{"cmdType":-1}',
    "huge": b'{"cmdType":' + b"9" * 900 + b"}",
    "deep": b"[" * 1023,
    "deep object": b'{"a":' * 200,
    "too long": JOIN[:-1] + b" " * 1000 + b"}",
    "first of two cmdType counts": b'{"cmdtype":"1","cmdType":3}',
}


@pytest.mark.parametrize("data", BAD_MESSAGES.values(), ids=BAD_MESSAGES)
def test_bad_messages(data: bytes):
    reason, text = refusal(data)
    assert reason is Reason.BAD_MESSAGE
    assert text
    assert "s3cret" not in text


def test_1023_octets_are_taken_and_one_more_is_not():
    longest = JOIN[:-1] + b" " * (1023 - len(JOIN)) + b"}"
    assert isinstance(device().feed("command", longest, PHONE, 0.0)[0], Offer)
    assert refusal(longest[:-1] + b" }")[0] is Reason.BAD_MESSAGE


def join(**fields) -> bytes:
    message = {"cmdType": 1, "ssid": "Home", "password": "s3cret-wifi-pass", "token": TOKEN, **fields}
    return json.dumps({key: value for key, value in message.items() if value is not ...}).encode()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"ssid": ...}, "ssid"),
        ({"ssid": ""}, "ssid"),
        ({"ssid": "x" * 33}, "ssid"),
        ({"ssid": "家" * 11}, "ssid"),
        ({"ssid": 7}, "ssid"),
        ({"ssid": "\ud800"}, "ssid"),
        ({"password": ...}, "password"),
        ({"password": None}, "password"),
        ({"password": "1234567"}, "password"),
        ({"password": "x" * 65}, "password"),
        ({"password": "s3cret-\udfff"}, "password"),
        ({"token": ...}, "token"),
        ({"token": ""}, "token"),
        ({"token": 1}, "token"),
        ({"token": ["s3cret"]}, "token"),
        ({"token": "s3cret" * 6}, "token"),
        ({"cmdType": 0, "token": 1}, "token"),
    ],
)
def test_bad_fields_are_named_and_never_shown(fields: dict[str, object], named: str):
    reason, text = refusal(join(**fields))
    assert reason is Reason.BAD_FIELD
    assert text.split()[0] == named
    assert "s3cret" not in text


@pytest.mark.parametrize(
    "fields", [{"ssid": "x" * 32}, {"password": "x" * 8}, {"password": "x" * 64}, {"token": "t"}]
)
def test_the_limits_themselves_are_taken(fields: dict[str, object]):
    assert isinstance(device().feed("command", join(**fields), PHONE, 0.0)[0], Offer)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "cmdType": st.integers(-1, 9) | JSON,
        "ssid": st.text(max_size=40) | JSON,
        "password": st.text(max_size=70) | JSON,
        "token": st.text(max_size=40) | JSON,
    },
)
ANYTHING = (
    st.binary(max_size=1100) | JSON.map(json.dumps).map(str.encode) | FIELDS.map(json.dumps).map(str.encode)
)


@given(
    st.lists(st.tuples(ANYTHING, st.integers(0, 200), st.booleans()), max_size=80),
    st.sampled_from(["2.0", "3.0"]),
)
def test_any_octets_give_outputs_in_bounded_memory(heard, version):
    codec = device(proto_version=version)
    for now, (data, host, log_wanted) in enumerate(heard):
        peer = Peer("soft_ap", f"192.168.4.{host}:8266")
        outputs = codec.feed("command", data, peer, float(now))
        assert outputs
        assert not any(isinstance(each, Send) for each in outputs)
        for each in outputs:
            if isinstance(each, Offer) and each.credentials is not None:
                assert 1 <= len(each.credentials.ssid or b"") <= 32
            assert "Secret(***)" in repr(each) or not isinstance(each, Offer)
        news = Answer("log", peer, [data]) if log_wanted else accepted(peer)
        codec.tell(news, float(now))
    assert len(codec.tick(10_000.0)) <= 64 * 3
    assert codec.deadline() is None


# --- replies ---


def test_info_reply_is_the_c_sdk_s_in_copies():
    codec = device()
    assert len(INFO) == 93
    assert codec.tell(accepted(), 10.0) == [Send("command", INFO, PHONE, label="Report dev info")]
    assert codec.deadline() == pytest.approx(10.1)
    assert codec.tick(10.05) == []
    assert datagrams(codec.tick(codec.deadline() or 0)) == [(PHONE.address, INFO)]
    assert codec.deadline() == pytest.approx(10.3)
    assert datagrams(codec.tick(codec.deadline() or 0)) == [(PHONE.address, INFO)]
    assert codec.deadline() is None
    assert codec.tick(99.0) == []


def test_a_late_tick_loses_no_copy():
    codec = device(repeats=(0.0, 1.0, 2.0))
    codec.tell(accepted(), 0.0)
    assert len(codec.tick(5.0)) == 2


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("灯", '"灯"'),
        ('a"b\\c/d', '"a\\"b\\\\c/d"'),
        ("\b\f\n\r\t\x01\x1f\x7f", '"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f"'),
    ],
)
def test_names_are_escaped_as_cjson_does(name: str, escaped: str):
    (send,) = device(device_name=name, repeats=(0.0,)).tell(accepted(), 0.0)
    assert isinstance(send, Send)
    assert f'"deviceName":\t{escaped},'.encode() in send.data


def test_a_resend_is_answered_once_at_once_and_changes_no_plan():
    codec = device()
    codec.tell(accepted(), 0.0)
    assert datagrams(codec.tell(accepted(again=True), 0.05)) == [(PHONE.address, INFO)]
    assert len(codec.tick(1.0)) == 2


def test_a_peer_has_one_plan():
    codec = device()
    codec.tell(accepted(), 0.0)
    codec.tell(accepted(), 0.05)
    assert len(codec.tick(1.0)) == 2


def test_at_most_64_plans_wait_and_the_newest_are_kept():
    codec = device()
    for number in range(200):
        codec.tell(accepted(Peer("soft_ap", f"192.168.4.{number + 1}:8266")), 0.0)
    sends = codec.tick(1.0)
    assert len(sends) == 64 * 2
    assert any(isinstance(each, Send) and each.to.address == "192.168.4.200:8266" for each in sends)


def test_peers_of_other_methods_are_not_answered_unless_they_spoke_here():
    codec = device()
    assert codec.tell(accepted(Peer("bt_combo", "AA:BB:CC:DD:EE:11")), 0.0) == []
    stranger = Peer("smart_config", "192.168.1.5:8266")
    assert codec.tell(accepted(stranger), 0.0) == []
    codec.feed("command", f'{{"cmdType":0,"token":"{TOKEN}"}}'.encode(), stranger, 0.0)
    assert datagrams(codec.tell(accepted(stranger), 0.0)) == [(stranger.address, INFO)]


def test_version_2_says_nothing_on_other_events():
    codec = device()
    for step in Step:
        for outcome in Outcome:
            if (step, outcome) != (Step.LISTENING, Outcome.OK):
                assert codec.tell(event(step, outcome, ip="192.168.1.7"), 0.0) == []


def test_error_records_go_out_once_each():
    codec = device()
    outputs = codec.tell(Answer("errors", PHONE, [RECORD, b"second"]), 0.0)
    assert outputs == [Send("command", each, PHONE, label="Report error") for each in (RECORD, b"second")]
    assert codec.deadline() is None


def test_error_record_is_the_c_sdk_s():
    assert error_record("APP command error!", 2, 201, previous=False) == RECORD
    assert error_record("MQTT connect error!", 1, -1001, previous=True) == (
        b'{"cmdType":2,"deviceReply":"Previous_Error","log":"MQTT connect error! (1, -1001)"}\r\n'
    )


@given(st.text(), st.integers(0, 65535), st.integers(-(2**31), 2**31 - 1), st.booleans())
def test_error_records_are_bounded_and_keep_their_numbers(
    text: str, error_id: int, sub_id: int, previous: bool
):
    text = text.encode(errors="ignore").decode()
    record = error_record(text, error_id, sub_id, previous=previous)
    assert len(record) <= 127
    log = json.loads(record)["log"]
    assert len(log.encode()) <= 63
    assert log.endswith(f" ({error_id}, {sub_id})")
    assert record.endswith(b"}\r\n")


def test_log_goes_out_twice_half_a_second_apart():
    codec = device()
    items = [b"1|f(1): one\r\n", b"2|f(2): two\r\n"]
    assert codec.tell(Answer("log", PHONE, items), 1.0) == [
        Send("command", b"".join(items), PHONE, label="Report log")
    ]
    assert codec.deadline() == 1.5
    assert datagrams(codec.tick(1.5)) == [(PHONE.address, b"".join(items))]
    assert codec.deadline() is None


@pytest.mark.parametrize("items", [[], [b""]])
def test_an_empty_log_is_not_sent(items: list[bytes]):
    codec = device()
    assert codec.tell(Answer("log", PHONE, items), 1.0) == []
    assert codec.deadline() is None


@given(st.lists(st.binary(max_size=127)) | st.lists(st.binary(max_size=3000)))
def test_a_long_log_is_cut_between_items(items: list[bytes]):
    sent = [data for _, data in datagrams(device().tell(Answer("log", PHONE, items), 0.0))]
    assert b"".join(sent) == b"".join(items)
    assert all(0 < len(data) <= 1400 for data in sent)
    if all(len(item) <= 127 for item in items):
        cuts = {sum(map(len, items[:count])) for count in range(len(items) + 1)}
        assert all(sum(map(len, sent[:count])) in cuts for count in range(len(sent)))


def test_log_service_answers_log_queries_only():
    codec = device(log_only=True, proto_version="3.0", port_name="log")
    assert codec.feed("log", b'{"cmdType":3}', PHONE, 0.0) == (Ask("log", PHONE),)
    for data in (JOIN, b"junk", b"", b'{"cmdType":4}', b'{"cmdType":33}', b'{"cmdType":0,"token":1}'):
        assert codec.feed("log", data, PHONE, 0.0) == ()
    assert codec.tell(accepted(), 0.0) == ()
    assert codec.tell(event(Step.JOINING, Outcome.OK, ip="192.168.1.7"), 0.0) == ()
    assert codec.tell(Answer("errors", PHONE, [RECORD]), 0.0) == []
    assert codec.tell(Answer("log", PHONE, [b"line\r\n"]), 0.0) == [
        Send("log", b"line\r\n", PHONE, label="Report log")
    ]


def test_what_is_no_datagram_is_ignored():
    assert device().feed("command", Connected(), PHONE, 0.0) == ()


# --- protocol 3.0 ---


def state_message(state: int) -> bytes:
    return INFO.replace(b"2,", b"7,", 1).replace(b'"2.0"\n}', b'"3.0",\n\t"wifiConfigState":\t%d\n}' % state)


def test_version_3_says_so_in_the_info_reply():
    (send,) = device(proto_version="3.0").tell(accepted(), 0.0)
    assert isinstance(send, Send)
    assert send.data == INFO.replace(b'"2.0"', b'"3.0"')


def test_states_are_broadcast_in_copies():
    codec = device(proto_version="3.0")
    steps = [
        (Step.JOINING, Outcome.OK, 0),
        (Step.CONNECTING, Outcome.STARTED, 1),
        (Step.CONNECTING, Outcome.FAILED, 2),
        (Step.CONNECTING, Outcome.OK, 1),
        (Step.BINDING, Outcome.STARTED, 3),
        (Step.BINDING, Outcome.FAILED, 4),
        (Step.BOUND, Outcome.OK, 5),
    ]
    for step, outcome, state in steps:
        assert datagrams(codec.tell(event(step, outcome), 0.0)) == [(BROADCAST, state_message(state))]
    assert datagrams(codec.tick(1.0)) == [(BROADCAST, state_message(5))]
    assert datagrams(codec.tick(2.0)) == [(BROADCAST, state_message(5))]
    assert codec.deadline() is None


def test_a_state_is_not_told_again_but_a_new_join_is():
    codec = device(proto_version="3.0")
    assert len(codec.tell(event(Step.CONNECTING, Outcome.STARTED), 0.0)) == 1
    assert codec.tell(event(Step.CONNECTING, Outcome.OK), 0.0) == []
    assert len(codec.tell(event(Step.JOINING, Outcome.OK), 0.0)) == 1
    assert len(codec.tell(event(Step.JOINING, Outcome.OK), 0.0)) == 1
    assert codec.tell(event(Step.JOINING, Outcome.FAILED), 0.0) == []


def test_the_address_is_broadcast_with_the_lengths_of_the_peer_s_offer():
    codec = device(proto_version="3.0")
    codec.feed("command", JOIN, PHONE, 0.0)
    codec.feed("command", join(ssid="Neighbour"), OTHER, 0.0)
    codec.feed("command", f'{{"cmdType":0,"token":"{TOKEN}"}}'.encode(), PHONE, 0.0)
    sends = codec.tell(event(Step.JOINING, Outcome.OK, ip="192.168.1.7"), 0.0)
    address = bytes([4 + 16 + 9]) + b"012345" + bytes([192, 168, 1, 7])
    assert datagrams(sends) == [(BROADCAST, state_message(0)), ("255.255.255.255:18266", address)]
    assert [data for _, data in datagrams(codec.tick(1.0))].count(address) == 1
    assert [data for _, data in datagrams(codec.tick(2.0))].count(address) == 1
    assert codec.tick(9.0) == []


def test_the_address_of_another_method_s_offer_needs_the_lengths_in_the_event():
    codec = device(proto_version="3.0", broadcast="192.168.1.255")
    peer = Peer("bt_combo", "AA:BB:CC:DD:EE:11")
    facts = {"ip": "10.0.0.9", "ssid_length": 3, "password_length": 0}
    sends = datagrams(codec.tell(event(Step.JOINING, Outcome.OK, peer, **facts), 0.0))
    assert sends[1] == ("192.168.1.255:18266", bytes([12]) + b"012345" + bytes([10, 0, 0, 9]))


@pytest.mark.parametrize(
    "detail",
    [
        {},
        {"ip": "192.168.1.7"},
        {"ip": "fe80::1", "ssid_length": 1, "password_length": 8},
        {"ip": "", "ssid_length": 1, "password_length": 8},
        {"ip": "192.168.1.7", "ssid_length": "1", "password_length": 8},
    ],
)
def test_an_address_that_is_not_known_is_not_broadcast(detail: dict[str, object]):
    outputs = device(proto_version="3.0").tell(event(Step.JOINING, Outcome.OK, PHONE, **detail), 0.0)
    assert datagrams(outputs) == [(BROADCAST, state_message(0))]


def test_remembered_peers_are_bounded():
    codec = device(proto_version="3.0")
    for number in range(200):
        codec.feed("command", JOIN, Peer("soft_ap", f"192.168.4.{number + 1}:8266"), 0.0)
    forgotten = Peer("soft_ap", "192.168.4.1:8266")
    newest = Peer("soft_ap", "192.168.4.200:8266")
    assert len(codec.tell(event(Step.JOINING, Outcome.OK, forgotten, ip="192.168.1.7"), 0.0)) == 1
    assert len(codec.tell(event(Step.JOINING, Outcome.OK, newest, ip="192.168.1.7"), 0.0)) == 2
