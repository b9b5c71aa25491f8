"""The command line: `python -m qiot.sniff FILE.pcap|IFACE`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from qiot.errors import ConfigurationError, HalError, ProtocolError
from qiot.hal.contract import Platform, Sniffer
from qiot.hal.registry import open_platform, platform_names
from qiot.option_types import named, secret_octets
from qiot.pcap import CaptureReader
from qiot.protocols.air.airkiss import BLOCK
from qiot.protocols.air.results import AIRKISS, Decoded
from qiot.protocols.air.tracker import Tracker, all_decoders
from qiot.protocols.base import Seen
from qiot.sniff.diagnosis import diagnose
from qiot.sniff.ear import Ear
from qiot.sniff.live import LiveEar
from qiot.sniff.report import as_object, as_text

__all__ = ["main", "make_parser"]

_EPILOG = """
What phones send by ESP-TOUCH v1 and v2, AirKiss and Realtek Simple Config is decoded, of any number of
phones at once. Without a result, what was seen and what to do is written to standard error.

exit status: 0 at least one result, 1 none, 2 wrong use
"""


def make_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m qiot.sniff",
        description="Decode Wi-Fi credentials that phones send through the air.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source",
        metavar="FILE.pcap|IFACE",
        help="a capture (pcap or pcapng; - for standard input), or a platform such as linux:wlan0, or wlan0",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per result")
    parser.add_argument(
        "--show-secrets", action="store_true", help="show passwords and applications' data, which are masked"
    )
    key = named(secret_octets, "key")
    parser.add_argument(
        "--esptouch-key", type=key, metavar="KEY", help="for ESP-TOUCH v2: 16 octets, or hex: and digits"
    )
    parser.add_argument(
        "--airkiss-key", type=key, metavar="KEY", help="for AirKiss: 1 to 16 octets, or hex: and digits"
    )
    parser.add_argument("--pin", type=named(secret_octets, "PIN"), help="for Simple Config: the device's PIN")
    parser.add_argument(
        "--channel", type=named(_positive, "channel"), metavar="N", help="live: listen on this channel only"
    )
    parser.add_argument(
        "--timeout", type=named(_seconds, "time"), metavar="SECONDS", help="live: end after so long"
    )
    parser.add_argument(
        "--count", type=named(_positive, "number"), metavar="N", help="end after so many results"
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError
    return number


class _Enough(Exception):  # noqa: N818 - no error
    """So many results as were asked for."""


class _Printer:
    """Prints results as they come."""

    def __init__(self, options: argparse.Namespace, ear: Ear) -> None:
        self.results = 0
        self._options = options
        self._ear = ear

    def show(self, result: Decoded) -> None:
        """Print one.

        Raises:
            _Enough: It was the last one.
        """
        options, networks = self._options, self._ear.networks.values()
        if options.json:
            print(json.dumps(as_object(result, networks, show_secrets=options.show_secrets)), flush=True)
        else:
            print(as_text(result, networks, show_secrets=options.show_secrets), flush=True)
        if _may_be_encrypted(result) and options.airkiss_key is None:
            _note("this password is no text, and as long as an encrypted one: give the key by --airkiss-key")
        self.results += 1
        if self.results == options.count:
            raise _Enough

    def tell(self, seen: Seen) -> None:
        """What is recognised, for people who watch."""
        if not self._options.json:
            _note(seen.text)


def _may_be_encrypted(result: Decoded) -> bool:
    """AirKiss does not say whether its password is encrypted."""
    password = result.credentials.password.reveal()
    return (
        result.protocol == AIRKISS
        and len(password) > 0
        and len(password) % BLOCK == 0
        and not password.decode(errors="replace").isprintable()
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Decode; gives the exit status."""
    parser = make_parser()
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        # By their names only: a value may be a secret.
        names = [each.partition("=")[0] for each in unknown if each.startswith("-")]
        parser.error(f"unknown: {', '.join(names) or 'more than one source'}")
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(options)
    except (ConfigurationError, ProtocolError) as error:
        parser.error(f"{error}. {error.hint}")
    except BrokenPipeError:  # such as `| head`: nobody reads what would come
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run(options: argparse.Namespace) -> int:
    ear = Ear(_tracker(options))
    printer = _Printer(options, ear)
    spec = _platform_spec(options.source)
    try:
        if spec is None:
            _read_capture(options, ear, printer)
        else:
            asyncio.run(_listen(spec, options, ear, printer))
    except _Enough:
        pass
    except KeyboardInterrupt:
        _note("interrupted")
    except HalError as error:
        _note(f"{error} ({error.reason}). {error.hint}")
        return 0 if printer.results else 1
    if not printer.results:
        _note(diagnose(ear))
    return 0 if printer.results else 1


def _tracker(options: argparse.Namespace) -> Tracker:
    decoders = functools.partial(
        all_decoders,
        esptouch_key=options.esptouch_key,
        airkiss_key=options.airkiss_key,
        pin=options.pin,
    )
    decoders()  # a wrong key is said now, not with the first phone
    return Tracker(decoders)


def _note(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


# --- captures -----------------------------------------------------------------------------------------------


def _platform_spec(source: str) -> str | None:
    """The platform that is meant, or None for a file.

    Raises:
        ConfigurationError: There is neither.
    """
    if source == "-" or Path(source).is_file():
        return None
    if source.partition(":")[0].partition(",")[0] in platform_names():
        return source
    if "/" in source or Path(source).suffix in {".pcap", ".pcapng", ".cap"} or Path(source).exists():
        raise ConfigurationError(f"there is no file {source}", hint="Check its name.")
    return f"linux:{source}"


@contextlib.contextmanager
def _opened(source: str) -> Iterator[BinaryIO]:
    if source == "-":
        yield sys.stdin.buffer
        return
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(Path(source).open("rb"))
        except OSError as error:
            raise ConfigurationError(
                f"{source} cannot be read: {error.strerror}", hint="Check its rights."
            ) from error
        yield file


def _read_capture(options: argparse.Namespace, ear: Ear, printer: _Printer) -> None:
    with _opened(options.source) as file:
        reader = CaptureReader(file)
        try:
            for packet in reader:
                for result in ear.hear_packet(packet):
                    printer.show(result)
        finally:
            if reader.damage:
                _note(f"{options.source}: {reader.damage}; what came before was decoded")


# --- live ---------------------------------------------------------------------------------------------------


async def _listen(spec: str, options: argparse.Namespace, ear: Ear, printer: _Printer) -> None:
    platform: Platform = open_platform(spec)
    try:
        live = LiveEar(
            platform.port(Sniffer),
            ear,
            on_result=printer.show,
            on_seen=printer.tell,
            channel=options.channel,
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(options.timeout):
                await live.run()
        if live.dropped:
            _note(f"{live.dropped} frames came faster than they could be looked at")
    finally:
        await platform.close()
