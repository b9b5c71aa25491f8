"""Any octets to LLSync and thing.network, on either side: outputs, never an error, in bounded memory."""

from __future__ import annotations

import contextlib
import json

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qiot.errors import ProtocolError
from qiot.model import Credentials, Failure, Network, Outcome, Peer, Reason, Secret, Security, Step
from qiot.protocols.base import Answer, Connected, Lost, Mtu, Output, Subscribed
from qiot.protocols.ble.llsync import LLSyncDevice
from qiot.protocols.ble.llsync_frames import Down, Slices, Up, packets, wifi_groups
from qiot.protocols.ble.llsync_phone import LLSyncPhone
from qiot.protocols.ble.thing import ThingDevice
from qiot.protocols.ble.thing_frames import Assembler, frames
from qiot.protocols.ble.thing_messages import parse_object, parse_request
from qiot.protocols.ble.thing_phone import ThingPhone
from tests.protocols.ble.pair import event

PEERS = [Peer("ble", f"00:00:00:00:00:{number:02x}", number % 2) for number in range(12)]
HOME = Credentials(b"home", Secret("12345678"))
JSON = json.dumps(
    {"type": "thing.network.set", "data": {"sid": "home", "pw": "12345678", "bid": "1", "mq": "h", "port": 1}}
).encode()

CODECS = {
    "llsync device": lambda: LLSyncDevice(device_name="TEST2"),
    "llsync phone": lambda: LLSyncPhone(credentials=[HOME, HOME], token=Secret("t"), log=True),
    "thing device": lambda: ThingDevice(product_id="p", uuid="u", random=bytes, wall=lambda: 1.5),
    "sentino device": lambda: ThingDevice(
        product_id="p", uuid="u", secret=Secret("s"), style="sentino", random=bytes, wall=lambda: 1.5
    ),
    "thing phone": lambda: ThingPhone(
        credentials=[HOME, HOME], scan=True, uuid="u", secret=Secret("s"), random=bytes, wall=lambda: 1.5
    ),
}
PORTS = {"llsync": ("ffe1", "ffe3"), "thing": ("2b11", "2b10"), "sentino": ("2b11", "2b10")}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
keys = st.sampled_from(
    ["sid", "pw", "bid", "userId", "mq", "port", "mqttSslPort", "country", "tz", "areaCode", "force_bind",
     "ble", "bind", "unbind", "init", "wifis", "sign", "ssid", "rssi", "security"]
)  # fmt: skip
types = st.sampled_from(
    ["thing.network.set", "thing.network.getwifis", "device.information.get", "thing.network.set.response",
     "thing.network.getwifis.response", "device.information.get.response", "sys.event.trigger.response", "x"]
)  # fmt: skip
messages = st.fixed_dictionaries(
    {"type": types | json_values},
    optional={
        "ts": json_values,
        "msgId": json_values,
        "scan": json_values,
        "code": json_values
        | st.sampled_from([0, 1006, 1007, 1503, 1700, 1701, 1703, 1801, 1802, 1803, 1805]),
        "data": json_values | st.dictionaries(keys, json_values | st.sampled_from(["bind", "init", "home"])),
    },
).map(lambda message: json.dumps(message).encode())

