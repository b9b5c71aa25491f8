"""BT-Combo, both sides, three dialects, against what Tencent's mini program writes and understands."""

import json

import pytest

from qiot.model import Credentials, Failure, Grant, Offer, Outcome, Peer, Reason, Secret, Step
from qiot.protocols.base import (
    Answer,
    Ask,
    Connected,
    Drop,
    Learned,
    Lost,
    Mtu,
    Refused,
    Seen,
    Send,
    Subscribed,
)
from qiot.protocols.ble.btcombo import BtComboDevice, btcombo_profile
from qiot.protocols.ble.btcombo_phone import BtComboPhone, BtComboPlan
from qiot.protocols.ble.frames import Reassembler, parse
from tests.protocols.ble.pair import DEVICE, PHONE, Pair, event, of, sent, session, vector

TOKEN = "69f978dfbb48ec40cadb6d9af470d0f6"
PLUGIN = vector("tencent_phone_plugin")
PROBE_ANSWERS = {0: None, 1: "1d04000100", 2: "410400020102", 512: "4104000401020200"}
DIALECTS = {0: "v1", 1: "v1", 2: "v2", 512: "v3"}
MORE = vector("tencent_phone_plugin_more")["runs"]
RUNS = [pytest.param(run, id=str(run["assumedDeviceVersion"])) for run in PLUGIN["btcombo_phone_tx"]]
DENIED = Failure(Step.JOINING, Reason.WRONG_PASSWORD)
LONG = "TP-LINK_5G_客厅_long_name_0001".encode()
QUICK = BtComboPlan(gap=0.0)


def device(dialect: str = "v2", **options) -> BtComboDevice:
    return BtComboDevice(
        **{"product_id": "L4WG9V9M2M", "device_name": "TEST2", "dialect": dialect, **options}
    )


def phone(**options) -> BtComboPhone:
    given = {"ssid": b"tencent", "password": Secret("12345678"), "token": Secret(TOKEN), "plan": QUICK}
    return BtComboPhone(**{**given, **options})


def ready(dialect: str = "v2", mtu: int = 23, **options) -> BtComboDevice:
    made = device(dialect, **options)
    made.feed("", Connected(), PHONE, 0.0)
    made.feed("", Mtu(mtu), PHONE, 0.0)
    made.feed("", Subscribed("ff02"), PHONE, 0.0)
    return made


def write(made: BtComboDevice, *texts: str) -> list:
    return [output for text in texts for output in made.feed("ff01", bytes.fromhex(text), PHONE, 0.0)]


def hexed(outputs) -> list[str]:
    return [data.hex() for data in sent(outputs)]


# --- what the mini program writes ---


@pytest.mark.parametrize("run", RUNS)
def test_our_phone_writes_what_the_mini_program_writes(run):
    made = phone(
        ssid=run["ssid"].encode(), password=Secret(run["password"]), token=Secret(run["token"]), log="always"
    )
    outputs = [*made.feed("", Connected(), DEVICE, 0.0), *made.feed("", Subscribed("ff02"), DEVICE, 0.0)]
    answer = PROBE_ANSWERS[run["assumedDeviceVersion"]]
    if answer is None:
        assert made.deadline() == 3.0
        outputs += made.tick(3.0)
    else:
        outputs += made.feed("ff02", bytes.fromhex(answer), DEVICE, 0.5)
    v1 = DIALECTS[run["assumedDeviceVersion"]] == "v1"
    ssid = run["ssid"].encode()
    report = bytes((0x11 if v1 else 0x3D, 4, 1, 5 + len(ssid), 1, 0, 0, 2, len(ssid))) + ssid
    outputs += made.feed("ff02", report, DEVICE, 4.0)
    result = b'{"status":0,"productId":"P","deviceName":"D"}\r\n'
    outputs += made.feed("ff02", bytes((0x15 if v1 else 0x4D, 4, 2, len(result))) + result, DEVICE, 5.0)
    assert hexed(outputs) == [frame for step in run["steps"] for frame in step["frames"]]


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("mtu", [23, 64, 247, 517])
def test_our_device_understands_what_the_mini_program_writes(run, mtu):
    made = ready(DIALECTS[run["assumedDeviceVersion"]], mtu)
    heard = [
        output
        for step in run["steps"]
        for output in write(made, *step["frames"])
        if not isinstance(output, Send)
    ]
    credentials = Credentials(run["ssid"].encode(), Secret(run["password"]))
    grant = Grant("tencent", Secret(run["token"]))
    assert heard == [Offer(PHONE, credentials), Offer(PHONE, grant=grant), Ask("log", PHONE)]


