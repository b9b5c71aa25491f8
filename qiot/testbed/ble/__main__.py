"""`python -m qiot.testbed.ble PROTOCOL --side device|phone --config FILE`: exit 0 at the end, 2 wrong use."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from qiot.errors import ConfigurationError
from qiot.testbed.ble.bench import Bench, make_bench
from qiot.testbed.ble.codecs import PROTOCOLS, SIDES, Side

__all__ = ["main"]


def _protocol(text: str) -> str:
    """The protocol's name here: methods are called bt_combo, and the vendor's thing.network."""
    return text.lower().replace("_", "").replace("-", "").removesuffix(".network")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m qiot.testbed.ble",
        description="Play one side of a Bluetooth protocol, JSON lines in and out (docs/ble_bench.md).",
    )
    parser.add_argument("protocol", type=_protocol, choices=sorted(PROTOCOLS), help="what is spoken")
    parser.add_argument("--side", choices=SIDES, required=True, help="which side this is")
    parser.add_argument("--config", type=Path, metavar="FILE", help="what it knows and does, JSON")
    return parser


def _config(path: Path | None) -> object:
    if path is None:
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: this is no JSON in UTF-8 ({error})") from error


def _play(bench: Bench) -> None:
    for number, text in enumerate(sys.stdin, 1):
        try:
            bench.line(text.removeprefix("\ufeff"))
        except ConfigurationError as error:
            raise ConfigurationError(f"line {number}: {error}") from error
    bench.end()


def main(arguments: Sequence[str] | None = None) -> int:
    """Play one side until the input ends; gives the exit status."""
    options = _parser().parse_args(arguments)
    try:
        side = cast("Side", options.side)
        config = _config(options.config)
        _play(make_bench(options.protocol, side, config, lambda line: print(line, flush=True)))
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except UnicodeDecodeError:
        print("error: the input is not UTF-8", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Who reads us has gone; keep the interpreter from saying so once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
