"""The log: what it shows, what it never shows, and what it does where nobody or another configured it."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import sys
import threading
from collections.abc import Iterator

import attrs
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from qiot.errors import ConfigurationError
from qiot.log import LINE_MAX, configure, get_logger, mask, mask_message, mask_secrets, silence
from qiot.model import Credentials, Secret

pytestmark = pytest.mark.usefixtures("silent_log")

log = get_logger()  # as modules do: before anything is configured

SEED_DATAGRAM = '{"cmdType":1,"ssid":"home","password":"pass-QQ","token":"QQ9f978dfbb48ec40cadb6d9af470d0f6"}'


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """The log in the C SDK's lines, all of it."""
    stream = io.StringIO()
    configure("c-sdk", "debug", stream)
    yield stream
    silence()


@pytest.fixture
def objects() -> Iterator[io.StringIO]:
    """The log as JSON, all of it."""
    stream = io.StringIO()
    configure("json", "debug", stream)
    yield stream
    silence()


def only_object(stream: io.StringIO) -> dict[str, object]:
    (line,) = stream.getvalue().splitlines()
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


# --- mask: texts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (
            SEED_DATAGRAM,
            '{"cmdType":1,"ssid":"home","password":"***","token":"***"}',
        ),
        (
            '{"method":"app_bind_token","clientToken":"T-68","params": {"token":"69f9"}}',
            '{"method":"app_bind_token","clientToken":"T-68","params": {"token":"***"}}',
        ),
        ('{"PassWord" : "a b", "PSK"\t:\n"c"}', '{"PassWord" : "***", "PSK"\t:\n"***"}'),
        (
            '{"productSecret":"Xoez","key_deviceinfo":{"deviceSecret":"MLvM=="},"region":"china"}',
            '{"productSecret":"***","key_deviceinfo":{"deviceSecret":"***"},"region":"china"}',
        ),
        (
            'recv: {"code":0,"len":53,"payload":"sf1gANtJCT/P+w==","requestId":"27d8"}',
            'recv: {"code":0,"len":53,"payload":"***","requestId":"27d8"}',
        ),
        (
            'payload={"method":"report","params":{"name":"x"}}',
            'payload={"method":"report","params":{"name":"x"}}',
        ),
        ('{"payload":"{\\"psk\\":\\"QQ\\",\\"n\\":1}"}', '{"payload":"{\\"psk\\":\\"***\\",\\"n\\":1}"}'),
        ("{'password': 'it\\'s QQ', 'ssid': b'x'}", "{'password': '***', 'ssid': b'x'}"),
        ("{'deviceSecret': b'QQ\\x00', 'n': 1}", "{'deviceSecret': b'***', 'n': 1}"),
        ('{"password":12345678,"ssid":"x"}', '{"password":***,"ssid":"x"}'),
        ('{"token":null,"key":true,"ssid":"x"}', '{"token":null,"key":true,"ssid":"x"}'),
        ('{"token":["QQ","Q]Q"],"ssid":"x"}', '{"token":***'),
        ('{"password":"QQ cut of', '{"password":"***'),
        ('{"password":"QQ\\', '{"password":"***'),
        ('{"password":', '{"password":'),
        (
            '{"wifi_pw":"QQ","client-key":"QQ","x.sign":"QQ"}',
            '{"wifi_pw":"***","client-key":"***","x.sign":"***"}',
        ),
        (
            '{"clientKey":"QQ","signature":"QQ","design":"ok"}',
            '{"clientKey":"***","signature":"***","design":"ok"}',
        ),
        (
            "STA to connect SSID:home PASSWORD:QQ,Q CHANNEL:0",
            "STA to connect SSID:home PASSWORD:*** CHANNEL:0",
        ),
        ("SSID:home|PSW:QQ|TOKEN:QQ", "SSID:home|PSW:***|TOKEN:***"),
        ('SSID:home|PSW:Q"Q Q|\\Q,Q=|TOKEN:QQ', "SSID:home|PSW:***|TOKEN:***"),
        ('{"password":QQ Q"Q,"ssid":"x"}', '{"password":***,"ssid":"x"}'),
        ('{"token":QQ}', '{"token":***}'),
        ("Login(user='bob', token=None, key=QQ, n=1)", "Login(user='bob', token=None, key=***, n=1)"),
        ("sign:YWM2ZjM1QQ==\nnext", "sign:***\nnext"),
        ("a\\nsign:QQ", "a\\nsign:***"),
        ("host=1.2.3.4&token=QQ&port=1", "host=1.2.3.4&token=***&port=1"),
        ("wrong password: send it again", "wrong password: send it again"),
        ("token reply code = 0", "token reply code = 0"),
        (
            repr(Credentials(b"home", Secret("QQ"))),
            "Credentials(ssid=b'home', password=***, bssid=None, channel=None, clue=None)",
        ),
        ("", ""),
    ],
)
def test_mask(text: str, masked: str) -> None:
    assert mask(text) == masked


