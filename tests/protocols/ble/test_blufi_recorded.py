"""BluFi against what Espressif's own phone library and ESP-IDF's own device code have said to each other."""

import pytest

from qiot.model import Network, Outcome, Secret, Security, Step
from qiot.protocols.base import Answer, Ask, Connected, Learned, Mtu, Offer, Send, Subscribed
from qiot.protocols.ble.blufi import BluFiDevice
from qiot.protocols.ble.blufi_cipher import SealerV1
from qiot.protocols.ble.blufi_phone import BluFiPhone
from qiot.protocols.ble.blufi_security import KeyExchange
from qiot.protocols.ble.frames import parse, unseal
from tests.protocols.ble.pair import DEVICE, PHONE, event, sent, vector
from tests.protocols.ble.recordings import messages, recording

PLAIN, SECURE = "blufi_v1_session_plain_mtu23", "blufi_v1_session_secure_mtu23"
V2 = "blufi_v2_session_v1.4_secure_mtu247"
BSSID = "11:22:33:44:55:66"
NETWORKS = [
    Network(name.encode(), bytes(6), 1, signal, Security.WPA2)
    for name, signal in [("TP-LINK_2G", -48), ("客厅", -61), ("guest", -80)]
]


def no_random(count: int) -> bytes:
    raise AssertionError("a recorded exchange draws nothing")


def played_device(name: str, version: str) -> tuple[list[str], list[str], list]:
    """What our device says to the recorded phone, what the recorded one said, and what ours has heard."""
    found = recording(name)
    device = BluFiDevice(random=no_random, version=version, custom=lambda data: data, recorded=found.device)
    said, heard = [], []

    def carry_out(outputs) -> None:
        said.extend(each.hex() for each in sent(outputs))
        for output in outputs:
            if isinstance(output, Ask):
                carry_out(device.tell(Answer("scan", PHONE, networks=NETWORKS), 0.0))
            elif isinstance(output, Offer) and output.credentials is not None:
                heard.append(output.credentials)
                carry_out(device.tell(event(Step.JOINING, Outcome.STARTED), 0.0))
                carry_out(device.tell(event(Step.JOINING, bssid=BSSID), 0.0))
            elif not isinstance(output, Send):
                heard.append(output)

    carry_out(device.feed("", Connected(), PHONE, 0.0))
    carry_out(device.feed("", Mtu(found.mtu), PHONE, 0.0))
    for text in found.of("phone->dev"):
        carry_out(device.feed("ff01", bytes.fromhex(text), PHONE, 0.0))
    return said, found.of("dev->phone"), heard


@pytest.mark.parametrize("name", [PLAIN, SECURE])
def test_our_device_says_what_esp_idf_said(name):
    said, recorded, heard = played_device(name, "1.3")
    assert said == recorded
    events = dict(text.split(" ", 1) for text in recording(name).of("dev_ev") if " " in text)
    assert heard[0].ssid == bytes.fromhex(events["ssid"])
    assert heard[0].password == Secret(bytes.fromhex(events["passwd"]))


def test_our_device_understands_the_phone_of_version_2():
    said, recorded, heard = played_device(V2, "1.4")
    # The recording's device is no genuine one: it leaves the BSSID out of the answer to "status".
    status = next(number for number, text in enumerate(recorded) if text.startswith("3d07060d"))
    assert said[:status] == recorded[:status]
    assert len(said) == len(recorded)
    assert heard[0].ssid == "客厅AP".encode()
    assert heard[0].password == Secret("p@ssw0rd-long-enough-to-fragment")


def test_the_key_exchange_of_version_2_from_the_private_value():
    found = recording(V2)
    assert found.private is not None
    assert found.device is not None
    exchange = KeyExchange(2, lambda count: found.private[-count:])
    announced, parameters = messages(found.of("phone->dev"), 0x01)
    assert exchange.feed(announced) is None
    agreed = exchange.feed(parameters)
    assert agreed is not None
    public, sealer = agreed
    assert public == found.device.public
    op_mode = next(text for text in found.of("phone->dev") if text.startswith("08"))
    assert unseal(parse(bytes.fromhex(op_mode), exact=True), sealer) == b"\x01"


def test_the_cipher_of_version_1():
    mini = vector("blufi_crypto_mini")["aes_cfb_v1"]
    sealer = SealerV1(bytes.fromhex(mini["key"]))
    frame = parse(bytes.fromhex(mini["frame"]), exact=True)
    assert unseal(frame, sealer).hex() == mini["plain_data"]
    assert sealer.encrypt(frame.sequence, b"\x01") == frame.data


WISHES = {"NEG": "security", "SCAN": "networks", "STA": "join", "STATUS": "status", "CUSTOM": "custom"}


@pytest.mark.parametrize("name", [PLAIN, SECURE, V2])
@pytest.mark.parametrize("told", [False, True])
def test_our_phone_says_what_espressif_s_library_said(name, told):
    found = recording(name)
    scripts = [text.split() for text in found.of("script")]
    facts = {words[0]: words[1:] for words in scripts}
    phone = BluFiPhone(
        random=no_random,
        ssid=bytes.fromhex(facts["STA"][0]),
        password=Secret(bytes.fromhex(facts["STA"][1])),
        wanted=[WISHES.get(words[0], "close") for words in scripts if words[0] != "CONNECT"],
        custom=bytes.fromhex(facts["CUSTOM"][0]),
        recorded=found.phone,
    )
    phone.feed("", Connected(), DEVICE, 0.0)
    if told or found.mtu != 23:
        phone.feed("", Mtu(found.mtu), DEVICE, 0.0)
    outputs = list(phone.feed("", Subscribed("ff02"), DEVICE, 0.0))
    for text in found.of("dev->phone"):
        outputs += phone.feed("ff02", bytes.fromhex(text), DEVICE, 0.0)
    assert [each.hex() for each in sent(outputs)] == found.of("phone->dev")
    learned = [each for each in outputs if isinstance(each, Learned)]
    assert not [each for each in learned if each.failure is not None]
    assert learned[-1].last
    networks = next(each.networks for each in learned if each.what == "networks")
    assert [(each.ssid, each.signal) for each in networks] == [(each.ssid, each.signal) for each in NETWORKS]
    assert next(each for each in learned if each.what == "joined").values["bssid"] == BSSID
