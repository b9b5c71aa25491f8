"""The log: structlog in the C SDK's lines or as JSON, with secrets masked whoever configured what.

Three rules hold for every record, before it leaves this module:

- A secret never shows. Every `Secret`, every value whose name says that it is one, and every such pair inside
  a text (JSON, also nested or cut off; a dict's repr; `KEY:value`) becomes `***`. The name stays readable.
- A peer cannot forge a record. In C SDK lines every character that is not printable is escaped, line feeds
  too, and the lines of a traceback are indented: only a real record begins in the first column.
- A log that cannot be written ends nothing: errors of the stream are swallowed.

A library is silent: until `configure` is called, records go to the standard logger "qiot", and only where the
embedding program has given that (or the root) a handler. Its own structlog configuration is neither used nor
changed.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

import attrs
from structlog import BoundLoggerBase

from qiot.errors import ConfigurationError
from qiot.masking import mask, mask_message, mask_secrets

__all__ = ["Logger", "configure", "get_logger", "mask", "mask_message", "mask_secrets", "silence"]

LINE_MAX: Final = 1023
"""Characters of one C SDK line without its end (contract section 12); a longer one says how much is cut."""

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_MARKS: Final = {"debug": "DBG", "info": "INF", "warning": "WRN", "error": "ERR"}

# --- one record to one line ---------------------------------------------------------------------------------


@attrs.frozen
class _Site:
    """Where a record was made."""

    path: str
    function: str
    line: int

    @property
    def file(self) -> str:
        return self.path.rpartition("/")[2]


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def _text(fields: Mapping[str, Any]) -> tuple[str, str]:
    """The record as one printable line, and its traceback as indented lines."""
    words = [str(fields["event"])]
    for name, value in fields.items():
        if name not in ("event", "exception"):
            words.append(
                f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
            )
    trace = "".join(
        f"\n    {_escaped(line)}" for line in str(fields.get("exception", "")).split("\n") if line
    )
    return _escaped(" ".join(words)), trace


def _c_sdk_line(level: str, site: _Site, fields: Mapping[str, Any]) -> str:
    text, trace = _text(fields)
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    line = f"{_MARKS[level]}|{now}|{site.file}|{site.function}({site.line}): {text}"
    if len(line) > LINE_MAX:
        kept = LINE_MAX - len("... (1000000 more)")
        line = f"{line[:kept]}... ({len(line) - kept} more)"
    return line + trace


def _json_line(level: str, site: _Site, fields: Mapping[str, Any]) -> str:
    """One object; a field that bears one of our own names gets a `_` behind it."""
    record = {
        "time": datetime.now(UTC).astimezone().isoformat(timespec="milliseconds"),
        "level": level,
        "event": fields["event"],
        "file": site.file,
        "func": site.function,
        "line": site.line,
    }
    for name, value in fields.items():
        if name != "event":
            record[f"{name}_" if name in record else name] = value
    return json.dumps(record)


_LINES: Final[Mapping[str, Callable[[str, _Site, Mapping[str, Any]], str]]] = {
    "c-sdk": _c_sdk_line,
    "json": _json_line,
}

# --- where lines go -----------------------------------------------------------------------------------------


@attrs.frozen
class _Configured:
    render: Callable[[str, _Site, Mapping[str, Any]], str]
    level: int
    stream: TextIO | None


_configured: _Configured | None = None
_writing = threading.RLock()
_standard = logging.getLogger("qiot")


def configure(
    style: Literal["c-sdk", "json"] = "c-sdk", level: str = "info", stream: TextIO | None = None
) -> None:
    """Write the log from now on; every logger follows, also those that exist already. A later call wins.

    Args:
        style: "c-sdk" for the C SDK's lines (contract section 12), "json" for one object per line.
        level: The lowest level that is written: "debug", "info", "warning" or "error".
        stream: Where to; None for what `sys.stderr` is at the time of each record.

    Raises:
        ConfigurationError: No such style or level.
    """
    global _configured  # noqa: PLW0603 - one log per process, replaced whole: no thread sees half of it
    if style not in _LINES:
        raise ConfigurationError(f"no log style {style!r}: choose one of {', '.join(_LINES)}")
    if level.lower() not in _LEVELS:
        raise ConfigurationError(f"no log level {level!r}: choose one of {', '.join(_LEVELS)}")
    _configured = _Configured(_LINES[style], _LEVELS[level.lower()], stream)


def silence() -> None:
    """Undo `configure`."""
    global _configured  # noqa: PLW0603 - as in configure
    _configured = None


def _write(line: str, stream: TextIO | None) -> None:
    stream = sys.stderr if stream is None else stream
    if stream is None:  # a daemon without one
        return
    try:
        with _writing:
            try:
                stream.write(f"{line}\n")
            except UnicodeEncodeError:  # a terminal that is not UTF-8
                stream.write(f"{line.encode('ascii', 'backslashreplace').decode()}\n")
            stream.flush()
    except (OSError, ValueError):  # full, broken or closed
        return


class Logger(BoundLoggerBase):
    """A structlog bound logger with the C SDK's four levels; `bind` and `unbind` are structlog's.

    The event may hold `%` marks for positional arguments; keywords become fields of the record.
    """

    def debug(self, event: str, /, *args: object, **fields: object) -> None:
        """What helps to find a fault."""
        self._record("debug", event, args, fields)

    def info(self, event: str, /, *args: object, **fields: object) -> None:
        """What happened."""
        self._record("info", event, args, fields)

    def warning(self, event: str, /, *args: object, **fields: object) -> None:
        """What is unusual, though it goes on."""
        self._record("warning", event, args, fields)

    def error(self, event: str, /, *args: object, **fields: object) -> None:
        """What failed."""
        self._record("error", event, args, fields)

    def exception(self, event: str, /, *args: object, **fields: object) -> None:
        """What failed, with the traceback of the exception that is being handled."""
        self._record("error", event, args, {"exc_info": True, **fields})

    def _record(self, level: str, event: str, args: tuple[object, ...], fields: dict[str, object]) -> None:
        configured = _configured
        if configured is None:
            if not (_standard.isEnabledFor(_LEVELS[level]) and _standard.hasHandlers()):
                return
        elif _LEVELS[level] < configured.level:
            return
        if args:
            try:
                event = event % args
            except (
                TypeError,
                ValueError,
            ):  # a wrong format is a fault of ours, but no reason to lose the record
                event = f"{event} {args!r}"
        _, masked = self._process_event(level, event, fields)
        code = sys._getframe(2)  # noqa: SLF001 - the caller of debug, info, ...: the C SDK's line names it
        site = _Site(code.f_code.co_filename, code.f_code.co_name, code.f_lineno)
        if configured is not None:
            _write(configured.render(level, site, masked), configured.stream)
            return
        text = "".join(_text(masked))
        _standard.handle(
            _standard.makeRecord(
                _standard.name, _LEVELS[level], site.path, site.line, text, (), None, site.function
            )
        )


def get_logger() -> Logger:
    """A logger for a module; call it at import time, nothing has to be configured before."""
    return Logger(None, [mask_secrets], {})
