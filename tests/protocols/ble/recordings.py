"""Recorded BluFi sessions: what the tests need of them."""

from __future__ import annotations

import attrs

from qiot.model import Secret
from qiot.protocols.ble.blufi_security import Recorded
from qiot.protocols.ble.frames import Reassembler, parse
from tests.protocols.ble.pair import vector

NEGOTIATION = 0x01


@attrs.frozen
class Recording:
    """One recorded session.

    Attributes:
        lines: Who, and what, in order.
        mtu: ATT MTU.
        device: The device's end of the key exchange, or None.
        phone: The phone's.
        private: The device's private value, where it is known.
    """

    lines: list
    mtu: int
    device: Recorded | None
    phone: Recorded | None
    private: bytes | None

    def of(self, kind: str) -> list[str]:
        return [text for each, text in self.lines if each == kind]


def messages(frames: list[str], type_: int) -> list[bytes]:
    """The messages of one type that plain frames carry."""
    parts = Reassembler()
    found = []
    for text in frames:
        frame = parse(bytes.fromhex(text), exact=True)
        if frame.type == type_:
            message, lost = parts.feed(frame, frame.data)
            assert lost is None
            if message is not None:
                found.append(message)
    return found


def recording(name: str) -> Recording:
    data = vector(name)
    lines = data["transcript"]
    found = Recording(lines, data["mtu"], None, None, None)
    negotiated = [text for text in found.of("phone_cb") if text.startswith("security 0")]
    if not negotiated:
        return found
    key = Secret(bytes.fromhex(negotiated[0].split()[-1]))
    (public,) = messages(found.of("dev->phone"), NEGOTIATION)
    _, parameters = messages(found.of("phone->dev"), NEGOTIATION)
    secrets = [text.split() for text in found.of("dev_ev") if text.startswith("v2 ")]
    if not secrets:
        phone = Recorded(parameters[-128:], key=key)
        return attrs.evolve(found, device=Recorded(public, key=key), phone=phone)
    facts = dict(zip(secrets[0][1::2], secrets[0][2::2], strict=True))
    shared = Secret(bytes.fromhex(facts["shared"]))
    return attrs.evolve(
        found,
        device=Recorded(public, shared=shared),
        phone=Recorded(parameters[-384:], shared=shared),
        private=bytes.fromhex(facts["device_private"].zfill(96)),
    )
