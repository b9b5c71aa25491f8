"""Reads what `lab/run` prints."""

from __future__ import annotations

import re


def outcomes(stdout: str) -> dict[str, str]:
    """The final table: the outcome of each test by its short name."""
    rows = re.findall(r"^([A-Z]+) +[\d.]+  (\S+)$", stdout.partition("RESULT ")[2], re.MULTILINE)
    return {name.rpartition("::")[2]: outcome for outcome, name in rows}