@pytest.mark.parametrize("run", RUNS)
def test_the_answer_to_the_probe(run):
    version = run["assumedDeviceVersion"]
    made = ready(DIALECTS[version])
    assert hexed(write(made, "1c00000000")) == [PROBE_ANSWERS[version or 1]]
    accepted = [case for case in PLUGIN["btcombo_device_tx_acceptance"] if case["case"] == "version"]
    answers = {case["device_tx"][0]: case["result"].get("version") for case in accepted}
    assert answers[PROBE_ANSWERS[version or 1]] == (version or 1)


@pytest.mark.parametrize("run", MORE, ids=lambda run: f"{run['ssid'][:12]}-{run['assumedDeviceVersion']}")
def test_long_chinese_and_open_networks_and_every_cut(run):
    dialect, ssid = DIALECTS[run["assumedDeviceVersion"]], run["ssid"].encode()
    made = phone(ssid=ssid, password=Secret(run["password"]), dialect=dialect, log="never")
    outputs = [*made.feed("", Connected(), DEVICE, 0.0), *made.feed("", Subscribed("ff02"), DEVICE, 0.0)]
    outputs += made.tick(3.0)
    report = bytes((0x11 if dialect == "v1" else 0x3D, 4, 0, 5 + len(ssid), 1, 0, 0, 2, len(ssid))) + ssid
    outputs += made.feed("ff02", report, DEVICE, 4.0)
    assert hexed(outputs) == run["frames"]
    told = ready(dialect)
    credentials, grant = of(Offer, write(told, *run["frames"]))
    assert credentials.credentials == Credentials(ssid, Secret(run["password"]))
    assert grant.grant == Grant("tencent", Secret(run["token"]))


# --- what it understands ---


def wifi_report(outputs) -> list[str]:
    return [text for text in hexed(outputs) if text[:2] in ("11", "3d")]


@pytest.mark.parametrize("case", PLUGIN["btcombo_device_tx_acceptance"], ids=lambda case: case["case"])
def test_our_phone_judges_a_device_as_the_mini_program_does(case):
    if case["case"] == "version":
        made = phone()
        made.feed("", Connected(), DEVICE, 0.0)
        made.feed("", Subscribed("ff02"), DEVICE, 0.0)
        outputs = made.feed("ff02", bytes.fromhex(case["device_tx"][0]), DEVICE, 0.0)
        known = case["result"].get("version", 1)  # the PDF's own answer: the mini program cannot read it
        assert outputs[0] == Learned("version", {"dialect": DIALECTS[known]})
        return
    ssid = bytes.fromhex(case["result"].get("ssid_hex", "")) or b"tencent"
    asked = b"tencent" if "without TLV type" in case["case"] else ssid
    made = phone(ssid=asked, log="never", dialect=DIALECTS[case["assumedDeviceVersion"]])
    made.feed("", Connected(), DEVICE, 0.0)
    made.feed("", Subscribed("ff02"), DEVICE, 0.0)
    made.tick(3.0)
    if case["case"].startswith("token_reply"):
        v1 = case["assumedDeviceVersion"] == 1
        report = bytes((0x11 if v1 else 0x3D, 4, 0, 3, 1, 0, 0))
        made.feed("ff02", report, DEVICE, 4.0)
    outputs = [
        output for text in case["device_tx"] for output in made.feed("ff02", bytes.fromhex(text), DEVICE, 5.0)
    ]
    (learned,) = [each for each in outputs if isinstance(each, Learned)]
    if "productId" in case["result"] or "productID" in case["result"]:
        assert learned.values["product_id"] == "L4WG9V9M2M"
        assert learned.values["device_name"] == "TEST2"
        assert learned.last
        # Ours looks at the status, which the mini program passes over.
        assert (learned.failure is None) == (case["result"]["status"] == 0)
    elif "err" in case["result"]:
        assert learned.failure is not None
        assert learned.last
    elif "without TLV type" in case["case"]:
        assert learned.failure is not None
    else:
        assert learned.what == "joined"
        assert learned.failure is None


def read_as_the_mini_program(frames: list[str]) -> bytes | None:
    """The SSID that the plug-in takes from a Wi-Fi report: fixed places; None where it sees a failure."""
    ssid, length, cut = b"", 0, False
    for number, text in enumerate(frames):
        data = bytes.fromhex(text)
        more = data[1] == 0x14
        if number == 0:
            cut = more
            if data[7 if cut else 5] != 0:
                return None
            start = 11 if cut else 9
            length, ssid = data[start - 1] if len(data) >= start else 0, data[start:]
        else:
            ssid += data[6 if more else 4 :]
        if not cut or len(ssid) == length:
            return ssid
    raise AssertionError("the mini program waits for more")


