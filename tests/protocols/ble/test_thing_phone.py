"""thing.network: the phone with our device in both styles, and with devices that are not ours."""

from __future__ import annotations

import json

import pytest

from qiot.errors import ConfigurationError
from qiot.model import Credentials, Failure, Network, Offer, Outcome, Reason, Secret, Security, Step
from qiot.protocols.base import Answer, Ask, Connected, Learned, Mtu, Send, Subscribed
from qiot.protocols.ble.thing import ThingDevice
from qiot.protocols.ble.thing_frames import Assembler, frames
from qiot.protocols.ble.thing_phone import ThingPhone
from tests.protocols.ble.pair import DEVICE, PHONE, Pair, event, of, sent, session

SECRET = Secret("bd2625eb1fa0499ea60aadd09ae0a184")
UUID = "rn01b55A74fa0c16"
HOME = Credentials("TplinkPT 客厅".encode(), Secret("123**4567"))


def device(**options) -> ThingDevice:
    options = {
        "product_id": "fFMes8kzaLRHMy",
        "uuid": UUID,
        "secret": SECRET,
        "random": bytes,
        "wall": lambda: 1721192794.0,
        **options,
    }
    return ThingDevice(**options)


def phone(**options) -> ThingPhone:
    options = {
        "credentials": [HOME],
        "bid": Secret("1740300523660267520"),
        "user_id": "us1689940117281427456",
        "mq": "testmqtt.protco.in",
        "country": "US",
        "tz": "Asia/Kolkata",
        "random": bytes,
        "wall": lambda: 1721192000.0,
        **options,
    }
    return ThingPhone(**options)


def pair(answer, *, mtu=247, codec=None, air=None, **options) -> Pair:
    return Pair(codec or device(), phone(**options), notify="2b10", mtu=mtu, answer=answer, **(air or {}))


def written(both: Pair) -> list[dict]:
    """The messages that the phone has written."""
    parts = Assembler()
    read = [parts.feed(data) for data in both.writes()]
    return [json.loads(message) for message in read if message is not None]


def words(both: Pair) -> list[str]:
    return [each.what for each in both.learned]


class Foreign:
    """A device that is not ours: it answers each type of message with what a test says."""

    def __init__(self, **answers):
        self.answers = {"device.information.get": {"data": {}}} | answers
        self.parts = Assembler()
        self.asked = []

    def feed(self, port, data, peer, now):
        message = self.parts.feed(data) if isinstance(data, bytes) else None
        if message is None:
            return ()
        fields = json.loads(message)
        self.asked.append(fields["type"])
        answer = self.answers.get(fields["type"], [])
        outputs = []
        for each in answer if isinstance(answer, list) else [{"type": fields["type"] + ".response"} | answer]:
            outputs += say(each)
        return outputs

    def tell(self, news, now):
        return ()

    def deadline(self):
        return None

    def tick(self, now):
        return ()


def say(message):
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    return [Send("2b10", frame, PHONE) for frame in frames(data)]


# --- the whole way -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["protco", "sentino"])
@pytest.mark.parametrize("mtu", [23, 64, 128, 131, 247, 517, None])
def test_the_whole_way_at_any_mtu(style, mtu):
    both = pair(session(msg_id="77"), mtu=mtu, codec=device(style=style), uuid=UUID, secret=SECRET)
    both.connect()
    event_of_the_cloud = ["event"] if style == "protco" else []
    assert words(both) == ["version", "joined", "bound", *event_of_the_cloud, "online"]
    assert both.learned[0].values["signed"] is True
    assert [each.last for each in both.learned] == [False] * (len(both.learned) - 1) + [True]
    assert both.phone.deadline() is None
    offer = of(Offer, both.heard)[0]
    assert offer.credentials == HOME
    assert offer.grant.endpoint == "testmqtt.protco.in:1883"


