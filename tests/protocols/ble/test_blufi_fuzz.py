"""Any octets, in any order: outputs or `ProtocolError`, and bounded memory."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from qiot.errors import ProtocolError
from qiot.model import Credentials, Event, Failure, Offer, Outcome, Peer, Reason, Secret, Step
from qiot.protocols.base import Answer, Connected, Lost, Mtu, Send, Subscribed
from qiot.protocols.ble.blufi import BluFiDevice
from qiot.protocols.ble.blufi_phone import BluFiPhone, BluFiPlan
from qiot.protocols.ble.btcombo import BtComboDevice
from qiot.protocols.ble.btcombo_phone import BtComboPhone, BtComboPlan
from qiot.protocols.ble.frames import MESSAGE_MAX

PEERS = [Peer("ble", f"phone {number}", number % 2) for number in range(12)]
TYPES = [subtype << 2 | kind for subtype in range(0x18) for kind in (0, 1)]


@st.composite
def frames(draw) -> bytes:
    """Frames that come far: right numbers, right lengths, small and wrong ones among them."""
    data = draw(st.binary(max_size=40))
    type_ = draw(st.sampled_from(TYPES) | st.integers(0, 255))
    control = draw(st.sampled_from([0, 0, 8, 0x10, 0x10, 4]) | st.integers(0, 255))
    if control & 0x10:
        data = draw(st.integers(0, 60)).to_bytes(2, "little") + data
    sequence, length = draw(st.integers(0, 12)), len(data) + draw(st.sampled_from([0, 0, 0, 0, 1]))
    return bytes((type_, control, sequence, length)) + data + draw(st.sampled_from([b"", b"", b"\0"]))


links = st.sampled_from(
    [Connected(), Lost(), Mtu(20), Mtu(517), Subscribed("ff02"), Subscribed("ff01", False)]
)
inputs = st.tuples(st.sampled_from(PEERS), frames() | st.binary(max_size=80) | links)
events = st.builds(
    Event,
    seq=st.just(1),
    t=st.just(0.0),
    attempt=st.just(1),
    step=st.sampled_from(Step),
    outcome=st.sampled_from(Outcome),
    peer=st.sampled_from([None, *PEERS]),
    failure=st.builds(Failure, step=st.just(Step.JOINING), reason=st.sampled_from(Reason)) | st.none(),
    detail=st.dictionaries(st.sampled_from(["ssid", "bssid", "signal", "again"]), st.text() | st.integers()),
)
answers = st.builds(
    Answer,
    what=st.sampled_from(["scan", "log", "errors", "identity"]),
    peer=st.sampled_from(PEERS),
    lines=st.lists(st.binary(max_size=50), max_size=5),
)


def numbered(texts: list) -> list:
    """The frames of one peer, with the numbers that are due, so that they come past the counter."""
    counts: dict[Peer, int] = {}
    out = []
    for peer, data in texts:
        if isinstance(data, bytes) and len(data) > 3:
            count = counts.get(peer, 0)
            counts[peer] = (count + 1) % 256
            out.append((peer, data[:2] + bytes((count,)) + data[3:]))
            continue
        out.append((peer, data))
    return out


def run_device(device, texts, news) -> None:
    for number, (peer, data) in enumerate(texts):
        try:
            outputs = list(device.feed("ff01", data, peer, float(number)))
        except ProtocolError:
            outputs = []
        if number < len(news):
            outputs += device.tell(news[number], float(number))
        for output in outputs:
            if isinstance(output, Send):
                assert len(output.data) <= 255 + 6
            if isinstance(output, Offer) and output.credentials is not None:
                assert isinstance(output.credentials, Credentials)
                assert 1 <= len(output.credentials.ssid or b"") <= 32
                assert len(output.credentials.password) <= 64
    assert len(device._links) <= 8
    for _, link in device._links:
        assert link.frames._parts.held <= MESSAGE_MAX


@settings(deadline=None, max_examples=150)
@given(st.lists(inputs, max_size=40), st.lists(events | answers, max_size=10), st.booleans(), st.booleans())
def test_blufi_device(texts, news, due, new):
    device = BluFiDevice(
        random=random.Random(1).randbytes, version="1.4" if new else "1.2", product_id="P", device_name="D"
    )
    run_device(device, numbered(texts) if due else texts, news)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(inputs, max_size=40),
    st.lists(events | answers, max_size=10),
    st.sampled_from(["v1", "v2", "v3"]),
    st.booleans(),
)
def test_btcombo_device(texts, news, dialect, continuations):
    device = BtComboDevice(product_id="P", device_name="D", dialect=dialect, continuations=continuations)
    run_device(device, texts, news)
    for _, link in device._links:
        assert len(link.rest) <= 261


def run_phone(phone, texts) -> None:
    peer, now = PEERS[0], 0.0
    phone.feed("", Connected(), peer, now)
    phone.feed("", Subscribed("ff02"), peer, now)
    for _, data in texts:
        now += 0.4
        for output in phone.feed("ff02", data, peer, now):
            assert "s3cret-pass" not in repr(output)
        while (deadline := phone.deadline()) is not None and deadline <= now:
            phone.tick(deadline)
    for _ in range(200):
        if (deadline := phone.deadline()) is None:
            break
        now = max(now, deadline)
        phone.tick(now)
    assert phone.deadline() is None


@settings(deadline=None, max_examples=100)
@given(st.lists(inputs, max_size=40), st.booleans(), st.booleans())
def test_blufi_phone(texts, security, due):
    phone = BluFiPhone(
        random=random.Random(1).randbytes,
        ssid=b"Home",
        password=Secret("s3cret-pass"),
        token=Secret("t"),
        security=security,
        wanted=["networks", "join", "status", "custom", "token", "close"],
        custom=b"x",
        plan=BluFiPlan(gap=0.1),
    )
    run_phone(phone, numbered(texts) if due else texts)


@settings(deadline=None, max_examples=100)
@given(st.lists(inputs, max_size=40), st.sampled_from([None, "v1", "v2", "v3"]), st.booleans())
def test_btcombo_phone(texts, dialect, due):
    phone = BtComboPhone(
        ssid=b"Home",
        password=Secret("s3cret-pass"),
        token=Secret("t"),
        dialect=dialect,
        retries=[Secret("another-one")],
        log="always",
        plan=BtComboPlan(gap=0.1),
    )
    run_phone(phone, numbered(texts) if due else texts)