@pytest.mark.parametrize("dialect", ["v1", "v2", "v3"])
@pytest.mark.parametrize("mtu", [23, 30, 64, 185, 517])
@pytest.mark.parametrize("ssid", [b"x", b"tencent", LONG, "我的家".encode(), b"\xbc\xd2" * 16])
def test_the_mini_program_understands_our_report(dialect, mtu, ssid):
    made = ready(dialect, mtu)
    write(made, "09000020"[:6] + f"{len(ssid):02x}" + ssid.hex(), "05000106112233445566", "0c00020000")
    told = made.tell(event(Step.JOINING, bssid="11:22:33:44:55:66", signal=-50), 0.0)
    assert read_as_the_mini_program(wifi_report(told)) == ssid
    failed = made.tell(event(Step.JOINING, Outcome.FAILED, failure=DENIED), 0.0)
    assert read_as_the_mini_program(wifi_report(failed)) is None


def test_the_frames_of_the_pdf():
    made = ready("v1", 64)
    write(
        made, "1c00000000", "0800010101", "0900020774656e63656e74", "0d0003083132333435363738", "0c00040000"
    )
    assert hexed(made.tell(event(Step.JOINING), 0.0)) == ["1104010c010000020774656e63656e74"]
    failed = made.tell(event(Step.JOINING, Outcome.FAILED, failure=DENIED), 0.0)
    assert hexed(failed)[0] == "11040203010100"
    assert b"wrong password" in sent(failed)[1]
    assert sent(failed)[1][0] == 0x1D
    assert hexed(write(made, "08080501 01".replace(" ", ""))) == ["0004040105"]
    assert hexed(write(made, "18000600")) == ["190405020102"]
    assert hexed(write(made, "10000700")) == ["11040603010100"]
    assert write(made, "1c000800") == [Ask("log", PHONE)]
    log = made.tell(Answer("log", PHONE, [b"one\r\n", b"two\r\n"]), 0.0)
    assert [(data[0], data[4:]) for data in sent(log)] == [(0x1D, b"one\r\n"), (0x1D, b"two\r\n")]
    assert write(made, "14000900") == [Drop(PHONE)]


@pytest.mark.parametrize(("dialect", "type_"), [("v1", "15"), ("v2", "4d"), ("v3", "4d")])
def test_the_bind_result(dialect, type_):
    case = next(
        case
        for case in PLUGIN["btcombo_device_tx_acceptance"]
        if case["case"].endswith("productId") and case["device_tx"][0].startswith(type_)
    )
    made = ready(dialect)
    assert hexed(made.tell(event(Step.BINDING), 0.0)) == case["device_tx"]


@pytest.mark.parametrize("dialect", ["v1", "v2"])
def test_a_failed_bind_is_told_once_to_who_waits_for_it(dialect):
    made = ready(dialect, 517)
    failed = event(Step.BINDING, Outcome.FAILED, failure=Failure(Step.BINDING, Reason.TOKEN_REFUSED, code=5))
    results = [data for data in sent(made.tell(failed, 0.0)) if b"productId" in data]
    assert results == []
    token = b"t" if dialect == "v1" else b'{"cmdType":3,"token":"t"}'
    outputs = made.feed(
        "ff01", bytes((0x15 if dialect == "v1" else 0x4D, 0, 0, len(token))) + token, PHONE, 0.0
    )
    assert b'"status":5' in sent(outputs)[0]
    assert [data for data in sent(made.tell(failed, 0.0)) if b"productId" in data] == []


# --- the whole way ---