def test_what_the_phone_writes():
    both = pair(session(), scan=True, mqtt_ssl_port=8883, area_code="91", force_bind=True)
    both.connect()
    both.wait(15)
    info, wifis, request = written(both)
    assert info == {"type": "device.information.get", "ts": 1721192000}
    assert wifis == {"type": "thing.network.getwifis", "scan": True}
    assert request == {
        "type": "thing.network.set",
        "msgId": "000000000000000",
        "ts": 1721192000000,
        "data": {
            "force_bind": True,
            "country": "US",
            "areaCode": "91",
            "tz": "Asia/Kolkata",
            "userId": "us1689940117281427456",
            "mq": "testmqtt.protco.in",
            "port": 1883,
            "mqttSslPort": 8883,
            "sid": "TplinkPT 客厅",
            "pw": "123**4567",
            "bid": "1740300523660267520",
        },
    }
    assert all(len(data) <= 128 for data in both.writes())


def test_the_list_of_networks():
    seen = (
        Network(b"home", bytes(6), 6, -51, Security.WPA2),
        Network(b"open", bytes(6), 1, -63, Security.OPEN),
    )

    def answer(heard):
        if isinstance(heard, Ask):
            assert heard.cached
            return [Answer("scan", heard.peer, networks=seen)]
        return session()(heard)

    both = pair(answer, scan=False)
    both.connect()
    assert "scan" not in written(both)[1]
    learned = both.learned[1]
    assert (learned.what, learned.values) == ("networks", {"count": 2})
    assert [(each.ssid, each.signal) for each in learned.networks] == [(b"home", -51), (b"open", -63)]
    assert [each.security for each in learned.networks] == [Security.UNKNOWN, Security.OPEN]
    assert words(both)[-1] == "online"


@pytest.mark.parametrize(
    ("joined", "bound", "step", "reason", "code"),
    [
        (Reason.WRONG_PASSWORD, None, Step.JOINING, Reason.WRONG_PASSWORD, 1007),
        (Reason.NO_SUCH_AP, None, Step.JOINING, Reason.NO_SUCH_AP, 1008),
        (None, Reason.TOKEN_REFUSED, Step.BINDING, Reason.TOKEN_REFUSED, 1802),
    ],
)
@pytest.mark.parametrize("style", ["protco", "sentino"])
def test_the_phone_says_why(style, joined, bound, step, reason, code):
    answer = session(
        joined=joined and Failure(Step.JOINING, joined), bound=bound and Failure(Step.BINDING, bound)
    )
    both = pair(answer, codec=device(style=style))
    both.connect()
    failure = both.learned[-1].failure
    assert (failure.step, failure.reason, failure.code) == (step, reason, code)
    assert both.learned[-1].last


def test_a_server_that_cannot_be_reached():
    both = pair(lambda heard: ())
    both.connect()
    both.tell(event(Step.JOINING))
    failure = Failure(Step.CONNECTING, Reason.DNS)
    both.tell(event(Step.CONNECTING, Outcome.FAILED, failure=failure))
    assert both.learned[-1].failure.code == 1702


def test_the_next_network_on_the_same_link():
    def answer(heard):
        good = isinstance(heard, Offer) and heard.credentials == HOME
        return session(joined=None if good else Failure(Step.JOINING, Reason.WRONG_PASSWORD))(heard)

    wrong = Credentials(HOME.ssid, Secret("wrong"))
    both = pair(answer, credentials=[wrong, HOME])
    both.connect()
    assert words(both) == ["version", "error", "joined", "bound", "online"]


def test_a_bound_device_refuses():
    both = pair(session(), codec=device(bound=True))
    both.connect()
    assert both.learned[0].values["bind"] is True
    assert both.learned[-1].failure.code == 1802
    forced = pair(session(), codec=device(bound=True), force_bind=True)
    forced.connect()
    assert words(forced)[-1] == "online"


