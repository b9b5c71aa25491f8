"""Run every target for a bounded number of inputs: exit 0 where nothing broke, else 1.

python fuzz/run.py [--runs 200000] [--seconds 120] [--target NAME] [--seed 1]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
FOUND: Final = HERE / "found"
LENGTH_MAX: Final = 4096
"""Octets of an input."""
SHORTER: Final = {"lengths": 1024}
"""Where every octet costs more."""


def run(target: Path, options: argparse.Namespace) -> bool:
    """One target; True where nothing broke."""
    name = target.stem.removeprefix("fuzz_")
    FOUND.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="qiot-fuzz-") as corpus:
        subprocess.run([sys.executable, target, "--seeds", corpus], check=True)
        command = [
            sys.executable,
            target,
            f"-runs={options.runs}",
            f"-max_total_time={options.seconds}",
            f"-max_len={SHORTER.get(name, LENGTH_MAX)}",
            f"-seed={options.seed}",
            "-timeout=10",
            "-rss_limit_mb=1024",
            "-print_final_stats=1",
            f"-artifact_prefix={FOUND / name}-",
            corpus,
        ]
        print(f"== {name}", flush=True)
        return subprocess.run(command, check=False).returncode == 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them; gives the exit status."""
    targets = {path.stem.removeprefix("fuzz_"): path for path in sorted(HERE.glob("fuzz_*.py"))}
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=200_000, help="inputs for each target (%(default)s)")
    parser.add_argument("--seconds", type=int, default=120, help="at most, for each target (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of libFuzzer's random source (%(default)s)")
    parser.add_argument("--target", choices=targets, action="append", help="only this one")
    options = parser.parse_args(arguments)
    broken = [name for name in options.target or targets if not run(targets[name], options)]
    print(f"broken: {', '.join(broken)}" if broken else "nothing broke", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
