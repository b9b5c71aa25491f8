"""LLSync's phone: the mini program's bytes, and the phone with our device at its other end."""

from __future__ import annotations

import pytest

from qiot.errors import ConfigurationError
from qiot.model import Credentials, Failure, Offer, Reason, Secret, Step
from qiot.protocols.base import Connected, Subscribed
from qiot.protocols.ble.llsync import LLSyncDevice
from qiot.protocols.ble.llsync_frames import Slices, parse_device_info, parse_wifi_result
from qiot.protocols.ble.llsync_phone import LLSyncPhone
from tests.protocols.ble.pair import DEVICE, Pair, event, of, sent, session, vector

TOKEN = "69f978dfbb48ec40cadb6d9af470d0f6"
PLUGIN = vector("tencent_phone_plugin")
HOME = Credentials(b"tencent", Secret("12345678"))


def device(**options) -> LLSyncDevice:
    options = {"device_name": "TEST2", "mtu": 128, **options}
    return LLSyncDevice(**options)


@pytest.mark.parametrize("case", PLUGIN["llsync_phone_tx"], ids=lambda case: f"mtu {case['llsync_mtu']}")
@pytest.mark.parametrize("by_link", [False, True], ids=["fixed", "by the link"])
def test_the_phone_sends_what_the_mini_program_sends(case, by_link):
    mtu = case["llsync_mtu"]
    phone = LLSyncPhone(
        credentials=[Credentials(case["ssid"].encode(), Secret(case["password"]))],
        token=Secret(case["token"]),
        log=True,
        mtu=None if by_link else mtu,
    )
    # A device that refuses the token, so that the log is fetched, too.
    codec = device(mtu=512)
    answer = session(bound=Failure(Step.BINDING, Reason.TOKEN_REFUSED, 400))
    pair = Pair(codec, phone, notify="ffe3", mtu=mtu + 3, answer=answer)
    pair.connect()
    steps = {step["step"]: [bytes.fromhex(frame) for frame in step["frames"]] for step in case["steps"]}
    said = steps["writeMtuResult success"]
    if by_link:
        said = [b"\x09" + (mtu + 3).to_bytes(2, "big")] if mtu > 20 else [b"\x09\xff\xff"]
    names = ("setWiFiMode", "setWiFiInfo", "connect", "token", "log")
    expected = [steps["getDeviceInfo"], said, *(steps[name] for name in names)]
    assert pair.writes() == [frame for frames in expected for frame in frames]


@pytest.mark.parametrize("case", PLUGIN["llsync_device_tx_acceptance"], ids=lambda case: case["case"])
def test_the_phone_reads_what_the_mini_program_reads(case):
    slices = Slices()
    read = [slices.feed(bytes.fromhex(frame)) for frame in case["device_tx"]][-1]
    assert read is not None
    payload = read[1][2:]
    result = case["result"]
    if isinstance(result, bool):
        assert (payload[0] == 0) is result
    elif "deviceName" in result:
        info = parse_device_info(payload)
        assert result == {
            "version": info.version,
            "mtu": info.mtu,
            "needSetMtu": info.wants_mtu,
            "deviceName": info.name,
        }
    elif "connected" in result:
        wifi = parse_wifi_result(payload)
        assert result == {"connected": wifi.connected, "ssid": wifi.ssid.decode()}
    else:
        assert payload[2:].decode() == result["logStr"]  # the plug-in loses two characters; this one none


def pair(answer, *, mtu=None, codec=None, air=None, **options) -> Pair:
    options = {"credentials": [HOME], "token": Secret(TOKEN), **options}
    phone = LLSyncPhone(**options)
    return Pair(codec or device(), phone, notify="ffe3", mtu=mtu, answer=answer, **(air or {}))


@pytest.mark.parametrize("mtu", [23, 24, 40, 100, 128, 185, 256, 517])
@pytest.mark.parametrize(
    "ssid", [b"a", "客厅的无线网络_1".encode(), b"s" * 32], ids=["one", "chinese", "thirty-two"]
)
@pytest.mark.parametrize("password", ["", "12345678", "p" * 64])
def test_the_whole_way_at_any_mtu(mtu, ssid, password):
    both = pair(session(), mtu=mtu, credentials=[Credentials(ssid, Secret(password))])
    both.connect()
    assert [each.what for each in both.learned] == ["version", "joined", "bound"]
    assert both.learned[-1].last
    assert both.phone.deadline() is None
    offers = of(Offer, both.heard)
    assert offers[0].credentials == Credentials(ssid, Secret(password))
    assert offers[1].grant.value == Secret(TOKEN)


def test_without_a_token_the_phone_ends_with_the_join():
    both = pair(session(), token=None)
    both.connect()
    assert [(each.what, each.last) for each in both.learned] == [("version", False), ("joined", True)]