@pytest.mark.parametrize(("action", "word"), [("bind", "bound"), ("unbind", "unbound"), ("init", "reset")])
@pytest.mark.parametrize("style", ["protco", "sentino"])
def test_products_without_wifi(style, action, word):
    def answer(heard):
        if isinstance(heard, Ask):
            return [Answer(heard.what, heard.peer)]
        return [event(Step.BOUND, peer=heard.peer)] if isinstance(heard, Offer) else []

    both = pair(answer, codec=device(style=style), credentials=[], bid=None, user_id="", mq="", ble=action)
    both.connect()
    assert (words(both)[-1], both.learned[-1].last) == (word, True)
    assert "port" not in written(both)[-1]["data"]


@pytest.mark.parametrize(("action", "code"), [("unbind", 1804), ("init", 1806)])
def test_a_product_that_cannot_forget(action, code):
    def answer(heard):
        failure = Failure(Step.LISTENING, Reason.STORAGE)
        return [Answer(heard.what, heard.peer, failure=failure)] if isinstance(heard, Ask) else []

    both = pair(answer, credentials=[], ble=action)
    both.connect()
    assert both.learned[-1].failure.code == code


# --- proof -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "codec",
    [
        pytest.param(device(secret=Secret("another")), id="another secret"),
        pytest.param(device(uuid="another"), id="another device"),
        pytest.param(device(secret=None), id="no sign"),
    ],
)
def test_a_device_that_proves_nothing_gets_no_password(codec):
    both = pair(session(), codec=codec, uuid=UUID, secret=SECRET)
    both.connect()
    assert both.learned[-1].failure.reason is Reason.BAD_FIELD
    assert [each["type"] for each in written(both)] == ["device.information.get"]


def test_the_other_sign_method():
    both = pair(session(), codec=device(sign_method="hmacSha256"), uuid=UUID, secret=SECRET)
    both.connect()
    assert words(both)[-1] == "online"


# --- losses and time ---------------------------------------------------------------------------------------


def losing(kind: bytes, times: int = 1):
    """Lose the first packets that hold this text."""
    left = [times]

    def air(data):
        if kind in data and left[0]:
            left[0] -= 1
            return []
        return [data]

    return air


@pytest.mark.parametrize("what", [b"information.get", b"network.set"])
def test_a_lost_request_is_sent_again(what):
    both = pair(session(), air={"down": losing(what)})
    both.connect()
    both.wait(10)
    assert words(both)[-1] == "online"


def test_a_damaged_request_is_sent_again_at_once():
    left = [1]

    def down(data):
        if b"Kolkata" in data and left[0]:
            left[0] = 0
            return [data[:-1] + bytes([data[-1] ^ 1])]
        return [data]

    both = pair(session(), air={"down": down})
    both.connect()
    assert words(both)[-1] == "online"
    assert [each["type"] for each in written(both)].count("thing.network.set") == 2


def test_a_lost_answer_is_made_good():
    both = pair(lambda heard: (), air={"up": losing(b"1701")})
    both.connect()
    both.wait(4)
    both.tell(event(Step.JOINING), event(Step.BINDING), event(Step.BOUND))
    assert words(both) == ["version", "joined", "bound", "online"]


def test_the_phone_gives_up_on_a_device_that_says_nothing():
    both = pair(session(), air={"down": lambda data: []})
    both.connect()
    both.wait(9.9)
    assert not both.learned
    both.wait(0.1)
    assert both.learned[-1].failure.reason is Reason.TIMEOUT
    deaf = pair(session(), air={"down": losing(b"network.set", 100)})
    deaf.connect()
    deaf.wait(18)
    assert deaf.learned[-1].failure.reason is Reason.TIMEOUT
    assert [each["type"] for each in written(deaf)].count("thing.network.set") == 6


def test_the_phone_gives_up_where_no_result_comes():
    both = pair(lambda heard: ())
    both.connect()
    both.tell(event(Step.JOINING))
    both.wait(64)
    assert not both.learned[-1].last
    both.wait(1)
    assert both.learned[-1].failure.reason is Reason.TIMEOUT


