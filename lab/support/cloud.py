"""The local cloud, behind the home access point."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from lab.support.namespaces import Namespace
from lab.support.programs import Daemon

__all__ = ["Cloud"]


class Cloud:
    """`python -m qiot.testbed.cloud` in a namespace.

    Args:
        namespace: where it runs; the home access point's, so that it is behind it.
        host: the address it listens on.
        options: more of its command line, for example ``["--mode", "/run/faults.json"]``.
    """

    def __init__(self, namespace: Namespace, host: str, options: Sequence[str] = ()) -> None:
        words = [os.environ.get("LAB_PYTHON", "python3"), "-m", "qiot.testbed.cloud"]
        words += ["--host", host, "--json", *options]
        self._daemon = Daemon("cloud", words, namespace=namespace.name)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._daemon.start(lambda: self.records("ready"), 60)

    def stop(self) -> None:
        """Stop it. Stopping twice is harmless."""
        self._daemon.stop()

    def records(self, event: str | None = None) -> list[dict[str, Any]]:
        """What it has told so far, in its own JSON; with `event`, only the records of that event."""
        lines = self._daemon.text().splitlines(keepends=True)
        records = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]
        return [record for record in records if event is None or record.get("event") == event]

    @property
    def http_url(self) -> str:
        """Where devices register and phones' applications call."""
        return str(self.records("ready")[0]["http"])

    @property
    def mqtt_url(self) -> str:
        """Where devices connect."""
        return str(self.records("ready")[0]["mqtt"])
