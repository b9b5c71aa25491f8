"""The process that the platform runs in, so that the command line outlives whatever the platform does.

It reads one JSON object from its standard input (specs, environment, keys of the checks) and writes one JSON
line for each beginning and each result to the descriptor that its argument names.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any, NoReturn

from qiot.errors import ConfigurationError
from qiot.hal.conformance.checks import all_checks
from qiot.hal.conformance.described import make_environment
from qiot.hal.conformance.environment import Environment
from qiot.hal.conformance.run import run_check_now
from qiot.hal.contract import Platform
from qiot.hal.registry import open_platform
from qiot.model import Secret

__all__ = ["main"]

_HIDDEN = "********"


def main(arguments: Sequence[str]) -> NoReturn:
    """Run the checks; a thread that the platform left at work does not keep the process."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    out = int(arguments[0])
    status = 1
    try:
        status = _run(json.load(sys.stdin), out)
    except (KeyboardInterrupt, BrokenPipeError):
        pass
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run(job: dict[str, Any], out: int) -> int:
    def say(**fields: object) -> None:
        os.write(out, json.dumps(fields).encode() + b"\n")

    def factory() -> Platform:
        try:
            return open_platform(*job["specs"])
        except ConfigurationError as error:
            say(usage=str(error), hint=error.hint)
            raise

    checks = {each.key: each for each in all_checks()}
    try:
        environment = make_environment(job["environment"], disturb=job["disturb"], specs=job["specs"])
    except ConfigurationError as error:
        say(usage=str(error), hint=error.hint)
        return 2
    for key in job["checks"]:
        say(begin=key)
        result = run_check_now(checks[key], factory, environment)
        why = _without_secrets(result.why, environment)
        say(end=key, outcome=result.outcome.value, why=why, seconds=round(result.seconds, 3))
    return 0


def _without_secrets(text: str, environment: Environment) -> str:
    for value in vars(environment).values():
        secret = value if isinstance(value, Secret) else getattr(value, "password", None)
        if isinstance(secret, Secret) and secret:
            text = text.replace(secret.reveal().decode(errors="replace"), _HIDDEN)
    return text


if __name__ == "__main__":
    main(sys.argv[1:])