def test_bound_is_enough_after_a_while():
    both = pair(lambda heard: ())
    both.connect()
    both.tell(event(Step.JOINING), event(Step.BINDING))
    assert not both.learned[-1].last
    both.wait(5)
    assert (words(both)[-1], both.learned[-1].last) == ("online", True)


def test_the_request_is_made_again_on_the_next_link():
    both = pair(lambda heard: ())
    both.connect()
    both.lose()
    assert both.phone.deadline() is None
    both.connect()
    assert [each["type"] for each in written(both)].count("device.information.get") == 1
    both.tell(event(Step.JOINING), event(Step.BINDING), event(Step.BOUND))
    assert words(both)[-1] == "online"


def test_a_driver_that_does_not_tell_of_subscriptions():
    codec = phone()
    codec.feed("", Connected(), DEVICE, 5.0)
    codec.feed("", Mtu(128), DEVICE, 5.0)
    assert len(sent(codec.tick(codec.deadline()))) == 1
    assert codec.feed("", Subscribed("2b10"), DEVICE, 6.0) == ()


# --- devices that are not ours -----------------------------------------------------------------------------


def test_a_device_as_beken_s():
    """What the BK7258 sends: untyped states, a typed 0, no sign, names alone in the list."""
    codec = Foreign(
        **{
            "device.information.get": [
                {"code": 1701},
                {"type": "device.information.get.response", "data": {"pid": "sEF4ljjdH8mo", "bind": False}},
            ],
            "thing.network.getwifis": [
                {"code": 1701},
                {
                    "type": "thing.network.getwifis.response",
                    "code": 0,
                    "data": {"wifis": [{"ssid": "home"}, {"ssid": "x", "rssi": "-70"}, {}, 5, {"ssid": 1}]},
                },
            ],
            "thing.network.set": [
                {"code": 1701},
                {"type": "thing.network.set.response", "code": 0},
                {"code": 1006},
                {"code": 1703},
            ],
        }
    )
    both = pair(lambda heard: (), codec=codec, scan=True)
    both.connect()
    assert words(both) == ["version", "networks", "joined", "online"]
    assert [(each.ssid, each.signal) for each in both.learned[1].networks] == [(b"home", -100), (b"x", -70)]


@pytest.mark.parametrize(
    "noise",
    [b"{", b"[]", b'{"type":5}', b'{"code":"1007"}', b'{"code":true}', b'{"code":4711}', b'{"data":7}',
     b'{"type":"thing.property.report","data":{"open":{"value":true}}}'],
)  # fmt: skip
def test_noise_changes_nothing(noise):
    codec = Foreign(**{"thing.network.set": [noise, {"type": "thing.network.set.response", "code": 1703}]})
    both = pair(lambda heard: (), codec=codec)
    both.connect()
    assert words(both) == ["version", "online"]


def test_a_device_that_cannot_read_the_request():
    codec = Foreign(**{"thing.network.set": {"code": 1700, "msg": "bad JSON"}})
    both = pair(lambda heard: (), codec=codec)
    both.connect()
    assert both.learned[-1].failure.code == 1700
    assert codec.asked.count("thing.network.set") == 6


def test_a_device_without_a_list_is_still_given_the_network():
    codec = Foreign(**{"thing.network.set": {"code": 1703}})
    both = pair(lambda heard: (), codec=codec, scan=True)
    both.connect()
    both.wait(15)
    assert words(both) == ["version", "networks", "online"]
    assert both.learned[1].failure.reason is Reason.TIMEOUT


@pytest.mark.parametrize(
    ("ssid", "password"),
    [(None, b""), (b"", b""), (b"s" * 33, b""), (b"\xff", b""), (b"s", b"\xff")],
    ids=str,
)
def test_a_network_that_cannot_be_given_away(ssid, password):
    with pytest.raises(ConfigurationError):
        phone(credentials=[Credentials(ssid, Secret(password))])


def test_nothing_secret_is_learned():
    both = pair(session())
    both.connect()
    shown = repr([each for each in both.learned if isinstance(each, Learned)])
    assert "123**4567" not in shown
    assert "1740300523660267520" not in shown
