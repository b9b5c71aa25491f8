"""BluFi devices, phones and sessions for the tests."""

import random
from collections.abc import Sequence

from qiot.model import Credentials, Failure, Network, Offer, Outcome, Reason, Secret, Security, Step
from qiot.protocols.base import Answer, Ask, Connected, Mtu
from qiot.protocols.ble.blufi import BluFiDevice
from qiot.protocols.ble.blufi_phone import BluFiPhone
from qiot.protocols.ble.frame_link import FrameLink
from tests.protocols.ble.pair import PHONE, Pair, event, sent

SSID, PASSWORD, TOKEN = "客厅AP".encode(), Secret("p@ssw0rd-long-enough-to-fragment"), Secret("6" * 32)
CREDENTIALS = Credentials(SSID, PASSWORD)
NETWORKS = (
    Network(SSID, bytes.fromhex("112233445566"), 6, -48, Security.WPA2),
    Network(b"", bytes(6), 1, -50, Security.OPEN),
    Network(b"guest", bytes(6), 11, -80, Security.OPEN),
)
DENIED = Failure(Step.JOINING, Reason.WRONG_PASSWORD)


def octets(seed: int = 1):
    return random.Random(seed).randbytes


def device(**options) -> BluFiDevice:
    return BluFiDevice(**{"random": octets(1), "product_id": "L4WG9V9M2M", "device_name": "TEST2", **options})


def phone(**options) -> BluFiPhone:
    return BluFiPhone(**{"random": octets(2), "ssid": SSID, "password": PASSWORD, **options})


class Told:
    """A session that ends joins as it is told, one after the other, and binds."""

    def __init__(self, *joins: Failure | None, bind: Failure | None = None) -> None:
        self.joins = list(joins)
        self.bind = bind

    def __call__(self, heard) -> Sequence:
        if isinstance(heard, Ask):
            return [Answer(heard.what, heard.peer, networks=NETWORKS, lines=[b"one\r\n", b"two\r\n"])]
        if not isinstance(heard, Offer):
            return []
        if heard.credentials is None:
            outcome = Outcome.OK if self.bind is None else Outcome.FAILED
            return [event(Step.BINDING, outcome, peer=heard.peer, failure=self.bind)]
        failure = self.joins.pop(0) if self.joins else None
        outcome = Outcome.OK if failure is None else Outcome.FAILED
        return [
            event(Step.JOINING, Outcome.STARTED, peer=heard.peer),
            event(Step.JOINING, outcome, peer=heard.peer, failure=failure),
        ]


def pair(a: BluFiDevice | None = None, b: BluFiPhone | None = None, **options) -> Pair:
    options = {"notify": "ff02", "answer": Told(), **options}
    made = Pair(a or device(), b or phone(), **options)
    made.connect()
    return made


def ending(made: Pair):
    assert [each.last for each in made.learned] == [False] * (len(made.learned) - 1) + [True]
    return made.learned[-1]


class Plain:
    """A device that is spoken to in clear, at a large MTU."""

    def __init__(self, **options) -> None:
        self.device = device(**options)
        self.device.feed("", Connected(), PHONE, 0.0)
        self.device.feed("", Mtu(517), PHONE, 0.0)
        self.frames = FrameLink(strict=True, exact=True)
        self.back = FrameLink(strict=True, exact=True)

    def write(self, data: bytes) -> list:
        return list(self.device.feed("ff01", data, PHONE, 0.0))

    def say(self, type_: int, message: bytes = b"", control: int = 0) -> list:
        frames = self.frames.put(type_, message, control, 200)
        return [output for frame in frames for output in self.write(frame)]

    def tell(self, *news) -> list:
        return [output for each in news for output in self.device.tell(each, 0.0)]

    def messages(self, outputs) -> list[bytes]:
        """What the sends carry: type octet and message."""
        taken = [(data[0], self.back.take(data)) for data in sent(outputs)]
        return [bytes((type_,)) + each.message for type_, each in taken if each.message is not None]

    def errors(self, outputs) -> list[int]:
        return [message[1] for message in self.messages(outputs) if message[0] == 0x49]


def plain_device(**options) -> Plain:
    return Plain(**options)
