"""BluFi's device side: the whole way, and what it takes, refuses and reports."""

import pytest

from qiot.errors import ConfigurationError
from qiot.model import Credentials, Failure, Grant, Offer, Outcome, Reason, Secret, Step
from qiot.protocols.base import Answer, Ask, Connected, Drop, Lost, Refused, Send
from qiot.protocols.ble.blufi import blufi_profile
from qiot.protocols.ble.blufi_wire import Report, StaState, encode_networks, parse_networks
from qiot.protocols.ble.frames import ErrorCode
from tests.protocols.ble.blufi_support import (
    CREDENTIALS,
    DENIED,
    NETWORKS,
    PASSWORD,
    SSID,
    TOKEN,
    Told,
    device,
    ending,
    pair,
    phone,
    plain_device,
)
from tests.protocols.ble.pair import PHONE, event, of, sent

# --- the whole way ---


@pytest.mark.parametrize("version", ["1.2", "1.3", "1.4"])
@pytest.mark.parametrize("mtu", [20, 23, 24, 64, 185, 247, 259, 517])
def test_the_whole_way(version, mtu):
    wanted = ["security", "networks", "join", "status", "token", "custom", "close"]
    told = phone(token=TOKEN, wanted=wanted, custom=b"hello")
    turned = {b"hello": b"olleh"}
    made = pair(device(version=version, custom=turned.get), told, mtu=mtu)
    assert [each.what for each in made.learned] == [
        "version", "security", "networks", "joined", "status", "bound", "custom", "closed",
    ]  # fmt: skip
    assert ending(made).failure is None
    facts = {each.what: each for each in made.learned}
    assert facts["version"].values == {"version": version}
    assert facts["security"].values == {"version": 2 if version == "1.4" else 1}
    assert [each.ssid for each in facts["networks"].networks] == [SSID, b"guest"]
    assert facts["joined"].values["bssid"] == "11:22:33:44:55:66"
    assert facts["bound"].values == {"product_id": "L4WG9V9M2M", "device_name": "TEST2", "status": 0}
    assert facts["custom"].values["text"] == "olleh"
    offers = of(Offer, made.heard)
    assert offers == [Offer(PHONE, CREDENTIALS), Offer(PHONE, grant=Grant("tencent", TOKEN))]
    assert made.dropped
    on_air = b"".join(octets for _, _, octets in made.trace)
    assert PASSWORD.reveal()[:12] not in on_air
    assert TOKEN.reveal()[:12] not in on_air


def test_without_security_everything_can_be_read():
    made = pair(b=phone(security=False), mtu=247)
    assert PASSWORD.reveal() in b"".join(octets for _, _, octets in made.trace)


@pytest.mark.parametrize("password", [b"", b"12345678", bytes(range(64)), "密码密码密码".encode()])
@pytest.mark.parametrize("ssid", [b"x", b"\xbc\xd2" * 16])
def test_any_network(ssid, password):
    made = pair(b=phone(ssid=ssid, password=Secret(password)))
    assert of(Offer, made.heard) == [Offer(PHONE, Credentials(ssid, Secret(password)))]
    assert ending(made).what == "joined"


def test_a_token_that_came_first_is_offered_again_with_the_credentials():
    made = pair(b=phone(token=TOKEN, wanted=["token", "join"]), answer=Told())
    assert [offer.grant for offer in of(Offer, made.heard)] == [Grant("tencent", TOKEN)] * 2
    assert of(Offer, made.heard)[1].credentials == CREDENTIALS


def test_a_wrong_password_is_tried_again_on_the_same_connection():
    made = pair(b=phone(password=Secret("wrong-one"), retries=[PASSWORD]), answer=Told(DENIED, None))
    refused, joined = [each for each in made.learned if each.what == "joined"]
    assert refused.failure.reason is Reason.WRONG_PASSWORD
    assert joined.last
    assert [offer.credentials.password for offer in of(Offer, made.heard)] == [Secret("wrong-one"), PASSWORD]