passwords = st.lists(st.sampled_from(["Q", '"', "'", "\\", ",", ":", "{", "}", "]", " ", "\n", "é"])).map(
    lambda parts: "Q" + "".join(parts) + "Q"
)


@given(passwords, passwords, st.integers(0, 3), st.booleans(), st.data())
def test_no_part_of_a_secret_in_json_however_nested_or_cut(
    password: str, secret: str, depth: int, ascii_only: bool, data: st.DataObject
) -> None:
    text = json.dumps(
        {"ssid": "x", "password": password, "n": [1], "deviceSecret": secret}, ensure_ascii=ascii_only
    )
    for _ in range(depth):
        text = json.dumps({"token": None, "data": text, "psk": secret}, ensure_ascii=ascii_only)
    cut = text[: data.draw(st.integers(0, len(text)))]
    assert "Q" not in mask(text)
    assert "Q" not in mask(cut)


@given(passwords, passwords)
def test_no_part_of_a_secret_in_reprs(password: str, secret: str) -> None:
    pair = {"ssid": "x", "password": password, "deviceSecret": secret}
    assert "Q" not in mask(repr(pair))
    assert "Q" not in mask(f"from peer: {json.dumps(pair).encode()!r}")
    assert "Q" not in mask(repr({key: value.encode() for key, value in pair.items()}))


@given(st.text())
def test_mask_takes_any_text(text: str) -> None:
    assert mask(text) == text or "***" in mask(text)


@pytest.mark.parametrize("part", ["\\", "a.b-", '"a":', "key='", '"a" \\n', "\\u0041", '"psk":"\\'])
def test_mask_takes_long_texts_in_linear_time(part: str) -> None:
    """A peer's datagram must not stop the device: a quadratic search here would take minutes."""
    assert isinstance(mask(part * 200_000), str)


@given(
    st.dictionaries(st.sampled_from(["ssid", "cmdType", "clientToken", "deviceName"]), st.text("ab \"'{}:é"))
)
def test_what_is_no_secret_stays(pairs: dict[str, str]) -> None:
    text = json.dumps(pairs)
    assert mask(text) == text


