"""thing.network: the device in both styles, by the vendor's own messages where there are any."""

from __future__ import annotations

import json

import pytest

from qiot.errors import ConfigurationError
from qiot.model import (
    Credentials,
    Failure,
    Grant,
    Network,
    Offer,
    Outcome,
    Peer,
    Reason,
    Secret,
    Security,
    Step,
)
from qiot.protocols.base import Answer, Ask, Connected, Mtu, Refused, Seen
from qiot.protocols.ble.thing_frames import frames
from tests.protocols.ble.pair import PHONE, event, of, sent
from tests.protocols.ble.thing_support import NOW, SET, ask, code_of, device, failed, said, setting

# --- the seed, word for word -------------------------------------------------------------------------------


def test_the_device_information_of_the_seed():
    assert said(ask(device(), {"type": "device.information.get"})) == [
        {
            "type": "device.information.get.response",
            "ts": 1721192794,
            "data": {
                "version": "1.0.0",
                "msgType": "poweron",
                "pid": "fFMes8kzaLRHMy",
                "bind": False,
                "gateway": 0,
                "gatewayType": 1,
                "sign": "b1dd387b1e7ec0b4804990775ffca0fe15186e2b",
                "wifi_mac": "44:4a:d6:0a:ba:a9",
                "ble_mac": "44:4a:d6:0a:ba:aa",
            },
        }
    ]


def test_the_order_of_the_seed():
    codec = device()
    outputs = ask(codec, SET)
    assert of(Offer, outputs) == [
        Offer(
            PHONE,
            Credentials(b"TplinkPT", Secret("123**4567")),
            Grant(
                "rlink",
                Secret("1740300523660267520"),
                "testmqtt.protco.in:1883",
                {
                    "userId": "us1689940117281427456",
                    "tz": "Asia/Kolkata",
                    "country": "US",
                    "force_bind": "false",
                },
            ),
        )
    ]
    grant = of(Offer, outputs)[0].grant
    assert grant.params == {
        "userId": "us1689940117281427456", "tz": "Asia/Kolkata",
        "country": "US", "force_bind": "false",
    }  # fmt: skip
    told = said(outputs)
    for each in (
        event(Step.LISTENING),
        event(Step.JOINING, Outcome.STARTED, ssid="TplinkPT"),
        event(Step.JOINING, ssid="TplinkPT"),
        event(Step.REGISTERING),
        event(Step.CONNECTING, Outcome.STARTED),
        event(Step.CONNECTING),
        event(Step.AWAITING_GRANT),
        event(Step.BINDING, Outcome.STARTED),
        event(Step.BINDING, msg_id="1813440145827258368"),
        event(Step.BOUND),
    ):
        told += said(codec.tell(each, 1.0))
    kind = {"type": "thing.network.set.response", "ts": NOW}
    assert told == [
        kind | {"code": 1701, "msg": "success"},
        kind | {"code": 1006, "msg": "BLE_DATA_WIFI_GOT_IP"},
        kind | {"code": 1801, "msg": "bind success"},
        {"msgId": "1813440145827258368", "ts": NOW, "type": "sys.event.trigger.response"},
        kind | {"code": 1703, "msg": "Successfully connected to the server"},
    ]
    assert codec.bound


def test_the_style_of_sentino():
    codec = device(style="sentino")
    assert said(ask(codec, {"type": "device.information.get"}))[0] == {"code": 1701}
    outputs = ask(codec, SET)
    told = said(outputs)
    for each in (event(Step.JOINING), event(Step.BINDING, msg_id="1"), event(Step.BOUND)):
        told += said(codec.tell(each, 1.0))
    assert told[0] == {"code": 1701}
    assert told[1]["type"] == "thing.network.set.response"
    assert told[1]["code"] == 0
    assert told[2:] == [{"code": 1006}, {"code": 1801}, {"code": 1703}]
    typed = [each for each in told if each.get("type") == "thing.network.set.response"]
    assert typed[0]["code"] == 0  # the web app takes the first typed response, and that alone


