"""What has passed before, for the same state of the tree: lets a long run go on where it ended."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

from lab.host.watch import Result

__all__ = ["Memory", "tree_key"]

_KEPT_SECONDS = 14 * 24 * 3600.0
_FOLDERS = ("qiot", "lab")
_FILES = ("pyproject.toml", "device_info.json")


def tree_key(checkout: Path, kernel: str, python: Path) -> str:
    """A name for everything that a lab test's result depends on.

    Args:
        checkout: whose code and lab are tested; documents in it do not count.
        kernel: the guest's kernel version.
        python: the guest's interpreter; the packages beside it count.
    """
    digest = hashlib.sha256(f"{kernel}\n{python}\n".encode())
    for package in sorted(python.parent.parent.glob("lib/python*/site-packages/*.dist-info")):
        digest.update(f"{package.name}\n".encode())
    for path in sorted(_relevant(checkout)):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(checkout)} {content}\n".encode())
    return digest.hexdigest()[:24]


def _relevant(checkout: Path) -> Iterator[Path]:
    for name in _FILES:
        if (checkout / name).is_file():
            yield checkout / name
    for name in _FOLDERS:
        for path in (checkout / name).rglob("*"):
            if path.is_file() and path.suffix not in {".md", ".pyc"}:
                yield path


class Memory:
    """The passed tests of one state of the tree.

    Args:
        folder: where all states are kept; ones that nobody used for two weeks go away.
        key: `tree_key` when the run began.
    """

    def __init__(self, folder: Path, key: str) -> None:
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            if time.time() - old.stat().st_mtime > _KEPT_SECONDS:
                old.unlink(missing_ok=True)
        self._key = key
        self._file = folder / f"{key}.jsonl"

    def passed(self) -> dict[str, Result]:
        """What has passed, by node id."""
        if not self._file.exists():
            return {}
        found: dict[str, Result] = {}
        for line in self._file.read_text().splitlines():
            entry = json.loads(line)
            found.pop(entry["test"], None)
            if entry["passed"]:
                found[entry["test"]] = Result(entry["test"], "passed", entry["seconds"])
        return found

    def keep(self, result: Result, key_now: str) -> None:
        """Remember that a test passed, or that it does not always.

        Args:
            result: of any outcome; the last one counts.
            key_now: the tree's key now: what ran while files changed proves nothing about either state.
        """
        if key_now == self._key:
            entry = {"test": result.test, "passed": result.passed, "seconds": round(result.seconds, 3)}
            line = json.dumps(entry)
            with self._file.open("a") as file:
                file.write(f"{line}\n")
