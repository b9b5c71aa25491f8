"""The targets of the fuzzer take their own seeds; that needs no atheris, and keeps them from rotting."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import qiot

FUZZ = Path(__file__).resolve().parent.parent / "fuzz"
TARGETS = sorted(FUZZ.glob("fuzz_*.py"))


def run(target: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a target with the same qiot as these tests."""
    environment = {**os.environ, "PYTHONPATH": str(Path(qiot.__file__).parent.parent)}
    command = [sys.executable, target, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_there_are_targets() -> None:
    assert {"fuzz_captures.py", "fuzz_frames.py", "fuzz_lengths.py", "fuzz_codecs.py"} <= {
        target.name for target in TARGETS
    }


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.stem)
def test_a_target_takes_its_seeds(target: Path) -> None:
    done = run(target, "--check")
    assert done.returncode == 0, done.stderr


def test_seeds_are_written(tmp_path: Path) -> None:
    assert run(FUZZ / "fuzz_lengths.py", "--seeds", str(tmp_path)).returncode == 0
    assert len(list(tmp_path.iterdir())) > 3