@pytest.mark.parametrize("style", ["protco", "sentino"])
def test_an_unreadable_message(style):
    outputs = ask(device(style=style), b'{"type":"thing.network.set","data":')
    typed = {"type": "thing.network.set.response"} if style == "protco" else {}
    assert code_of(outputs) == [1700]
    assert {name: value for name, value in said(outputs)[0].items() if name == "type"} == typed
    assert len(of(Refused, outputs)) == 1


@pytest.mark.parametrize(
    "message",
    [b"", b"\xff\xfe", b"[]", b"1", b'"x"', b"null", b"{}", b'{"type":1}', b'{"type":null}', b"[" * 5000,
     b'{"type":NaN}', b"9" * 5000],
)  # fmt: skip
def test_what_is_no_message(message):
    outputs = ask(device(), message)
    assert code_of(outputs) == [1700]
    assert len(outputs) == 2
    assert isinstance(outputs[0], Refused)


# --- device information ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "ts"),
    [
        (None, NOW),
        (NOW - 100, NOW),
        (NOW + 100, NOW + 100),
        (1626197189638, NOW * 1000),
        (NOW * 1000 + 5, NOW * 1000 + 5),
        ("1721192795", NOW),
        (True, NOW),
        (-1, NOW),
        (10**20, NOW),
        (1.5, NOW),
    ],
)
def test_the_time_is_not_before_the_request_s_and_in_its_unit(asked, ts):
    message = {"type": "device.information.get"} | ({} if asked is None else {"ts": asked})
    assert said(ask(device(), message))[0]["ts"] == ts


def test_the_other_sign_method_is_named():
    data = said(ask(device(sign_method="hmacSha256"), {"type": "device.information.get"}))[0]["data"]
    assert data["signMethod"] == "hmacSha256"
    assert len(data["sign"]) == 64


def test_a_device_without_a_secret_does_not_sign():
    codec = device(secret=None, mcu_version="1.2", gateway=True, bound=True, wifi_mac="")
    data = said(ask(codec, {"type": "device.information.get", "msgId": "m1"}))[0]["data"]
    assert "sign" not in data
    assert "wifi_mac" not in data
    assert (data["mcuVersion"], data["gateway"], data["bind"]) == ("1.2", 1, True)


@pytest.mark.parametrize("wrong", [{"style": "tuya"}, {"sign_method": "md5"}], ids=str)
def test_a_device_that_cannot_be(wrong):
    with pytest.raises(ConfigurationError):
        device(**wrong)


# --- the list of networks ----------------------------------------------------------------------------------

SEEN = (
    Network(b"TplinkPT", bytes(6), 6, -51, Security.WPA2),
    Network(b"", bytes(6), 6, -52, Security.WPA2),
    Network(b"open", bytes(6), 1, -63, Security.OPEN),
    Network("客厅".encode("gb18030"), bytes(6), 1, -64, Security.WPA2),
)


@pytest.mark.parametrize(
    ("scan", "cached"),
    [({"scan": True}, False), ({"scan": 1}, False), ({"scan": False}, True), ({"scan": 0}, True), ({}, True),
     ({"data": {"scan": True}}, True), ({"scan": [1]}, True)],
)  # fmt: skip
def test_a_fresh_scan_is_asked_for_at_the_top_level(scan, cached):
    assert ask(device(), {"type": "thing.network.getwifis"} | scan) == [Ask("scan", PHONE, cached=cached)]


def test_what_the_scan_saw():
    codec = device()
    ask(codec, {"type": "thing.network.getwifis", "scan": True})
    assert codec.deadline() == 14.0
    assert said(codec.tell(Answer("scan", PHONE, networks=SEEN), 5.0)) == [
        {
            "type": "thing.network.getwifis.response",
            "msgId": "000102030405060",
            "ts": NOW,
            "code": 0,
            "data": {
                "wifis": [
                    {"ssid": "TplinkPT", "rssi": -51, "security": True},
                    {"ssid": "open", "rssi": -63, "security": False},
                    {"ssid": "客厅", "rssi": -64, "security": True},
                ]
            },
        }
    ]
    assert codec.deadline() is None
    assert codec.tell(Answer("scan", PHONE, networks=SEEN), 5.0) == ()