# --- mask_message: what strangers send ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (SEED_DATAGRAM.encode(), '{"cmdType":1,"ssid":"home","password":"***","token":"***"}'),
        ('{"cmdType" : 3, "ssid": "我的家"}'.encode(), '{"cmdType":3,"ssid":"我的家"}'),
        (b'{"tokn":"QQ","pasword":12345678}', '{"tokn":"***","pasword":"***"}'),
        (b'{"method":"x","params":{"token":"QQ","code":0},"QQ 1":0}', None),
        (b'{"cmdType":["QQ"],"ssid":{"QQ1":"QQ"},"code":1.5,"log":"PSW:QQ"}', None),
        (b'{"cmdType":1,"password" "QQ"}', "(29 bytes that are no JSON object)"),
        (b"{cmdType:1,password: QQ}", "(24 bytes that are no JSON object)"),
        (b'"QQ"', "(4 bytes that are no JSON object)"),
        ('{"ssid":"QQ"}'.encode("utf-16"), "(28 bytes that are no JSON object)"),
        (b"[" * 100_000, "(100000 bytes that are no JSON object)"),
        (b'{"params":' * 5000 + b'"QQ"' + b"}" * 5000, None),
        (b'{"cmdType":' + b"9" * 5000 + b"}", "(5012 bytes that are no JSON object)"),
        (b"", "(0 bytes that are no JSON object)"),
    ],
    ids=range(13),
)
def test_mask_message(data: bytes, shown: str | None) -> None:
    assert shown is None or mask_message(data) == shown
    assert "QQ" not in mask_message(data)


@given(st.binary())
def test_mask_message_takes_any_octets(data: bytes) -> None:
    assert mask_message(data).startswith(("{", f"({len(data)} bytes"))


# --- the C SDK's line --------------------------------------------------------------------------------------


def test_c_sdk_line(lines: io.StringIO) -> None:
    def wifi_connect() -> int:
        log.info("Received %d bytes from <%s> msg: %s", 92, "192.168.4.66:47482", SEED_DATAGRAM, n=1)
        return sys._getframe().f_lineno - 1

    line = wifi_connect()
    expected = (
        rf"INF\|\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\|test_log\.py\|wifi_connect\({line}\): "
        r'Received 92 bytes from <192\.168\.4\.66:47482> msg: \{"cmdType":1,"ssid":"home",'
        r'"password":"\*\*\*","token":"\*\*\*"\} n=1\n'
    )
    assert re.fullmatch(expected, lines.getvalue())


def test_levels_and_their_marks() -> None:
    for level, marks in [("debug", "DIWE"), ("INFO", "IWE"), ("warning", "WE"), ("error", "E")]:
        stream = io.StringIO()
        configure(level=level, stream=stream)
        log.debug("a")
        log.info("b")
        log.warning("c")
        log.error("d")
        assert "".join(line[0] for line in stream.getvalue().splitlines()) == marks


@pytest.mark.parametrize(
    "text", ["a\nERR|2021-01-22 15:19:04|x.py|f(1): forged", "a\rb", "\x1b[2J", "\u2028\u202e"]
)
def test_a_peer_cannot_forge_a_line(lines: io.StringIO, text: str) -> None:
    log.info("got %s", text, field=text, deep={text: [text]})
    log.error("bad", exc_info=ValueError(text))
    first, second, *trace = lines.getvalue().split("\n")
    assert first.startswith("INF|")
    assert second.startswith("ERR|")
    assert trace.pop() == ""
    assert all(line.startswith("    ") for line in trace)
    assert all(line.isprintable() for line in [first, second, *trace])


def test_a_long_line_says_what_is_cut_and_is_masked_before(lines: io.StringIO) -> None:
    log.info("x" * 800 + f'{{"password":"{"Q" * 500}","ssid":"{"y" * 500}"}}')
    (line,) = lines.getvalue().splitlines()
    assert len(line) <= LINE_MAX
    assert "Q" not in line
    assert re.search(r"y\.\.\. \(\d+ more\)$", line)


def test_readable_text_of_other_scripts_stays(lines: io.StringIO) -> None:
    log.info("STA to connect SSID:我的家")
    assert lines.getvalue().endswith("SSID:我的家\n")


def test_a_terminal_without_utf8_gets_escapes() -> None:
    octets = io.BytesIO()
    configure(stream=io.TextIOWrapper(octets, encoding="ascii"))
    log.info("家")
    assert octets.getvalue().endswith(b"): \\u5bb6\n")


# --- fields ------------------------------------------------------------------------------------------------


@attrs.frozen
class Login:
    user: str
    password: Secret
    note: str


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("QQ")

    __repr__ = __str__


