"""Single packets of monitor mode: radiotap, the 802.11 head, information elements."""

from __future__ import annotations

from harness import fuzz, instrumented

with instrumented():
    from qiot.errors import ProtocolError
    from qiot.protocols.air.dot11 import is_group_data, parse_header
    from qiot.protocols.air.elements import elements_of, security_of, ssid_of
    from qiot.protocols.air.radiotap import parse_radiotap, unwrap
    from qiot.protocols.air.tracker import Tracker
    from tests.sniff.captures import Capture, Shape


def try_octets(data: bytes) -> None:
    """Read it as a packet, as a frame, and as elements."""
    try:
        known = parse_radiotap(data)
        assert 8 <= known.length <= len(data)
        frame = unwrap(data)[1]
        assert frame
        _try_frame(frame)
    except ProtocolError:
        pass
    _try_frame(data)
    assert len(ssid_of(data)) <= 32
    security_of(int.from_bytes(data[:2], "little"), data[2:])
    assert sum(2 + len(content) for _, content in elements_of(data)) <= len(data)


def _try_frame(frame: bytes) -> None:
    group = is_group_data(frame)
    try:
        header = parse_header(frame)
    except ProtocolError:
        return
    assert header.length <= header.total == len(frame)
    assert header.body >= 0
    if group:
        assert header.carries_data
    assert not Tracker().hear(header, 6, 1.0)


def seeds() -> list[bytes]:
    """One packet of each kind."""
    capture = Capture(Shape(qos=True)).beacon(0.1, b"Home")
    packets = [packet for _, packet, _ in capture.records]
    return [*packets, *(packet[14:] for packet in packets), bytes.fromhex("d4000000000c11223344550000")]


if __name__ == "__main__":
    fuzz(try_octets, seeds)
