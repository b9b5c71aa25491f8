"""Real machines that fail, crash and hang, and what the runner makes of them.

It wants all that the lab wants and takes three minutes: ``QIOT_LAB_TRUTH=1 pytest tests/lab/test_truth.py``.
"""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.lab.conftest import ROOT
from tests.lab.outcomes import outcomes


@pytest.mark.skipif("QIOT_LAB_TRUTH" not in os.environ, reason="boots real machines: QIOT_LAB_TRUTH=1")
def test_real_machines_that_fail_crash_and_hang_are_called_by_their_names() -> None:
    command = [str(ROOT / "lab" / "run"), "lab/faults/test_faults.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 1, done.stderr
    assert outcomes(done.stdout) == {
        "test_that_passes": "PASSED",
        "test_that_fails": "FAILED",
        "test_that_is_skipped": "SKIPPED",
        "test_that_may_be_skipped": "PASSED",
        "test_that_never_ends": "FAILED",
        "test_whose_end_is_broken": "FAILED",
        "test_that_ends_the_interpreter": "LOST",
        "test_after_the_end_of_the_interpreter": "LOST",
        "test_that_never_ends_and_hears_no_signal": "LOST",
        "test_that_crashes_the_kernel": "CRASHED",
        "test_after_the_crash": "LOST",
        "test_that_stops_everything": "HUNG",
        "test_that_switches_the_machine_off": "CRASHED",
    }
    assert "the test's limit (2 s) was over" in done.stdout
    assert "Kernel panic - not syncing: sysrq triggered crash" in done.stdout
