"""The phone's side of the JSON messages, alone and against the device's side."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qiot.errors import ProtocolError
from qiot.model import Event, Offer, Outcome, Peer, Secret, Step
from qiot.protocols.base import Send
from qiot.protocols.lan.app_message import AppMessageDevice, error_record
from qiot.protocols.lan.app_message_phone import (
    Aborted,
    Answered,
    AppMessagePhone,
    AuthInfoReply,
    DeviceInfoReply,
    ErrorReply,
    GaveUp,
    Ignored,
    Noted,
    StateReport,
    Transmit,
    join_request,
    log_request,
    parse_reply,
    token_request,
)

REQUEST = token_request(Secret("6ab8"))
INFO = b'{\n\t"cmdType":\t2,\n\t"productId":\t"P",\n\t"deviceName":\t"D",\n\t"protoVersion":\t"2.0"\n}'
CURRENT = error_record("WIFI AP STA error!", 12, 202, previous=False)
PREVIOUS = error_record("MQTT connect error!", 1, -111, previous=True)
ANSWER = DeviceInfoReply("P", "D", "2.0")


def test_requests_are_the_mini_program_s():
    assert join_request('我"家', Secret("pass word"), Secret("6ab8")) == (
        '{"cmdType":1,"ssid":"我\\"家","password":"pass word","token":"6ab8"}'.encode()
    )
    assert REQUEST == b'{"cmdType":0,"token":"6ab8"}'
    assert log_request() == b'{"cmdType":3}'


def test_an_ssid_that_utf_8_cannot_hold_is_refused():
    with pytest.raises(ProtocolError, match="ssid"):
        join_request("\udc80", Secret(""), Secret("6ab8"))


@pytest.mark.parametrize(
    ("data", "reply"),
    [
        (INFO, ANSWER),
        (
            b'{"cmdType":2,"productId":"P","deviceName":"D","protoVersion":"2.0","productRegion":"x"}\r\n',
            ANSWER,
        ),
        (b'{"cmdType":2,"deviceReply":"dataRecived"}', DeviceInfoReply("", "")),
        (CURRENT, ErrorReply(current=True, text="WIFI AP STA error! (12, 202)")),
        (PREVIOUS, ErrorReply(current=False, text="MQTT connect error! (1, -111)")),
        (b'{"cmdType":5,"authReqInfo":"x"}', AuthInfoReply()),
        (b'{"cmdType":7,"productId":"P","deviceName":"D","wifiConfigState":5}', StateReport("P", "D", 5)),
    ],
)
def test_replies(data: bytes, reply: object):
    assert parse_reply(data) == reply


@pytest.mark.parametrize(
    "data",
    [b"", b"OK", b"[]", b'{"cmdType":"2"}', b'{"cmdType":7}', b'{"cmdType":7,"wifiConfigState":true}']
    + [b'{"cmdType":%d,"wifiConfigState":1}' % command for command in (-1, 0, 1, 3, 4, 6, 8)],
)
def test_what_is_no_reply(data: bytes):
    with pytest.raises(ProtocolError):
        parse_reply(data)


def test_it_sends_six_times_and_gives_up():
    phone = AppMessagePhone(REQUEST)
    assert phone.deadline() is None
    now, sent = 100.0, list(phone.start(100.0))
    while (deadline := phone.deadline()) is not None:
        assert deadline == now + 2.0
        assert phone.tick(deadline - 0.01) == ()
        now = deadline
        sent += phone.tick(now)
    assert sent == [*(Transmit(REQUEST, number) for number in range(1, 7)), GaveUp("UDP_NOT_RESPONSE")]
    assert now == 112.0
    assert phone.ended
    assert phone.start(now) == ()
    assert isinstance(phone.feed(INFO, now)[0], Ignored)


def test_first_device_info_is_success_and_ends_the_resends():
    phone = AppMessagePhone(REQUEST)
    phone.start(0.0)
    assert phone.feed(PREVIOUS, 0.1) == (
        Noted(ErrorReply(current=False, text="MQTT connect error! (1, -111)")),
    )
    assert phone.deadline() == 2.0
    assert phone.feed(INFO, 0.2) == (Answered(ANSWER),)
    assert phone.deadline() is None
    assert phone.feed(INFO, 0.3) == (Noted(ANSWER),)
    assert not phone.ended


@pytest.mark.parametrize("answered", [True, False])
def test_a_current_error_aborts_before_and_after_the_answer(answered: bool):
    phone = AppMessagePhone(REQUEST)
    phone.start(0.0)
    if answered:
        phone.feed(INFO, 0.1)
    assert phone.feed(CURRENT, 0.2) == (
        Aborted(ErrorReply(current=True, text="WIFI AP STA error! (12, 202)")),
    )
    assert phone.deadline() is None
    assert phone.ended
    assert isinstance(phone.feed(INFO, 0.3)[0], Ignored)


def test_nothing_is_taken_before_the_start():
    phone = AppMessagePhone(REQUEST)
    assert isinstance(phone.feed(INFO, 0.0)[0], Ignored)
    assert phone.start(0.0) == (Transmit(REQUEST, 1),)


def test_a_request_does_not_show_itself():
    (transmit,) = AppMessagePhone(join_request("Home", Secret("s3cret-pass"), Secret("t0ken"))).start(0.0)
    assert "s3cret" not in repr(transmit)
    assert "t0ken" not in repr(transmit)


@given(
    st.lists(
        st.binary(max_size=1100) | st.sampled_from([INFO, CURRENT, PREVIOUS]) | st.floats(0, 3), max_size=60
    )
)
def test_any_octets_at_any_time_give_outputs(script: list[bytes | float]):
    phone = AppMessagePhone(REQUEST)
    now = 0.0
    outputs = list(phone.start(now))
    for each in script:
        if isinstance(each, float):
            now += each
            outputs += phone.tick(now)
        else:
            heard = phone.feed(each, now)
            assert len(heard) == 1
            outputs += heard
    assert sum(isinstance(each, Transmit) for each in outputs) <= 6
    assert sum(isinstance(each, Answered) for each in outputs) <= 1
    assert sum(isinstance(each, GaveUp | Aborted) for each in outputs) == int(phone.ended)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(
    TEXT.filter(lambda text: len(text.encode()) <= 32),
    st.just("") | st.text(st.characters(codec="ascii"), min_size=8, max_size=64),
    st.text(st.characters(codec="ascii"), min_size=1, max_size=32),
    TEXT,
)
def test_phone_and_device_understand_each_other(ssid: str, password: str, token: str, name: str):
    device = AppMessageDevice(product_id="P", device_name=name)
    phone = AppMessagePhone(join_request(ssid, Secret(password), Secret(token)))
    peer = Peer("soft_ap", "192.168.4.2:8266")
    (transmit,) = phone.start(0.0)
    assert isinstance(transmit, Transmit)
    (offer,) = device.feed("command", transmit.data, peer, 0.0)
    assert isinstance(offer, Offer)
    assert offer.credentials is not None
    assert offer.grant is not None
    assert offer.credentials.ssid == ssid.encode()
    assert offer.credentials.password == Secret(password)
    assert offer.grant.value == Secret(token)
    accepted = Event(seq=1, t=0, attempt=0, step=Step.LISTENING, outcome=Outcome.OK, peer=peer)
    (send,) = device.tell(accepted, 0.0)
    assert isinstance(send, Send)
    if len(json.dumps(name)) < 400:
        assert phone.feed(send.data, 0.1) == (Answered(DeviceInfoReply("P", name, "2.0")),)
