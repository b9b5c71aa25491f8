"""The command line: `python -m qiot.hal.conformance SPEC`."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Generator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import attrs

from qiot.errors import ConfigurationError
from qiot.hal.conformance.check import Check, Outcome, Result
from qiot.hal.conformance.checks import all_checks
from qiot.hal.conformance.described import describe, read_description
from qiot.hal.conformance.outer import Job, run_job
from qiot.hal.conformance.table import Table
from qiot.hal.registry import PlatformSpec, parse_spec, platform_names

__all__ = ["main"]

_EPILOG = """
The checks that only look come first. Those that join networks or start an access point take the machine off
its own network for a while, and leave the test network saved: they run with --yes only. Over ssh, do that
inside tmux or screen, or over a cable. The mock needs no --yes.

exit status: 0 nothing failed, 1 something failed, 2 wrong use
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks on the platform that the arguments name; gives the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    handlers = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        checks = _wanted(options.only)
        if options.list:
            sys.stdout.writelines(f"{each.key}\n" for each in checks)
            return 0
        if not options.spec:
            parser.error("name a platform, such as mock or linux:wlan0")
        with tempfile.TemporaryDirectory(prefix="qiot-conformance-") as folder:
            return _run(options, checks, folder)
    except ConfigurationError as error:
        parser.error(f"{error}. {error.hint}")
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 1
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m qiot.hal.conformance",
        description="Check that a platform does what the HAL contract promises.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("spec", nargs="*", metavar="SPEC", help="the platform, as for --hal: linux:wlan0")
    parser.add_argument("--env", metavar="FILE", type=Path, help="what is around the platform, JSON")
    parser.add_argument("--ssid", default="", help="a network that can be joined")
    parser.add_argument(
        "--password", default="", help="its password; other users of this machine see it, so better use --env"
    )
    parser.add_argument("--yes", action="store_true", help="this machine's own network may change")
    parser.add_argument(
        "--only", action="append", default=[], metavar="PORT[.CHECK]", help="only these; can be repeated"
    )
    parser.add_argument("--patience", type=float, metavar="FACTOR", help="on all time limits (default: 1)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument("--list", action="store_true", help="name the checks and end")
    return parser


def _wanted(only: Sequence[str]) -> Sequence[Check]:
    checks = all_checks()
    for name in only:
        if not any(name in {each.port, each.key} for each in checks):
            raise ConfigurationError(f"there is no check {name!r}", hint="--list names them.")
    return [each for each in checks if not only or {each.port, each.key} & set(only)]


def _run(options: argparse.Namespace, checks: Sequence[Check], folder: str) -> int:
    specs = [parse_spec(spec) for spec in options.spec]
    for spec in specs:
        if spec.name not in platform_names():
            raise ConfigurationError(
                f"there is no platform {spec.name!r}", hint=f"Known here: {', '.join(platform_names())}."
            )
    # A mock without a folder forgets everything when it ends, as no device does.
    specs = [_with_folder(spec, folder) for spec in specs]
    description = read_description(options.env) if options.env else {}
    if options.patience is not None:
        if not options.patience > 0:
            raise ConfigurationError("--patience must be above 0")
        description["patience"] = options.patience
    job = Job(
        specs=[_text(spec) for spec in specs],
        environment=describe(description, specs, ssid=options.ssid, password=options.password),
        disturb=options.yes or all(spec.name == "mock" for spec in specs),
        patience=float(description.get("patience", 1.0)),
    )
    if job.disturb and options.yes:
        sys.stderr.write("This machine's own network will change while the checks run.\n")
    results: list[Result] = []
    table = None if options.json else Table(all_checks())
    with contextlib.closing(_results(job, checks)) as running:
        for result in running:
            results.append(result)
            if table is not None:
                table.add(result)
    counted = Counter(each.outcome for each in results)
    if table is None:
        sys.stdout.write(f"{json.dumps(_as_json(specs, results, counted), indent=2)}\n")
    else:
        table.end(results)
    return 1 if counted[Outcome.FAIL] else 0


def _results(job: Job, checks: Sequence[Check]) -> Generator[Result, None, None]:
    """All results; where the platform cannot even be opened, that is said once."""
    (opening, *_) = all_checks()
    others = [each for each in checks if each.key != opening.key]
    with contextlib.closing(run_job(job, [opening, *others])) as running:
        for result in running:
            yield result
            if result.check is opening and result.outcome is Outcome.FAIL:
                break
        else:
            return
    for each in others:
        yield Result(each, Outcome.NOT_CLAIMED, "not run: the platform does not open and close")


def _with_folder(spec: PlatformSpec, folder: str) -> PlatformSpec:
    if spec.name != "mock" or "state" in spec.options:
        return spec
    return attrs.evolve(spec, options={**spec.options, "state": folder})


def _text(spec: PlatformSpec) -> str:
    options = "".join(f",{key}={value.replace(',', chr(92) + ',')}" for key, value in spec.options.items())
    return f"{spec.name}:{spec.argument}{options}" if spec.argument else f"{spec.name}{options}"


def _as_json(
    specs: Sequence[PlatformSpec], results: Sequence[Result], counted: Counter[Outcome]
) -> dict[str, Any]:
    return {
        "platform": [f"{each.name}:{each.argument}" if each.argument else each.name for each in specs],
        "summary": {outcome.value: counted[outcome] for outcome in Outcome},
        "results": [
            {
                "port": each.check.port,
                "verb": each.check.verb,
                "check": each.check.name,
                "result": each.outcome.value,
                "why": each.why,
                "seconds": round(each.seconds, 3),
            }
            for each in results
        ],
    }