REASONS = [
    (Reason.WRONG_PASSWORD, Reason.WRONG_PASSWORD),
    (Reason.HANDSHAKE_TIMEOUT, Reason.HANDSHAKE_TIMEOUT),
    (Reason.NO_SUCH_AP, Reason.NO_SUCH_AP),
    (Reason.ASSOCIATION_REFUSED, Reason.ASSOCIATION_REFUSED),
    (Reason.UNSUPPORTED_SECURITY, Reason.UNSUPPORTED_SECURITY),
    (Reason.JOIN_TIMEOUT, Reason.JOIN_TIMEOUT),
    (Reason.DHCP, Reason.DHCP),
    (Reason.INTERNAL, Reason.JOIN_OTHER),
]


@pytest.mark.parametrize(("told", "shown"), REASONS, ids=[told.name for told, _ in REASONS])
def test_why_a_join_failed_arrives(told, shown):
    made = pair(answer=Told(Failure(Step.JOINING, told)))
    assert ending(made).failure.reason is shown
    old = pair(device(version="1.2"), answer=Told(Failure(Step.JOINING, told)))
    assert ending(old).failure.reason is Reason.JOIN_OTHER


def test_a_refused_token_arrives():
    refused = Failure(Step.BINDING, Reason.TOKEN_REFUSED, code=5)
    made = pair(b=phone(token=TOKEN), answer=Told(bind=refused))
    assert ending(made).failure.code == 5


def test_a_token_that_comes_when_the_attempt_is_over_is_answered_at_once():
    made = plain_device()
    made.say(0x09, SSID)
    made.say(0x0C)
    failed = event(Step.CONNECTING, Outcome.FAILED, failure=Failure(Step.CONNECTING, Reason.TCP))
    assert len(made.messages(made.tell(event(Step.JOINING), failed))) == 1
    outputs = made.say(0x4D, b'{"cmdType":3,"token":"t"}')
    (result,) = made.messages(outputs)
    assert b'"status":-1' in result


@pytest.mark.parametrize("version", ["1.2", "1.3", "1.4"])
def test_version(version):
    made = plain_device(version=version)
    assert sent(made.say(0x1C)) == [bytes.fromhex("41040002") + bytes((1, int(version[-1])))]


def test_a_frame_that_wants_an_ack_gets_one():
    made = plain_device()
    made.say(0x1C)
    assert sent(made.say(0x08, b"\1", 0x08)) == [bytes.fromhex("0004010101")]


def test_control_frames_are_checksummed_where_the_mode_says_so():
    made = plain_device()
    made.say(0x04, b"\x11")
    (ack,) = sent(made.say(0x08, b"\1", 0x08))
    assert ack[:2] == b"\0\x06"
    assert len(ack) == 7


def test_status_at_any_time():
    made = plain_device()
    made.say(0x09, SSID)

    def status() -> Report:
        (message,) = made.messages(made.say(0x14))
        return Report.parse(message[1:])

    assert status() == Report(1, StaState.FAILED)
    made.say(0x0C)
    made.tell(event(Step.JOINING, Outcome.STARTED))
    assert status() == Report(1, StaState.CONNECTING)
    assert status() == Report(1, StaState.CONNECTING)
    told = made.tell(event(Step.JOINING, Outcome.FAILED, failure=DENIED, signal=-70))
    failed = Report(1, StaState.FAILED, reason=15, rssi=-70)
    assert [Report.parse(message[1:]) for message in made.messages(told)] == [failed]
    assert status() == failed
    made.tell(event(Step.JOINING, Outcome.STARTED))
    told = made.tell(event(Step.JOINING, bssid="11:22:33:44:55:66"))
    joined = Report(1, StaState.CONNECTED, bssid=bytes.fromhex("112233445566"), ssid=SSID)
    assert [Report.parse(message[1:]) for message in made.messages(told)] == [joined]
    assert status() == joined