def test_a_network_in_gbk_is_joined_by_its_own_octets():
    codec = device()
    ask(codec, {"type": "thing.network.getwifis"})
    codec.tell(Answer("scan", PHONE, networks=SEEN), 5.0)
    assert of(Offer, ask(codec, setting(sid="客厅")))[0].credentials.ssid == "客厅".encode("gb18030")
    assert of(Offer, ask(device(), setting(sid="客厅")))[0].credentials.ssid == "客厅".encode()


def test_a_scan_that_failed_and_one_that_never_ends():
    codec = device()
    ask(codec, {"type": "thing.network.getwifis", "msgId": "m7"})
    failed = Answer("scan", PHONE, failure=Failure(Step.LISTENING, Reason.PLATFORM))
    answer = said(codec.tell(failed, 1.0))[0]
    assert (answer["code"], answer["data"], answer["msgId"]) == (1008, {"wifis": []}, "m7")
    ask(codec, {"type": "thing.network.getwifis"})
    assert codec.tick(13.9) == []
    assert code_of(codec.tick(14.0)) == [1008]
    assert codec.deadline() is None


def test_a_long_list_is_cut():
    codec = device()
    ask(codec, {"type": "thing.network.getwifis"})
    many = [Network(b"n%d" % number, bytes(6), 1, -50, Security.WPA2) for number in range(200)]
    assert len(said(codec.tell(Answer("scan", PHONE, networks=many), 1.0))[0]["data"]["wifis"]) == 50


# --- thing.network.set -------------------------------------------------------------------------------------


def test_every_field_reaches_the_offer():
    outputs = ask(
        device(), setting(force_bind=True, areaCode="91", mqttSslPort="8883", unknown={"a": [1]}, pw="")
    )
    offer = of(Offer, outputs)[0]
    assert offer.credentials.password == Secret("")
    assert offer.grant.params == {
        "userId": "us1689940117281427456",
        "tz": "Asia/Kolkata",
        "country": "US",
        "areaCode": "91",
        "mqttSslPort": "8883",
        "force_bind": "true",
    }


@pytest.mark.parametrize(
    ("fields", "endpoint"),
    [
        ({"mq": ..., "port": ...}, None),
        ({"port": ...}, "testmqtt.protco.in:1883"),
        ({"port": "8883"}, "testmqtt.protco.in:8883"),
        ({"mq": "mq.example:2883", "port": ...}, "mq.example:2883"),
        ({"mq": "mq.example:2883"}, "mq.example:1883"),
        ({"mq": "10.0.0.1"}, "10.0.0.1:1883"),
        ({"mq": "fe80::1"}, "[fe80::1]:1883"),
    ],
)
def test_the_broker(fields, endpoint):
    assert of(Offer, ask(device(), setting(**fields)))[0].grant.endpoint == endpoint


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"sid": ...}, "sid"),
        ({"sid": None}, "sid"),
        ({"sid": ""}, "sid"),
        ({"sid": "s" * 33}, "sid"),
        ({"sid": "客" * 11}, "sid"),
        ({"sid": 5}, "sid"),
        ({"sid": ["a"]}, "sid"),
        ({"sid": "\ud800"}, "sid"),
        ({"pw": 12345678}, "pw"),
        ({"pw": True}, "pw"),
        ({"pw": {}}, "pw"),
        ({"pw": "p" * 65}, "pw"),
        ({"bid": []}, "bid"),
        ({"bid": True}, "bid"),
        ({"userId": 1.5}, "userId"),
        ({"mq": 5.5}, "mq"),
        ({"mq": "mqtt://host"}, "mq"),
        ({"mq": "a host"}, "mq"),
        ({"mq": "h" * 300}, "mq"),
        ({"port": 0}, "port"),
        ({"port": 65536}, "port"),
        ({"port": "x"}, "port"),
        ({"port": "999999999"}, "port"),
        ({"port": True}, "port"),
        ({"port": 1883.5}, "port"),
        ({"mqttSslPort": -1}, "mqttSslPort"),
        ({"country": ["US"]}, "country"),
        ({"tz": {}}, "tz"),
        ({"areaCode": False}, "areaCode"),
        ({"force_bind": "yes"}, "force_bind"),
        ({"force_bind": 2}, "force_bind"),
        ({"ble": "pair"}, "ble"),
        ({"ble": True}, "ble"),
    ],
    ids=str,
)
def test_a_wrong_field_is_refused_by_its_name(fields, name):
    outputs = ask(device(), setting(**fields))
    assert code_of(outputs) == [1700]
    assert not of(Offer, outputs)
    failure = of(Refused, outputs)[0].failure
    assert failure.reason is Reason.BAD_FIELD
    assert failure.text.startswith(name)
    assert said(outputs)[0]["msg"] == failure.text


