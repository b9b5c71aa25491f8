"""BluFi's phone side: devices that say nothing or too much, and frames that are lost, doubled or damaged."""

import pytest

from qiot.model import Offer, Outcome, Reason, Step
from qiot.protocols.base import Connected
from qiot.protocols.ble.blufi_phone import BluFiPlan
from qiot.protocols.ble.blufi_wire import Report
from tests.protocols.ble.blufi_support import (
    CREDENTIALS,
    DENIED,
    PASSWORD,
    TOKEN,
    Told,
    device,
    ending,
    pair,
    phone,
)
from tests.protocols.ble.pair import DEVICE, Pair, event, of, sent

# --- the phone ---


def test_a_device_that_says_nothing():
    made = pair(b=phone(), down=lambda data: [])
    made.wait(200)
    assert ending(made).failure.reason is Reason.TIMEOUT


def test_a_phone_that_is_never_told_of_its_subscription_begins_by_itself():
    made = phone()
    made.feed("", Connected(), DEVICE, 0.0)
    assert made.deadline() == 1.0
    assert sent(made.tick(1.0)) == [bytes.fromhex("1c000000")]


def test_a_lost_link_begins_anew():
    told = phone(wanted=["join"])
    made = pair(b=told, answer=lambda heard: ())
    made.lose()
    assert made.learned[-1].what == "lost"
    made._answer = Told()
    made.connect()
    assert ending(made).what == "joined"


def test_a_link_that_stays_lost():
    made = pair(answer=lambda heard: ())
    made.lose()
    made.wait(60)
    assert ending(made).failure.reason is Reason.TIMEOUT


def test_another_network_than_asked_for():
    made = pair(device(), phone(wanted=["join"], security=False), answer=lambda heard: ())
    report = Report(1, 0, ssid=b"neighbour").encode()
    outputs = made.phone.feed("ff02", bytes((0x3D, 4, 2, len(report))) + report, DEVICE, 0.0)
    assert outputs[-1].failure.reason is Reason.JOIN_OTHER
    assert outputs[-1].last


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_device_that_reports_no_failure_by_itself_is_asked(version):
    """ESP-IDF's example says nothing; from 1.3 on it tells whoever asks."""
    made = pair(device(version=version), phone(wanted=["join"]), answer=lambda heard: ())
    made.device.tell(event(Step.JOINING, Outcome.STARTED), made.now)
    made.wait(6)
    assert not made.learned[-1].last
    made.device.tell(event(Step.JOINING, Outcome.FAILED, failure=DENIED), made.now)  # on its way and lost
    made.wait(100)
    reason = Reason.WRONG_PASSWORD if version == "1.3" else Reason.JOIN_TIMEOUT
    assert ending(made).failure.reason is reason


def test_pauses_between_messages():
    made = pair(b=phone(security=False, plan=BluFiPlan(gap=0.5)))
    assert len(made.writes()) == 1
    made.wait(10)
    assert ending(made).what == "joined"


def test_secrets_that_come_back_in_custom_data_are_not_shown():
    made = pair(device(custom=lambda data: PASSWORD.reveal()), phone(wanted=["join", "custom"], custom=b"x"))
    assert ending(made).values["text"] == "***"


# --- frames that are lost, doubled, damaged, exchanged on the way ---


class Fault:
    """Does something to one write, counted from 0."""

    def __init__(self, at: int, kind: str) -> None:
        self.at, self.kind, self.count, self.kept = at, kind, -1, []

    def __call__(self, data: bytes) -> list[bytes]:  # noqa: PLR0911 - a table
        self.count += 1
        if self.kept:
            return [data, self.kept.pop()]
        if self.count != self.at:
            return [data]
        match self.kind:
            case "lost":
                return []
            case "doubled":
                return [data, data]
            case "reordered":
                self.kept.append(data)
                return []
            case "damaged":
                middle = len(data) // 2
                return [data[:middle] + bytes((data[middle] ^ 0x10,)) + data[middle + 1 :]]
            case _:
                return [data[:-1]]


@pytest.mark.parametrize("kind", ["lost", "doubled", "reordered", "cut"])
@pytest.mark.parametrize(("version", "mtu"), [("1.3", 23), ("1.4", 247), ("1.2", 64)])
def test_the_session_goes_on(kind, version, mtu):
    count = len(pair(device(version=version), mtu=mtu).writes())
    for at in range(count):
        made = pair(device(version=version), mtu=mtu, down=Fault(at, kind))
        made.wait(120)
        assert ending(made).failure is None, at
        assert of(Offer, made.heard)[-1].credentials == CREDENTIALS


@pytest.mark.parametrize("version", ["1.3", "1.4"])
def test_damaged_frames_are_noticed_once_the_link_is_protected(version):
    writes = pair(device(version=version), mtu=23).writes()
    first = next(number for number, data in enumerate(writes) if data[0] == 0x04)
    for at in range(first + 1, len(writes)):
        if not writes[at][1] & 0x02:
            continue  # connect goes without a checksum, as Espressif's library sends it
        made = pair(device(version=version), mtu=23, down=Fault(at, "damaged"))
        made.wait(120)
        assert ending(made).failure is None, at
        assert of(Offer, made.heard)[-1].credentials == CREDENTIALS


@pytest.mark.parametrize("kind", ["lost", "doubled", "reordered", "cut", "damaged"])
@pytest.mark.parametrize(("version", "security"), [("1.3", False), ("1.3", True), ("1.4", True)])
def test_whatever_happens_to_notifications_the_phone_comes_to_an_end(kind, version, security):
    wanted = [*(["security"] if security else []), "networks", "join", "status", "token"]

    def run(at: int) -> Pair:
        told = phone(token=TOKEN, wanted=wanted)
        made = pair(device(version=version), told, mtu=64, up=Fault(at, kind))
        made.wait(400)
        return made

    count = len(run(-2).notifications())
    for at in range(count):
        made = run(at)
        assert made.learned[-1].last
        assert ending(made) is made.learned[-1]
        assert made.phone.deadline() is None
        if kind == "doubled":
            assert made.learned[-1].failure is None
