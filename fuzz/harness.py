"""What every target has in common: instrument the code, run the octets through, try one input again."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

__all__ = ["fuzz", "instrumented"]

_SEEDS, _CHECK = "--seeds", "--check"


def instrumented() -> AbstractContextManager[object]:
    """What is imported within is watched: which branches an input takes leads to the next one."""
    if sys.argv[1:2] in ([_SEEDS], [_CHECK]):
        return contextlib.nullcontext()
    import atheris

    watched: AbstractContextManager[object] = atheris.instrument_imports(include=["qiot"])
    return watched


def fuzz(try_octets: Callable[[bytes], object], seeds: Callable[[], list[bytes]]) -> None:
    """Run a target as libFuzzer's options in `sys.argv` say.

    `--seeds FOLDER` only writes its seeds, `--check` only tries them; neither needs atheris.

    Args:
        try_octets: Raises where something is wrong.
        seeds: Inputs to begin with.
    """
    if sys.argv[1:2] == [_SEEDS]:
        folder = Path(sys.argv[2])
        for number, seed in enumerate(seeds()):
            (folder / f"seed-{number:03}").write_bytes(seed)
        return
    if sys.argv[1:2] == [_CHECK]:
        for seed in seeds():
            try_octets(seed)
        return
    import atheris

    atheris.Setup(sys.argv, try_octets)
    atheris.Fuzz()