@pytest.mark.parametrize("data", [None, [], "x", 5])
def test_data_is_an_object(data):
    outputs = ask(device(style="sentino"), {"type": "thing.network.set", "data": data})
    assert code_of(outputs) == [1701, 1700]
    assert said(outputs)[1]["type"] == "thing.network.set.response"


def test_numbers_where_texts_are_usual():
    offer = of(Offer, ask(device(), setting(bid=1740300523660267520, areaCode=91)))[0]
    assert offer.grant.value == Secret("1740300523660267520")
    assert offer.grant.params["areaCode"] == "91"


def test_the_sender_s_message_id_comes_back():
    codec = device()
    outputs = ask(codec, SET | {"msgId": "45lkj3551234001", "ts": 1626197189638})
    assert said(outputs)[0]["msgId"] == "45lkj3551234001"
    assert said(codec.tell(event(Step.JOINING), 1.0))[0]["msgId"] == "45lkj3551234001"
    assert "msgId" not in said(ask(codec, SET | {"msgId": ["x"]}))[0]


# --- how it ends -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["protco", "sentino"])
@pytest.mark.parametrize(
    ("step", "reason", "code"),
    [
        (Step.JOINING, Reason.WRONG_PASSWORD, 1007),
        (Step.JOINING, Reason.HANDSHAKE_TIMEOUT, 1007),
        (Step.JOINING, Reason.NO_SUCH_AP, 1008),
        (Step.JOINING, Reason.DHCP, 1008),
        (Step.JOINING, Reason.JOIN_TIMEOUT, 1008),
        (Step.REGISTERING, Reason.REGISTRATION_REFUSED, 1702),
        (Step.CONNECTING, Reason.MQTT_REFUSED, 1702),
        (Step.CONNECTING, Reason.DNS, 1702),
        (Step.AWAITING_GRANT, Reason.GRANT_TIMEOUT, 1802),
        (Step.BINDING, Reason.TOKEN_REFUSED, 1802),
    ],
)
def test_a_failure_has_its_code(style, step, reason, code):
    codec = device(style=style)
    ask(codec, SET)
    told = said(codec.tell(failed(step, reason), 1.0))
    assert told[0]["code"] == code
    if style == "protco":
        assert told[0]["msg"] == reason.value
    assert codec.tell(failed(step, reason), 1.0) == []


def test_the_end_of_the_session_is_told_by_its_step():
    codec = device()
    ask(codec, SET)
    failure = Failure(Step.CONNECTING, Reason.TIMEOUT)
    assert code_of(codec.tell(event(Step.FAILED, Outcome.FAILED, peer=None, failure=failure), 1.0)) == [1702]


def test_a_wrong_password_and_another_try_on_the_same_link():
    codec = device()
    ask(codec, SET)
    codec.tell(failed(Step.JOINING, Reason.WRONG_PASSWORD), 1.0)
    outputs = ask(codec, setting(pw="right one"))
    assert code_of(outputs) == [1701]
    assert of(Offer, outputs)[0].credentials.password == Secret("right one")
    assert code_of(codec.tell(event(Step.JOINING), 2.0)) == [1006]


def test_a_request_that_is_sent_again_hears_what_was_said():
    codec = device()
    ask(codec, SET)
    codec.tell(event(Step.JOINING), 1.0)
    outputs = ask(codec, SET | {"msgId": "again"})
    assert code_of(outputs) == [1701, 1006]
    assert of(Offer, outputs) == of(Offer, ask(device(), SET))
    assert codec.tell(event(Step.JOINING), 1.0) == []


def test_a_request_that_the_session_refuses():
    """A country that is none is found out there."""
    codec = device()
    ask(codec, SET)
    assert code_of(codec.tell(failed(Step.LISTENING, Reason.BAD_FIELD), 1.0)) == [1700]
    ask(codec, SET)
    assert code_of(codec.tell(failed(Step.LISTENING, Reason.MEDIUM), 1.0)) == [1008]


