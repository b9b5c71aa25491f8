"""The Python that runs inside: a virtual environment in the cache, or one that is named."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from lab.host.places import locked, require_visible
from lab.host.trouble import CannotRunError

__all__ = ["guest_python", "wanted_packages"]

_VARIABLE = "QIOT_LAB_PYTHON"
_EXTRAS = ("test", "bumble")


def guest_python(cache: Path, checkout: Path) -> Path:
    """The interpreter with qiot's dependencies and pytest; qiot itself is taken from the checkout.

    QIOT_LAB_PYTHON names one; otherwise one is made in `cache`, once for each list of dependencies.

    Raises:
        CannotRunError: it cannot be made, or the named one has no pytest.
    """
    named = os.environ.get(_VARIABLE)
    if named:
        python = Path(named).expanduser().absolute()
        _check(python, f"{_VARIABLE} names it")
        return python
    packages = wanted_packages(checkout / "pyproject.toml")
    key = hashlib.sha256("\n".join([sys.version, *packages]).encode()).hexdigest()[:16]
    folder = cache / f"venv-{key}"
    with locked(cache / "venv.lock"):
        if not (folder / "complete").exists():
            _make(folder, packages)
    python = folder / "bin" / "python"
    _check(python, f"delete {folder} to have it made again")
    return python


def wanted_packages(pyproject: Path) -> list[str]:
    """The requirements in `pyproject` that a lab test may import."""
    project = tomllib.loads(pyproject.read_text())["project"]
    extras = project.get("optional-dependencies", {})
    return [*project["dependencies"], *(text for name in _EXTRAS for text in extras.get(name, ()))]


def _make(folder: Path, packages: list[str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    print(f"lab: making the guest's Python in {folder} (once)", flush=True)
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [
            str(folder / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            *packages,
        ],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            hint = f"Is python3-venv installed? {_VARIABLE} may name a Python that has what is needed."
            raise CannotRunError(f"{' '.join(command)} failed: {done.stderr.strip()}\n{hint}")
    (folder / "complete").touch()


def _check(python: Path, why: str) -> None:
    require_visible(python, "the guest's Python")
    try:
        command = [str(python), "-c", "import pytest, pytest_asyncio"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise CannotRunError(f"{python} cannot be run ({error}); {why}.") from error
    if done.returncode != 0:
        raise CannotRunError(f"{python} lacks pytest or pytest-asyncio; {why}. {done.stderr.strip()}")