def test_version_1_2_knows_connected_and_failed_only():
    made = plain_device(version="1.2")
    made.say(0x09, SSID)
    made.say(0x0C)
    made.tell(event(Step.JOINING, Outcome.STARTED))
    assert made.messages(made.say(0x14)) == [b"\x3d\1\1\0"]
    told = made.tell(event(Step.JOINING, Outcome.FAILED, failure=DENIED, signal=-70))
    assert made.messages(told) == [b"\x3d\1\1\0"]


def test_networks():
    made = plain_device()
    (ask,) = made.say(0x24)
    assert ask == Ask("scan", PHONE)
    (found,) = made.messages(made.tell(Answer("scan", PHONE, networks=NETWORKS)))
    assert found == b"\x45" + bytes((len(SSID) + 1, 256 - 48)) + SSID + b"\x06\xb0guest"
    assert made.errors(made.tell(Answer("scan", PHONE, failure=DENIED))) == [ErrorCode.SCAN]
    assert made.messages(made.tell(Answer("scan", PHONE))) == [b"\x45"]


def test_networks_cut_off_are_read_as_far_as_they_go():
    data = encode_networks(NETWORKS)
    assert [each.ssid for each in parse_networks(data[:-1])] == [SSID]
    assert parse_networks(b"\0\0") == []


def test_close_and_what_there_is_nothing_to_do_for():
    made = plain_device()
    assert made.say(0x20) == [Drop(PHONE)]
    for type_, message in [
        (0x10, b""),
        (0x18, bytes(6)),
        (0x11, b"ap"),
        (0x3D, b"x"),
        (0x7D, b"x"),
        (0x54, b""),
    ]:
        (seen,) = made.say(type_, message)
        assert not isinstance(seen, Send)


def test_a_retry_may_repeat_only_the_password():
    made = plain_device()
    made.say(0x09, b"one")
    made.say(0x05, bytes(6))
    made.say(0x0D, b"wrong-one")
    made.say(0x0C)
    made.say(0x0D, b"right-one")
    (offer,) = made.say(0x0C)
    assert offer.credentials == Credentials(b"one", Secret("right-one"), bytes(6))
    made.say(0x09, b"two")
    (offer,) = made.say(0x0C)
    assert offer.credentials == Credentials(b"two", Secret(b""))


def test_connect_without_a_network_is_reported():
    made = plain_device()
    outputs = made.say(0x0C)
    assert of(Refused, outputs)[0].failure.reason is Reason.BAD_FIELD
    assert Report.parse(made.messages(outputs)[0][1:]).state == StaState.FAILED


def test_enterprise_networks_are_refused_and_do_not_stick():
    made = plain_device()
    made.say(0x09, SSID)
    made.say(0x25, b"user")
    outputs = made.say(0x0C)
    assert of(Refused, outputs)[0].failure.reason is Reason.UNSUPPORTED_SECURITY
    assert Report.parse(made.messages(outputs)[0][1:]).reason == 210
    assert isinstance(made.say(0x0C)[0], Offer)


@pytest.mark.parametrize(
    ("type_", "message"),
    [
        (0x09, bytes(33)),
        (0x0D, bytes(65)),
        (0x05, bytes(5)),
        (0x08, b"\4"),
        (0x08, b""),
        (0x04, b""),
        (0x04, b"\4"),
    ],
)
def test_limits(type_, message):
    made = plain_device()
    outputs = made.say(type_, message)
    assert made.errors(outputs) == [ErrorCode.DATA_FORMAT]
    assert of(Refused, outputs)
    assert sent(made.say(0x1C))[0][0] == 0x41


def test_encryption_before_a_key_is_an_error():
    made = plain_device()
    assert made.errors(made.say(0x04, b"\x03")) == [ErrorCode.INIT_SECURITY]
    assert made.errors(made.write(bytes.fromhex("09010101ff"))) == [ErrorCode.DECRYPT]


def test_a_device_that_insists_on_encryption():
    made = plain_device(encrypted_only=True)
    assert made.errors(made.say(0x09, SSID)) == [ErrorCode.INIT_SECURITY]
    assert made.errors(made.say(0x0D, b"12345678")) == [ErrorCode.INIT_SECURITY]
    assert ending(pair(device(encrypted_only=True))).what == "joined"
    refused = pair(device(encrypted_only=True), phone(security=False))
    assert ending(refused).failure is not None