def test_an_echo_of_a_failed_request_is_told_as_the_session_tells_it():
    codec = device()
    for _ in range(2):
        assert code_of(ask(codec, SET)) == [1701]
        assert codec.tell(Answer("errors", PHONE, (b"{}",)), 1.0) == ()
        assert code_of(codec.tell(failed(Step.JOINING, Reason.WRONG_PASSWORD), 1.0)) == [1007]


def test_without_a_cloud_the_phone_hears_that_there_is_none():
    codec = device()
    ask(codec, SET)
    assert code_of(codec.tell(event(Step.JOINING), 1.0)) == [1006]
    assert code_of(codec.tell(event(Step.JOINED), 1.0)) == [1702]


def test_a_request_without_account_only_joins():
    codec = device()
    assert of(Offer, ask(codec, setting(bid=..., userId=...)))[0].grant is None
    assert code_of(codec.tell(event(Step.JOINING), 1.0)) == [1006]
    assert codec.tell(event(Step.JOINED), 1.0) == []


# --- packets and links -------------------------------------------------------------------------------------

LONG = frames(json.dumps(SET).encode())


@pytest.mark.parametrize(
    ("packets", "code"),
    [
        (LONG[1:], 1502),
        ([LONG[0], *LONG[2:]], 1502),
        ([LONG[0], LONG[0][:-1] + b"\0", *LONG[1:]], 1503),
        ([LONG[0], b"\xfe" + LONG[1][1:], *LONG[2:]], 1501),
        ([LONG[0], LONG[1][:-5], *LONG[2:]], 1506),
    ],
)
def test_a_damaged_message_gives_its_code_and_the_phone_goes_on(packets, code):
    codec, silent = device(), device(style="sentino")
    outputs = [output for packet in packets for output in codec.feed("2b11", packet, PHONE, 0.0)]
    assert code_of(outputs) == [code]
    assert said(outputs)[0]["type"] == "thing.network.set.response"
    quiet = [output for packet in packets for output in silent.feed("2b11", packet, PHONE, 0.0)]
    assert [type(output) for output in quiet] == [Refused]
    for each in (codec, silent):
        assert len(of(Offer, ask(each, SET))) == 1


def test_answers_fit_the_link():
    codec = device()
    ask(codec, SET)
    assert max(map(len, sent(ask(codec, {"type": "device.information.get"})))) == 128
    for mtu in (23, 100, 131, 517):
        codec.feed("", Mtu(mtu), PHONE, 0.0)
        made = ask(codec, {"type": "device.information.get"})
        assert max(map(len, sent(made))) == min(128, mtu - 3)
        assert said(made)[0]["type"] == "device.information.get.response"


def test_without_news_of_the_mtu_the_phone_s_packets_show_it():
    codec = device()
    outputs = []
    for frame in frames(json.dumps(SET).encode(), 10):
        outputs += codec.feed("2b11", frame, PHONE, 0.0)
    assert max(map(len, sent(outputs))) == 20


def test_links_are_bounded_and_apart():
    codec = device()
    peers = [Peer("ble", f"00:00:00:00:00:{number:02x}", 1) for number in range(9)]
    for peer in peers:
        codec.feed("", Connected(), peer, 0.0)
        codec.feed("2b11", LONG[0], peer, 0.0)
    assert len(codec._links) == 8
    rest = [output for packet in LONG[1:] for output in codec.feed("2b11", packet, peers[8], 0.0)]
    assert [offer.peer for offer in of(Offer, rest)] == [peers[8]]
    lost = [output for packet in LONG[1:] for output in codec.feed("2b11", packet, peers[0], 0.0)]
    assert not of(Offer, lost)


def test_other_messages_and_firmware_are_not_taken():
    codec = device()
    assert of(Seen, ask(codec, {"type": "thing.property.get"}))
    assert len(ask(codec, {"type": "x" * 300})[0].text) < 100
    outputs = [o for each in frames(b"firmware", kind=2) for o in codec.feed("2b11", each, PHONE, 0.0)]
    assert [type(output) for output in outputs] == [Refused]
    assert codec.feed("2b10", LONG[0], PHONE, 0.0) == ()