SECRET_FIELDS: dict[str, object] = {
    "password": "QQ",
    "sign": b"QQ",
    "key": ["QQ"],
    "device_secret": {"a": "QQ"},
    "payload": "QQgANtJCT",
    "anything": Secret("QQ"),
    "nested": {
        "psk": "QQ",
        "list": [{"token": "QQ"}, (Secret("QQ"),), '{"psk":"QQ"}'],
        "set": {Secret("QQ")},
    },
    "octets": b'\xff{"password":"QQ"}',
    "model": Login("bob", Secret("QQ"), '{"token":"QQ"}'),
    "broken": Broken(),
    Secret("QQ").__class__.__name__: Secret("QQ"),
}


@pytest.mark.parametrize("style", ["c-sdk", "json"])
def test_no_secret_in_any_field(style: str) -> None:
    stream = io.StringIO()
    configure(style, "debug", stream)  # type: ignore[arg-type]
    log.bind(token="QQ").info("got %s %r", Secret("QQ"), Secret("QQ"), **SECRET_FIELDS)
    assert "QQ" not in stream.getvalue()
    assert "bob" in stream.getvalue()


def test_json_object(objects: io.StringIO) -> None:
    log.bind(device="T1").warning(
        "a\nb", n=1, octets=b"\xff", nan=float("nan"), time=3, model=Broken, none=None
    )
    found = only_object(objects)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", str(found.pop("time")))
    assert isinstance(found.pop("line"), int)
    assert found == {
        "level": "warning",
        "event": "a\nb",
        "file": "test_log.py",
        "func": "test_json_object",
        "device": "T1",
        "n": 1,
        "octets": "\\xff",
        "nan": "nan",
        "time_": 3,
        "model": str(Broken),
        "none": None,
    }


def test_endless_structures_end(objects: io.StringIO) -> None:
    endless: list[object] = []
    endless.append(endless)
    log.info("x", endless=endless)
    assert "[...]" in str(only_object(objects)["endless"])


def test_a_wrong_format_loses_nothing(lines: io.StringIO) -> None:
    log.info("got %d", Secret("QQ"))
    log.info("got %s %s", 1)  # noqa: PLE1206 - the fault that this test is about
    first, second = lines.getvalue().splitlines()
    assert first.endswith("got %d (Secret(***),)")
    assert second.endswith("got %s %s (1,)")


# --- exceptions --------------------------------------------------------------------------------------------


def failing() -> None:
    password = "QQ-" + str(sys.maxsize)
    try:
        {}[len(password)]
    except KeyError as error:
        raise ExceptionGroup("several", [OSError('{"psk":"QQ"}'), RuntimeError(SEED_DATAGRAM)]) from error


@pytest.mark.parametrize("style", ["c-sdk", "json"])
@pytest.mark.parametrize("way", ["exception", "true", "instance", "tuple"])
def test_tracebacks_are_masked(style: str, way: str) -> None:
    stream = io.StringIO()
    configure(style, "debug", stream)  # type: ignore[arg-type]
    try:
        failing()
    except ExceptionGroup as error:
        if way == "exception":
            log.exception("bad")
        else:
            exc_info = {"true": True, "instance": error, "tuple": (type(error), error, error.__traceback__)}[
                way
            ]
            log.error("bad", exc_info=exc_info)
    text = stream.getvalue()
    assert "Traceback" in text
    assert "failing" in text
    assert "ExceptionGroup" in text
    assert "OSError" in text
    assert "QQ9f" not in text
    assert "pass-QQ" not in text
    assert '"psk":"QQ' not in text.replace("\\", "")
    assert f"QQ-{sys.maxsize}" not in text


def test_json_has_the_traceback_as_a_field(objects: io.StringIO) -> None:
    try:
        failing()
    except ExceptionGroup:
        log.exception("bad")
    assert "RuntimeError: {" in str(only_object(objects)["exception"])


