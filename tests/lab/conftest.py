"""A checkout with the lab and a few tests of its own, and a qemu that is none."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

TESTS = """
import os
import signal
import time
import pytest

@pytest.mark.smoke
@pytest.mark.duration(3)
def test_good():
    pass

def test_bad():
    assert 1 + 1 == 3, "the sum is wrong"

@pytest.mark.limit(1)
def test_endless():
    while True:
        time.sleep(0.01)

def test_skipped():
    pytest.skip("not today")

@pytest.mark.may_skip
def test_may_be_skipped():
    pytest.skip("not today either")

@pytest.mark.vm("own")
@pytest.mark.duration(99)
def test_exit():
    os._exit(0)

@pytest.mark.vm("own")
def test_after_exit():
    pass
"""

# The runner as it is, on a machine that has everything.
DRIVER = """
import sys
from pathlib import Path
sys.path[0] = {checkout!r}
from lab.host import requirements
requirements.missing = lambda: []
requirements.find = lambda name: Path({python!r})
from lab.host.command import main
sys.exit(main())
"""


class Checkout:
    """A copy of the lab with tests of its own, run in a subprocess against the fake qemu."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkout"
        self.cache = folder / "cache"
        left_out = shutil.ignore_patterns("__pycache__", "tests", "support", "faults")
        shutil.copytree(ROOT / "lab", self.folder / "lab", ignore=left_out)
        (self.folder / "pyproject.toml").write_text("[project]\ndependencies = []\n")
        self.tests = self.folder / "lab" / "tests"
        self.tests.mkdir()
        self.write(TESTS)
        self._driver = folder / "driver.py"
        self._driver.write_text(DRIVER.format(checkout=str(self.folder), python=sys.executable))
        self._programs = folder / "bin"
        self._programs.mkdir()
        qemu = self._programs / "qemu-system-x86_64"
        qemu.write_text(f"#!{sys.executable}\n{(ROOT / 'tests/lab/fake_qemu.py').read_text()}")
        qemu.chmod(0o755)
        self._fake_kernel()
        self.locks = folder / "locks"
        self.locks.mkdir()

    def _fake_kernel(self) -> None:
        kernel = self.cache / "kernel" / "linux-fake"
        modules = kernel / "lib" / "modules" / "1.0"
        modules.mkdir(parents=True)
        (kernel / "boot").mkdir()
        (kernel / "boot" / "vmlinux-1.0").write_bytes(b"\x7fELF")
        (modules / "modules.dep").write_text("")
        names = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio-rng")
        (modules / "modules.builtin").write_text("".join(f"kernel/{name}.ko\n" for name in names))

    def write(self, text: str, name: str = "test_fake.py") -> None:
        (self.tests / name).write_text(text)

    def start(self, *arguments: str, mode: str = "") -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "PATH": f"{self._programs}:{os.environ['PATH']}",
            "QIOT_LAB_CACHE": str(self.cache),
            "QIOT_LAB_PYTHON": sys.executable,
            "FAKE_QEMU": mode,
            "TMPDIR": str(self.locks),
        }
        command = [sys.executable, str(self._driver), *arguments]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, mode: str = "") -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, mode=mode)
        try:
            stdout, stderr = process.communicate(timeout=120)
        finally:
            process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def pids(self) -> list[int]:
        """The fake machines that were started."""
        return [int(path.read_text() or 0) for path in (self.cache / "runs").glob("*/pid")]


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    made = Checkout(tmp_path)
    yield made
    for pid in made.pids():
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