llsync_octets = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda kind, rest: bytes([kind]) + rest, st.sampled_from([*Down, *Up]), st.binary(max_size=520)
    ),
    st.sampled_from(
        [*packets(Down.SET_WIFI, wifi_groups(b"n" * 30, b"p" * 30), 20), *packets(Up.LOG, [b"l" * 60], 20)]
    ),
    st.sampled_from(
        [
            b"\xe3",
            b"\xe5",
            b"\xe4\0\1t",
            b"\xe0\0\1\0",
            b"\xe1\0\1\0",
            b"\xe2\0\x08\1\0\0\4home",
            b"\xe3\0\1\0",
        ]
    ),
).map(lambda data: [data])
thing_octets = st.one_of(
    st.binary(max_size=140).map(lambda data: [data]),
    messages.map(frames),
    st.sampled_from(frames(JSON, 30)).map(lambda data: [data]),
    st.binary(max_size=300).map(frames),
)
events = st.sampled_from(
    [Connected(), Lost(), Mtu(23), Mtu(517), Mtu(0), Mtu(70000), Subscribed("ffe3"), Subscribed("2b10")]
).map(lambda data: [data])
failures = st.none() | st.builds(
    Failure, st.sampled_from(Step), st.sampled_from(Reason), st.none() | st.integers(-5000, 5000)
)
news = st.builds(
    event,
    st.sampled_from(Step),
    st.sampled_from(Outcome),
    peer=st.none() | st.sampled_from(PEERS),
    failure=failures,
    msg_id=st.text(max_size=5),
) | st.builds(
    Answer,
    st.sampled_from(["scan", "log", "errors", "identity", "unbind", "reset"]),
    st.sampled_from(PEERS),
    lines=st.lists(st.binary(max_size=600), max_size=4),
    networks=st.lists(
        st.builds(
            Network,
            st.binary(max_size=32),
            st.just(bytes(6)),
            st.integers(1, 14),
            st.integers(-100, 0),
            st.sampled_from(Security),
        ),
        max_size=60,
    ),
    failure=failures,
)


def size(value, seen: set[int]) -> int:
    """Octets and items that a codec keeps, counted through its fields."""
    if id(value) in seen or isinstance(value, type) or callable(value):
        return 0
    seen.add(id(value))
    if isinstance(value, bytes | bytearray | str | Secret):
        return len(value)
    if isinstance(value, dict):
        inside = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple):
        inside = value
    elif attrs.has(type(value)):
        inside = [getattr(value, each.name) for each in attrs.fields(type(value))]
    else:
        inside = list(getattr(value, "__dict__", {}).values())
    return sum(1 + size(each, seen) for each in inside)


def test_the_measure_sees_what_links_keep():
    codec = CODECS["thing device"]()
    before = size(codec, set())
    for peer in PEERS:
        codec.feed("2b11", frames(b"x" * 4000)[0], peer, 0.0)
    assert size(codec, set()) - before > 8 * 118


@pytest.mark.parametrize("name", CODECS)
@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_input(name, data):
    codec = CODECS[name]()
    protocol = name.partition(" ")[0]
    octets = llsync_octets if protocol == "llsync" else thing_octets
    now = 0.0
    for _ in range(data.draw(st.integers(1, 12))):
        now += data.draw(st.sampled_from([0.0, 0.5, 20.0]))
        peer = data.draw(st.sampled_from(PEERS[:2]) | st.sampled_from(PEERS))
        outputs: list[Output] = []
        for each in data.draw(octets | octets | events):
            outputs += codec.feed(data.draw(st.sampled_from(PORTS[protocol])), each, peer, now)
        outputs += codec.tell(data.draw(news), now)
        due = codec.deadline()
        if due is not None and due <= now:
            outputs += codec.tick(now)
            again = codec.deadline()
            assert again is None or again > now
        assert len(repr(outputs)) < 2_000_000
    assert size(codec, set()) < 8 * 20_000


@given(st.binary(max_size=300))
def test_parsers_raise_nothing_else(data):
    for parse in (parse_object, Assembler().feed, lambda each: each and Slices().feed(each)):
        with contextlib.suppress(ProtocolError):
            parse(data)


@given(messages)
def test_any_request(message):
    with contextlib.suppress(ProtocolError):
        request = parse_request(parse_object(message))
        assert request.credentials is None or 1 <= len(request.credentials.ssid) <= 32


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 2), max_size=60))
def test_the_pair_goes_on_after_any_loss(fates):
    """Packets are lost, doubled or pass; afterwards all pass, and the device takes the network."""
    codec = CODECS["thing device"]()
    codec.feed("", Connected(), PEERS[0], 0.0)
    for packet, fate in zip(frames(JSON, 10) * 8, fates, strict=False):
        for _ in range(fate):
            codec.feed("2b11", packet, PEERS[0], 0.0)
    outputs = [each for packet in frames(JSON, 10) for each in codec.feed("2b11", packet, PEERS[0], 1.0)]
    assert any(type(each).__name__ == "Offer" for each in outputs)
