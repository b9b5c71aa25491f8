"""The pytest classes as an outside team uses them, in a folder and with a configuration of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

OUTSIDE = '''
import pytest
from qiot.hal.conformance import (
    CameraConformance, Environment, PlatformConformance, StorageConformance, WifiConformance,
)
from qiot.hal.mock import MockPlatform
from qiot.hal.registry import PlatformSpec

class Forgetful(MockPlatform):
    """It forgets to close its descriptors."""

    async def close(self):
        self.kept = open("/dev/null")
        await super().close()

class Mock:
    @pytest.fixture
    def platform(self, tmp_path):
        return lambda: MockPlatform(PlatformSpec("mock", options={"state": str(tmp_path)}))

class TestStorage(Mock, StorageConformance):
    pass

class TestCamera(Mock, CameraConformance):
    pass

class TestForgetful(StorageConformance):
    @pytest.fixture
    def platform(self):
        kept = []
        def make():
            kept.append(Forgetful(PlatformSpec("mock")))
            return kept[-1]
        return make

    @pytest.fixture
    def environment(self):
        return Environment(patience=0.1)

class TestNothing(PlatformConformance):
    pass
'''


@pytest.mark.parametrize("plugin", [["-p", "no:asyncio"], ["--asyncio-mode=strict"], ["--asyncio-mode=auto"]])
def test_in_a_project_of_its_own(tmp_path: Path, plugin: list[str]) -> None:
    (tmp_path / "test_outside.py").write_text(OUTSIDE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    words = [sys.executable, "-m", "pytest", "-q", "-rsfE", "-p", "no:cacheprovider", *plugin]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1, done.stdout + done.stderr
    report = done.stdout
    assert "not claimed: Camera: the mock has no such port in this version" in report
    assert "Storage.save: left behind after close: the descriptor of /dev/null" in report
    assert "give the fixture `platform`" in report
    assert "TestStorage" not in report.partition("short test summary")[2].replace("SKIPPED", "")


def test_the_command_does_without_pytest() -> None:
    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "from qiot.hal.conformance.command import main\n"
        "sys.exit(main(['--list']))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Wifi.a_join_gives_an_address" in done.stdout