@pytest.mark.parametrize("dialect", ["v1", "v2", "v3"])
@pytest.mark.parametrize("mtu", [20, 23, 64, 185, 247, 517])
@pytest.mark.parametrize(
    ("ssid", "password"),
    [
        (b"tencent", b"12345678"),
        (LONG, b"p@ssw0rd-with-32-chars-length!!!"),
        (b"open", b""),
        (b"x" * 32, b"y" * 64),
    ],
)
def test_the_whole_way(dialect, mtu, ssid, password):
    made = Pair(
        device(dialect),
        phone(ssid=ssid, password=Secret(password), plan=BtComboPlan(gap=0.3)),
        notify="ff02",
        answer=session(),
    )
    made.device.feed("", Connected(), PHONE, 0.0)
    made.connect()
    made.device.feed("", Mtu(mtu), PHONE, 0.0)
    made.wait(10)
    made.tell(event(Step.BINDING))
    assert [each.what for each in made.learned] == ["version", "joined", "bound"]
    assert made.learned[-1].last
    assert made.learned[-1].values == {"product_id": "L4WG9V9M2M", "device_name": "TEST2", "status": 0}
    credentials, grant = of(Offer, made.heard)
    assert credentials.credentials == Credentials(ssid, Secret(password))
    assert grant.grant == Grant("tencent", Secret(TOKEN))
    assert all(len(frame) <= max(mtu - 3, 10) for frame in made.notifications()[1:])
    if dialect == "v3":
        assert all(len(frame) <= 20 for frame in made.writes())


def test_a_wrong_password_is_tried_again_on_the_same_connection():
    failures = [DENIED, None]

    def answer(heard):
        if not isinstance(heard, Offer) or heard.credentials is None:
            return []
        failure = failures.pop(0)
        return [event(Step.JOINING, Outcome.OK if failure is None else Outcome.FAILED, failure=failure)]

    told = phone(password=Secret("wrong-one"), retries=[Secret("12345678")], token=None)
    made = Pair(device(reasons=True), told, notify="ff02", answer=answer)
    made.connect()
    refused, joined = [each for each in made.learned if each.what == "joined"]
    assert refused.failure.reason is Reason.WRONG_PASSWORD
    assert joined.last


@pytest.mark.parametrize("dialect", ["v1", "v2", "v3"])
def test_a_failed_join_ends_with_the_log(dialect):
    made = Pair(device(dialect), phone(), notify="ff02", answer=session(joined=DENIED))
    made.connect()
    made.wait(5)
    assert made.learned[-1].last
    assert made.learned[-1].failure.reason is Reason.JOIN_OTHER
    text = "".join(str(each.values["text"]) for each in made.learned if each.what == "log")
    assert text.endswith("one\r\ntwo\r\n")


def test_a_device_that_says_nothing():
    made = Pair(device(), phone(), notify="ff02", up=lambda data: [])
    made.connect()
    made.wait(100)
    assert made.learned[-1].last
    assert made.learned[-1].failure.reason is Reason.JOIN_TIMEOUT


def test_no_bind_result():
    made = Pair(device(), phone(log="never"), notify="ff02", answer=lambda heard: [event(Step.JOINING)][:1])
    made.connect()
    made.wait(100)
    assert made.learned[-1].failure.reason is Reason.TOKEN_NO_REPLY


def test_a_lost_link_begins_anew_with_number_0():
    made = Pair(device(), phone(), notify="ff02")
    made.connect()
    before = len(made.writes())
    made.lose()
    made._answer = session()
    made.connect()
    assert made.writes()[before] == bytes.fromhex("1c00000000")
    made.tell(event(Step.BINDING))
    assert made.learned[-1].what == "bound"


def test_a_link_that_stays_lost():
    made = Pair(device(), phone(), notify="ff02")
    made.connect()
    made.lose()
    made.wait(60)
    assert made.learned[-1].failure.reason is Reason.TIMEOUT


# --- quirks ---


def test_a_token_before_the_network():
    made = ready("v1")
    first = write(made, "150000" + "20" + TOKEN.encode().hex())
    then = write(made, "0900010161", "0c000200")
    grant = Grant("tencent", Secret(TOKEN))
    assert first == [Offer(PHONE, grant=grant)]
    assert then == [Offer(PHONE, Credentials(b"a", Secret(b"")), grant)]


def test_gaps_and_copies_are_tolerated():
    made = ready()
    heard = write(made, "0900090161", "0900090161", "0d00030431323334", "0c000700", "0c000700")
    assert heard == [Offer(PHONE, Credentials(b"a", Secret("1234")))]


def test_values_that_a_stack_has_split():
    frame = f"4d000538{json.dumps({'cmdType': 3, 'token': TOKEN}, separators=(',', ':')).encode().hex()}"
    made = ready()
    parts = [frame[start : start + 40] for start in range(0, len(frame), 40)]
    assert len(parts) == 3
    assert write(made, *parts) == [Offer(PHONE, grant=Grant("tencent", Secret(TOKEN)))]
    off = write(ready(continuations=False), *parts)
    assert not of(Offer, off)
    assert of(Refused, off)


