"""The wire of the module: any octets in any pieces give events, in bounded memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiot_esp_at.lines import LINE_MAX, Noise, Parser, Prompt, Published, SocketData, Text, quoted, unescaped


def test_lines_prompts_and_payloads() -> None:
    said = (
        b'\r\nready\r\nOK\r\n> +TCMQTTRCVPUB:"$thing/down/x",12,"{"a":"\r\n,\\"}"\r\n'
        b"+IPD,5:ab\r\nc\r\nCLOSED\r\n"
    )
    for size in (1, 3, len(said)):
        parser = Parser()
        events = [
            event for start in range(0, len(said), size) for event in parser.feed(said[start : start + size])
        ]
        assert events == [
            Text("ready"),
            Text("OK"),
            Prompt(),
            Published("$thing/down/x", b'{"a":"\r\n,\\"}'),
            SocketData(b"ab\r\nc"),
            Text("CLOSED"),
        ]


@pytest.mark.parametrize(
    "broken",
    [b'+TCMQTTRCVPUB:"t",5,"ab"\r\n', b'+TCMQTTRCVPUB:"t",999999,"', b"+IPD,x:abc\r\n", b"+IPD,999999:"],
)
def test_what_is_broken_is_noise_and_the_next_line_is_read(broken: bytes) -> None:
    events = Parser().feed(broken + b"\r\n\r\n\r\nOK\r\n")
    assert any(isinstance(event, Noise) for event in events)
    assert events[-1] == Text("OK")


def test_a_line_without_an_end_costs_no_memory() -> None:
    parser = Parser()
    for _ in range(1000):
        parser.feed(b"x" * 1000)
        assert len(parser._buffer) <= LINE_MAX + 1000
    assert parser.feed(b"\r\nOK\r\n") == [Noise(1_000_002), Text("OK")]


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_any_octets_have_events(pieces: list[bytes]) -> None:
    parser = Parser()
    for piece in pieces:
        parser.feed(piece)
    assert len(parser._buffer) < 70_000


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs", "Cc"])))
def test_quoting_goes_both_ways(text: str) -> None:
    assert unescaped(quoted(text)[1:-1]) == text