def test_exc_info_without_an_exception_is_no_fault(objects: io.StringIO) -> None:
    log.exception("nothing is wrong")  # noqa: LOG004 - the fault that this test is about
    assert "exception" not in only_object(objects)


# --- who configured what -----------------------------------------------------------------------------------


def test_silent_until_configured(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    log.error("nobody asked")
    assert capfd.readouterr() == ("", "")
    configure()
    log.error("now")
    assert capfd.readouterr().err.endswith("): now\n")


def test_a_program_with_its_own_logging_gets_masked_records(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="qiot"):
        log.debug("too low")
        log.info("got %s", SEED_DATAGRAM, psk="QQ")
        try:
            failing()
        except ExceptionGroup:
            log.exception("bad")
    info, error = caplog.records
    assert (info.name, info.levelname, info.filename) == ("qiot", "INFO", "test_log.py")
    assert info.funcName == "test_a_program_with_its_own_logging_gets_masked_records"
    assert info.getMessage().endswith('"password":"***","token":"***"} psk=***')
    assert error.exc_info is None
    assert "QQ9f" not in caplog.text
    assert '"psk":"QQ' not in caplog.text


def test_a_program_with_its_own_structlog_changes_nothing(lines: io.StringIO) -> None:
    seen: list[object] = []

    def spy(_logger: object, _name: str, event: object) -> str:
        seen.append(event)
        return ""

    structlog.configure(processors=[spy], logger_factory=structlog.ReturnLoggerFactory())
    try:
        get_logger().info("x", token=Secret("QQ"))
        log.info("y", token="QQ")
    finally:
        structlog.reset_defaults()
    assert not seen
    assert lines.getvalue().count("token=***") == 2


def test_the_masking_processor_serves_other_chains() -> None:
    chain = structlog.wrap_logger(
        structlog.ReturnLogger(), processors=[mask_secrets, structlog.processors.JSONRenderer()]
    )
    assert chain.info(SEED_DATAGRAM, secret=Secret("QQ")).count("***") == 3


def test_configuring_again_moves_every_logger() -> None:
    first, second = io.StringIO(), io.StringIO()
    bound = log.bind(n=1)
    configure("c-sdk", "info", first)
    bound.info("x")
    configure("json", "error", second)
    bound.info("y")
    bound.error("z")
    assert first.getvalue().endswith(": x n=1\n")
    assert only_object(second)["event"] == "z"


@pytest.mark.parametrize(("style", "level"), [("xml", "info"), ("json", "loud")])
def test_a_wrong_configuration_is_refused_and_changes_nothing(
    lines: io.StringIO, style: str, level: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"xml.*c-sdk, json|loud.*debug, info"):
        configure(style, level)  # type: ignore[arg-type]
    log.debug("still here")
    assert lines.getvalue().endswith("still here\n")


def test_a_dead_stream_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    closed = io.StringIO()
    closed.close()
    for stream in (Full(), closed):
        configure(stream=stream)
        log.info("x")
    configure()
    monkeypatch.setattr(sys, "stderr", None)
    log.info("x")


# --- threads and tasks -------------------------------------------------------------------------------------


def test_lines_of_threads_do_not_mix() -> None:
    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            for each in text:
                super().write(each)
                self.turn.wait(0)
            return len(text)

        turn = threading.Event()

    stream = Slow()
    configure(stream=stream)
    threads = [
        threading.Thread(target=lambda n=n: [log.info(f"{n}" * 50) for _ in range(20)]) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    texts = [line.rpartition(" ")[2] for line in stream.getvalue().splitlines()]
    assert len(texts) == 80
    assert all(text == text[0] * 50 for text in texts)


async def test_a_task_is_named_by_its_function(lines: io.StringIO) -> None:
    async def listen() -> None:
        log.info("from a task")

    async with asyncio.TaskGroup() as group:
        group.create_task(listen())
    assert "|test_log.py|listen(" in lines.getvalue()
