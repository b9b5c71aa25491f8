"""thing.network: who owns a device, who may ask again, and products without Wi-Fi."""

from __future__ import annotations

import pytest

from qiot.model import Failure, Offer, Peer, Reason, Step
from qiot.protocols.base import Answer, Ask, Connected, Lost, Refused
from qiot.protocols.ble.thing import ThingDevice
from tests.protocols.ble.pair import PHONE, event, of
from tests.protocols.ble.thing_support import SET, ask, code_of, device, failed, said, setting

# --- owners ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["protco", "sentino"])
@pytest.mark.parametrize("force", [False, ...])
def test_a_bound_device_refuses_another_owner_and_changes_nothing(style, force):
    codec = device(style=style, bound=True)
    outputs = ask(codec, setting(force_bind=force))
    assert code_of(outputs)[-1] == 1802
    assert said(outputs)[-1]["type"] == "thing.network.set.response"
    assert not of(Offer, outputs)
    assert of(Refused, outputs)[0].failure.code == 1802
    assert codec.tell(event(Step.JOINING), 1.0) == []
    assert codec.bound


def test_a_bound_device_takes_another_owner_by_force():
    codec = device(bound=True)
    outputs = ask(codec, setting(force_bind=True))
    assert code_of(outputs) == [1701]
    assert of(Offer, outputs)[0].grant.params["force_bind"] == "true"


def bound_by_phone() -> ThingDevice:
    codec = device()
    ask(codec, SET)
    for each in (event(Step.JOINING), event(Step.BINDING), event(Step.BOUND)):
        codec.tell(each, 1.0)
    return codec


def test_who_bound_it_may_ask_again():
    """Phones connect again and send the request again where an answer was lost."""
    codec = bound_by_phone()
    later = Peer(PHONE.method, PHONE.address, 2)
    codec.feed("", Lost(), PHONE, 2.0)
    codec.feed("", Connected(), later, 3.0)
    outputs = ask(codec, SET, later)
    assert code_of(outputs) == [1701, 1006, 1801, 1703]
    assert not of(Offer, outputs)
    assert code_of(ask(codec, setting(bid="another"), later)) == [1802]


def test_a_phone_that_was_away_when_it_was_bound_is_no_other_owner():
    codec = device()
    ask(codec, SET)
    codec.feed("", Lost(), PHONE, 2.0)
    for each in (event(Step.JOINING), event(Step.BINDING), event(Step.BOUND)):
        codec.tell(each, 3.0)
    later = Peer(PHONE.method, PHONE.address, 2)
    codec.feed("", Connected(), later, 4.0)
    assert code_of(ask(codec, SET, later)) == [1701, 1006, 1801, 1703]
    assert code_of(ask(codec, setting(bid="another"), later)) == [1802]


def test_a_request_that_another_method_overtook_owns_nothing():
    codec = device()
    ask(codec, SET)
    codec.tell(event(Step.BOUND, peer=Peer("soft_ap", "1.2.3.4:5")), 1.0)
    assert code_of(ask(codec, SET)) == [1802]


def test_a_phone_that_comes_back_in_the_middle_hears_the_rest():
    codec = device()
    ask(codec, SET)
    later = Peer(PHONE.method, PHONE.address, 2)
    codec.feed("", Lost(), PHONE, 2.0)
    codec.feed("", Connected(), later, 3.0)
    ask(codec, SET, later)
    told = codec.tell(event(Step.BINDING), 4.0)
    assert code_of(told) == [1801]
    assert {each.to for each in told} == {later}


@pytest.mark.parametrize("lost_first", [True, False])
def test_a_phone_that_comes_back_hears_what_was_said_without_it(lost_first):
    codec = device()
    ask(codec, SET)
    steps = [lambda: codec.feed("", Lost(), PHONE, 2.0), lambda: codec.tell(event(Step.JOINING), 2.0)]
    for step in steps if lost_first else reversed(steps):
        step()
    later = Peer(PHONE.method, PHONE.address, 2)
    codec.feed("", Connected(), later, 3.0)
    assert code_of(ask(codec, SET, later)) == [1701, 1006]
    assert code_of(codec.tell(event(Step.BOUND), 4.0)) == [1801, 1703]


