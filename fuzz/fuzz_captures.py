"""Captures: whatever the file, packets come out or `ProtocolError`, and the sniffer takes all of them."""

from __future__ import annotations

import io
import itertools

from harness import fuzz, instrumented

with instrumented():
    from qiot.errors import ProtocolError
    from qiot.model import Secret
    from qiot.pcap import CaptureReader
    from qiot.protocols.air.airkiss import AirKiss
    from qiot.protocols.air.esptouch import EspTouch
    from qiot.protocols.air.tracker import Tracker
    from qiot.sniff.diagnosis import diagnose
    from qiot.sniff.ear import Ear
    from tests.sniff.captures import PLAIN, Capture, Shape
    from tests.sniff.test_pcap import classic, pcapng


def try_octets(data: bytes) -> None:
    """Read it as a file."""
    ear = Ear(Tracker())
    try:
        reader = CaptureReader(io.BytesIO(data))
    except ProtocolError:
        return
    for packet in reader:
        assert len(packet.data) <= packet.length
        ear.hear_packet(packet)
    assert diagnose(ear)


def seeds() -> list[bytes]:
    """Small files of every kind."""
    found = [classic(), classic(">", nanoseconds=True), pcapng(), pcapng(">")]
    for shape in (Shape(), Shape(link=PLAIN, check_sum=True), Shape(qos=True, from_ap=True)):
        esptouch = EspTouch(b"Home", Secret(b""), bytes(6), "10.0.0.1")
        for encoder in (esptouch, AirKiss(b"Home", Secret(b""), 1)):
            casts = itertools.islice(encoder.round(), 12)
            found.append(Capture(shape).add(casts).beacon(0.5, b"Home").bytes())
    return found


if __name__ == "__main__":
    fuzz(try_octets, seeds)