def test_a_split_value_whose_rest_does_not_come():
    made = ready()
    assert write(made, "0900000761") == []
    outputs = write(made, "0900010162", "0c000200")
    assert of(Refused, outputs)
    assert of(Offer, outputs)[0].credentials == Credentials(b"b", Secret(b""))


@pytest.mark.parametrize(
    "text",
    [
        "0900002100" + "61" * 33,
        "0d000041" + "61" * 65,
        "0500000511223344ff",
        "4d00000161",
        "4d0000027b7d",
        "4d00000d7b22636d6454797065223a397d",
        "0901000161",
        "09020001610000",
        "09",
        "",
    ],
)
def test_bad_input_is_refused_and_forgotten(text):
    made = ready(continuations=False)
    (refused,) = write(made, text)
    assert isinstance(refused, Refused)
    assert isinstance(write(made, "0900050161", "0c000600")[0], Offer)


@pytest.mark.parametrize("token", [b"", b"x" * 33, b"\xff", b"a\x07b"])
def test_bad_tokens_of_v1(token):
    (refused,) = write(ready("v1"), f"150000{len(token):02x}{token.hex()}")
    assert refused.failure.reason is Reason.BAD_FIELD


def test_connect_without_a_network_is_reported():
    outputs = write(ready(), "0c000000")
    assert hexed(outputs) == ["3d040003010100"]
    assert of(Refused, outputs)[0].failure.reason is Reason.BAD_FIELD


def test_status_close_and_unknown_types_of_v2():
    made = ready()
    assert hexed(write(made, "1400000000")) == ["3d040003010100"]
    made.tell(event(Step.JOINING, Outcome.STARTED), 0.0)
    assert hexed(write(made, "1400010000")) == ["3d040103010200"]
    assert isinstance(write(made, "7d000200")[0], Seen)
    assert write(made, "0000030100") == []
    assert write(made, "2000040000") == [Drop(PHONE)]


def test_an_echo_of_a_failed_try_and_a_repeated_connect():
    made = ready()
    write(made, "0900000161", "0c000100")
    made.tell(event(Step.JOINING, Outcome.FAILED, failure=DENIED), 0.0)
    assert made.tell(Answer("errors", PHONE), 0.0) == ()
    write(made, "0c000200")
    assert hexed(made.tell(Answer("errors", PHONE), 0.0)) == ["3d040103010100"]
    write(made, "0c000300")
    made.tell(event(Step.JOINING), 0.0)
    assert made.tell(event(Step.LISTENING, again=True), 0.0) == []
    write(made, "0c000400")
    assert hexed(made.tell(event(Step.LISTENING, again=True), 0.0)) == [
        "3d04030601000002 0161".replace(" ", "")
    ]


def test_who_waits_when_the_session_ends_is_told():
    made = ready()
    made.feed("", Connected(), Peer("ble", "other", 1), 0.0)
    write(made, "0900000161", "0c000100")
    write(made, "4d000319" + b'{"cmdType":3,"token":"t"}'.hex())
    made.tell(event(Step.JOINING, Outcome.STARTED), 0.0)
    timeout = Failure(Step.JOINING, Reason.TIMEOUT)
    told = made.tell(event(Step.FAILED, Outcome.FAILED, peer=None, failure=timeout), 0.0)
    assert {send.to for send in told} == {PHONE}
    assert hexed(told)[0] == "3d040003010100"
    assert b'"status"' in b"".join(sent(told)[1:])


def test_two_phones_and_a_lost_one():
    made = ready()
    other = Peer("ble", "other", 1)
    made.feed("", Connected(), other, 0.0)
    write(made, "0900000161", "0c000100")
    told = made.tell(event(Step.JOINING, peer=other), 0.0)
    assert {send.to for send in told} == {other}
    made.feed("", Lost(), PHONE, 0.0)
    assert made.tell(event(Step.JOINING), 0.0) == []


def test_the_log_of_v2_is_one_message():
    made = ready(mtu=23)
    parts = Reassembler()
    found = []
    for data in sent(made.tell(Answer("log", PHONE, [b"a line of some length\r\n"] * 3), 0.0)):
        frame = parse(data, exact=True)
        found.append(parts.feed(frame, frame.data)[0])
    assert [each for each in found if each is not None] == [b"a line of some length\r\n" * 3]


def test_the_advertisement():
    made = btcombo_profile()
    assert made.advertising == bytes.fromhex("0201060303ffff")
    assert made.scan_response == b"\x09\x09BLECOMBO"
    assert made.characteristics["ff02"] == {"read", "write", "notify"}