def test_what_failed_while_a_phone_was_away_begins_anew():
    codec = device()
    ask(codec, SET)
    codec.tell(event(Step.JOINING), 2.0)
    codec.feed("", Lost(), PHONE, 2.0)
    codec.tell(failed(Step.CONNECTING, Reason.MQTT_REFUSED), 3.0)
    later = Peer(PHONE.method, PHONE.address, 2)
    assert code_of(ask(codec, SET, later)) == [1701]


def test_another_method_binds_the_device():
    codec = device()
    codec.tell(event(Step.BOUND, peer=Peer("soft_ap", "1.2.3.4:5")), 1.0)
    assert codec.bound
    assert said(ask(codec, {"type": "device.information.get"}))[0]["data"]["bind"] is True


# --- products without Wi-Fi --------------------------------------------------------------------------------


def ble(action, **fields) -> dict:
    return {"type": "thing.network.set", "msgId": "45lkj", "data": {"ble": action, **fields}}


def test_a_product_without_wifi_is_bound():
    codec = device(wifi=False)
    outputs = ask(codec, ble("bind", force_bind=True))
    offer = of(Offer, outputs)[0]
    assert (offer.credentials, offer.reached) == (None, Step.BINDING)
    assert (offer.grant.cloud, offer.grant.params) == ("rlink", {"ble": "bind", "force_bind": "true"})
    assert code_of(outputs) == [1701]
    assert code_of(codec.tell(event(Step.BOUND), 1.0)) == [1801]
    assert codec.bound
    assert code_of(ask(codec, ble("bind", force_bind=False))) == [1802]


def test_the_bind_of_a_product_without_wifi_is_asked_for_again():
    codec = device()
    ask(codec, ble("bind"))
    codec.tell(event(Step.BINDING), 1.0)
    codec.tell(event(Step.BOUND), 1.0)
    assert code_of(ask(codec, ble("bind"))) == [1701, 1801]


def test_a_bind_that_fails():
    codec = device()
    ask(codec, ble("bind"))
    assert code_of(codec.tell(failed(Step.BINDING, Reason.TOKEN_REFUSED), 1.0)) == [1802]


@pytest.mark.parametrize("style", ["protco", "sentino"])
@pytest.mark.parametrize(
    ("action", "question", "good", "bad"), [("unbind", "unbind", 1803, 1804), ("init", "reset", 1805, 1806)]
)
def test_a_product_without_wifi_forgets_its_owner(style, action, question, good, bad):
    codec = device(bound=True, style=style)
    outputs = ask(codec, ble(action))
    assert of(Ask, outputs) == [Ask(question, PHONE)]
    assert not of(Offer, outputs)
    failure = Failure(Step.LISTENING, Reason.STORAGE)
    assert code_of(codec.tell(Answer(question, PHONE, failure=failure), 1.0)) == [bad]
    assert codec.bound
    ask(codec, ble(action))
    told = said(codec.tell(Answer(question, PHONE), 1.0))
    assert told[0]["code"] == good
    assert ("type" in told[0]) is (style == "protco")
    assert not codec.bound
    assert of(Offer, ask(codec, ble("bind", force_bind=False)))


def test_a_device_with_a_network_of_its_own():
    codec = device(wifi=False)
    offer = of(Offer, ask(codec, {"type": "thing.network.set", "data": {"bid": "b", "userId": "u"}}))[0]
    assert (offer.credentials, offer.reached) == (None, Step.JOINED)
    assert code_of(ask(codec, {"type": "thing.network.set", "data": {}})) == [1700]