def test_the_phone_tries_the_next_network_on_the_same_link():
    wrong = Failure(Step.JOINING, Reason.WRONG_PASSWORD)

    def answer(heard):
        good = isinstance(heard, Offer) and (heard.credentials is None or heard.credentials == HOME)
        return session(joined=None if good else wrong)(heard)

    both = pair(answer, credentials=[Credentials(b"tencent", Secret("wrong123")), HOME])
    both.connect()
    assert [each.what for each in both.learned] == ["version", "error", "joined", "bound"]
    assert both.learned[1].failure.code == 1
    assert not both.learned[1].last


def test_the_phone_fetches_the_log_and_says_what_failed():
    both = pair(session(joined=Failure(Step.JOINING, Reason.NO_SUCH_AP)), log=True)
    both.connect()
    assert [each.what for each in both.learned] == ["version", "log", "error"]
    assert both.learned[1].values["text"] == "one\r\ntwo\r\n"
    assert both.learned[-1].failure.step is Step.JOINING


@pytest.mark.parametrize(("code", "reason"), [(None, Reason.TOKEN_NO_REPLY), (7, Reason.TOKEN_REFUSED)])
def test_the_phone_says_why_it_is_not_bound(code, reason):
    device_s = Reason.TOKEN_NO_REPLY if code is None else Reason.TOKEN_REFUSED
    both = pair(session(bound=Failure(Step.BINDING, device_s, code)))
    both.connect()
    assert both.learned[-1].failure.reason is reason
    assert both.learned[-1].failure.step is Step.BINDING


def test_a_device_in_another_network_has_not_joined():
    def up(data):
        return [data.replace(b"tencent", b"TENCENT")]

    both = pair(session(), air={"up": up})
    both.connect()
    assert both.learned[-1].failure.reason is Reason.JOIN_OTHER
    assert "TENCENT" in both.learned[-1].failure.text


def test_a_device_that_says_nothing_is_asked_twice():
    both = pair(session(), air={"down": lambda data: []})
    both.connect()
    assert both.writes() == [b"\xe0"]
    both.wait(10)
    assert both.writes() == [b"\xe0"] * 2
    assert not both.learned
    both.wait(10)
    assert both.learned[-1].last
    assert both.learned[-1].failure.reason is Reason.TIMEOUT


def test_one_lost_write_is_made_good():
    lost = []

    def down(data):
        if data[:1] == b"\xe2" and not lost:
            lost.append(data)
            return []
        return [data]

    both = pair(session(), air={"down": down})
    both.connect()
    both.wait(10)
    assert both.learned[-1].what == "bound"


def test_the_phone_waits_for_the_join_as_long_as_the_newer_plug_in():
    both = pair(lambda heard: ())
    both.connect()
    both.wait(59)
    assert not both.learned[-1].last
    both.wait(2)  # the device gives up after a minute
    assert both.learned[-1].failure.step is Step.JOINING
    short = pair(lambda heard: (), connect_timeout=20)
    short.connect()
    short.wait(20)
    assert short.learned[-1].failure.reason is Reason.TIMEOUT


def test_the_phone_begins_again_on_a_new_link():
    both = pair(lambda heard: ())
    both.connect()
    both.lose()
    assert both.phone.deadline() is None
    both.connect()
    assert both.writes()[-1] == b"\xe3"
    both.tell(event(Step.JOINING), event(Step.BINDING))
    both.run()
    both.tell(event(Step.BINDING))
    assert both.learned[-1].what == "bound"


def test_a_driver_that_does_not_tell_of_subscriptions():
    phone = LLSyncPhone(credentials=[HOME])
    phone.feed("", Connected(), DEVICE, 5.0)
    assert sent(phone.tick(phone.deadline())) == [b"\xe0"]
    assert phone.feed("", Subscribed("ffe3"), DEVICE, 6.0) == ()


def test_a_foreign_device_that_wants_no_mtu_and_takes_any():
    both = pair(session(), mtu=256, codec=device(mtu=60, wants_mtu=False))
    both.connect()
    assert b"\x09" not in {write[:1] for write in both.writes()}
    assert both.learned[-1].what == "bound"


@pytest.mark.parametrize("wrong", [{"credentials": []}, {"mtu": 19}, {"mtu": 515}], ids=str)
def test_a_phone_that_cannot_be(wrong):
    with pytest.raises(ConfigurationError):
        LLSyncPhone(**({"credentials": [HOME]} | wrong))


@pytest.mark.parametrize(
    ("ssid", "password"), [(None, ""), (b"", ""), (b"s" * 33, ""), (b"s", "p" * 65)], ids=str
)
def test_a_network_that_cannot_be_given_away(ssid, password):
    with pytest.raises(ConfigurationError):
        LLSyncPhone(credentials=[Credentials(ssid, Secret(password))])