def test_octets_behind_a_frame():
    assert plain_device().errors(plain_device().write(bytes.fromhex("1c00000000"))) == [9]
    assert sent(plain_device(exact=False).write(bytes.fromhex("1c00000000")))[0][0] == 0x41


def test_lost_doubled_and_reordered_frames():
    made = plain_device()
    first, second = made.frames.put(0x09, SSID, 0, 200), made.frames.put(0x0D, b"12345678", 0, 200)
    assert made.errors(made.write(second[0])) == [ErrorCode.SEQUENCE]
    assert made.write(first[0]) == []
    assert made.errors(made.write(first[0])) == [ErrorCode.SEQUENCE]
    assert made.write(second[0]) == []
    (offer,) = made.say(0x0C)
    assert offer.credentials == Credentials(SSID, Secret("12345678"))


def test_every_connection_begins_at_0_without_a_key():
    made = pair(mtu=247)
    made.lose()
    made.phone = phone(security=False)
    made.connect()
    assert made.learned[-1].what == "joined"


def test_eight_phones_and_a_ninth():
    made = device()
    peers = [PHONE.__class__("blufi", f"phone {number}") for number in range(9)]
    for peer in peers:
        made.feed("", Connected(), peer, 0.0)
        made.feed("ff01", bytes.fromhex("0910000501000161"), peer, 0.0)
    assert len(made._links) == 8
    for peer in peers:
        made.feed("", Lost(), peer, 0.0)
    assert len(made._links) == 0


def test_two_phones_do_not_disturb_each_other():
    made = device()
    other = PHONE.__class__("ble", "other", 1)
    for peer in (PHONE, other):
        made.feed("", Connected(), peer, 0.0)
    made.feed("ff01", bytes.fromhex("0900000161"), PHONE, 0.0)
    made.feed("ff01", bytes.fromhex("0900000162"), other, 0.0)
    (offer,) = made.feed("ff01", bytes.fromhex("0c000100"), PHONE, 0.0)
    assert offer.credentials.ssid == b"a"
    told = made.tell(event(Step.JOINING, peer=PHONE), 0.0)
    assert {send.to for send in told} == {PHONE}


def test_an_echo_of_a_failed_try_is_told_again():
    made = plain_device()
    made.say(0x09, SSID)
    made.say(0x0C)
    assert made.messages(made.tell(event(Step.JOINING, Outcome.FAILED, failure=DENIED)))
    assert made.tell(Answer("errors", PHONE)) == []
    made.say(0x0C)
    (again,) = made.messages(made.tell(Answer("errors", PHONE)))
    assert Report.parse(again[1:]).reason == 15


def test_a_phone_that_came_back_hears_of_the_join():
    made = device()
    back = PHONE.__class__(PHONE.method, PHONE.address, 2)
    made.feed("", Connected(), back, 0.0)
    (report,) = made.tell(event(Step.JOINING, peer=PHONE, ssid="Home"), 0.0)
    assert report.to == back
    assert b"Home" in report.data


def test_the_log_can_be_asked_for():
    made = plain_device()
    assert made.say(0x4D, b'{"cmdType":4,"log":"1"}') == [Ask("log", PHONE)]
    assert made.messages(made.tell(Answer("log", PHONE, [b"a\r\n", b"b\r\n"]))) == [b"\x4da\r\nb\r\n"]


# --- the rest ---


def test_the_advertisement():
    made = blufi_profile("BLUFI_KITCHEN")
    assert made.advertising == bytes.fromhex("0201060303ffff")
    assert made.scan_response == b"\x0e\x09BLUFI_KITCHEN"
    assert len(blufi_profile("x" * 29).scan_response) == 31
    for name in ("", "x" * 30, "客" * 10):
        with pytest.raises(ConfigurationError):
            blufi_profile(name)
