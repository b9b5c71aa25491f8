"""Random phones, neighbours and damage over and over: how often something is decoded that nobody sent.

Half of the runs go over the plain channel of the tests, half through the simulated air; every run has another
seed, and a wrong result is printed with it.

    python benchmarks/air_false_decodes.py [--runs 10000] [--seed 0] [--workers 1]
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.protocols.air.random_runs import in_the_air, in_the_channel


def one(seed: int) -> tuple[int, list[str], int]:
    """One run."""
    wrong, results = (in_the_air if seed % 2 else in_the_channel)(seed)
    return seed, wrong, results


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and say what came out; the exit code is 1 where anything was wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args(arguments)
    seeds = range(options.seed, options.seed + options.runs)
    began = time.monotonic()
    false = results = with_results = 0
    with multiprocessing.Pool(options.workers) as pool:
        for count, (seed, wrong, found) in enumerate(pool.imap_unordered(one, seeds, chunksize=10), 1):
            for each in wrong:
                false += 1
                print(f"seed {seed}: {each}", flush=True)
            results += found
            with_results += found > 0
            if count % 500 == 0:
                print(f"{count} runs, {results} results, {false} false", file=sys.stderr, flush=True)
    seconds = time.monotonic() - began
    found = f"{results} results in {with_results} of them, {false} false decodes"
    print(f"{options.runs} runs in {seconds:.0f} s: {found}")
    return 1 if false else 0


if __name__ == "__main__":
    sys.exit(main())
