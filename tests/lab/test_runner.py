"""`lab/run` from its command line to its exit status, with real pytest and a machine that is none."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable

import pytest

from tests.lab.conftest import Checkout, alive
from tests.lab.outcomes import outcomes


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_all_good_is_zero(checkout: Checkout) -> None:
    done = checkout.run("test_fake", "-k", "good or may_be")
    assert done.returncode == 0, done.stdout + done.stderr
    assert outcomes(done.stdout) == {"test_good": "PASSED", "test_may_be_skipped": "PASSED"}
    assert "PASSED: 2 of 2" in done.stdout
    assert not list((checkout.cache / "runs").iterdir())


def test_every_kind_of_failure_is_told(checkout: Checkout) -> None:
    done = checkout.run("--all", "--jobs", "1")
    assert done.returncode == 1
    assert outcomes(done.stdout) == {
        "test_good": "PASSED",
        "test_bad": "FAILED",
        "test_endless": "FAILED",
        "test_skipped": "SKIPPED",
        "test_may_be_skipped": "PASSED",
        "test_exit": "LOST",
        "test_after_exit": "LOST",
    }
    assert "the sum is wrong" in done.stdout
    assert "the test's limit (1 s) was over" in done.stdout
    assert "FAILED: 2 of 7" in done.stdout
    first = re.search(r"^ *\[1/7\] (\S+) .*::(\S+)$", done.stdout, re.MULTILINE)
    assert first, "results come one by one"
    assert first[2] == "test_exit", "the machine that takes longest comes first"


def test_a_machine_that_crashes_fails_its_tests(checkout: Checkout) -> None:
    checkout.write("import os\ndef test_last():\n    os._exit(0)\n")
    done = checkout.run("test_fake", mode="crash")
    assert done.returncode == 1
    assert outcomes(done.stdout) == {"test_last": "CRASHED"}
    assert "Kernel panic - not syncing: on purpose" in done.stdout


def test_a_machine_that_crashes_at_the_end_is_no_success(checkout: Checkout) -> None:
    done = checkout.run("test_fake", "-k", "good", mode="crash")
    assert done.returncode == 1
    assert outcomes(done.stdout) == {"test_good": "CRASHED"}
    again = checkout.run("test_fake", "-k", "good", "--resume")
    assert outcomes(again.stdout) == {"test_good": "PASSED"}, "it must not be remembered as passed"


def test_a_machine_that_does_not_start(checkout: Checkout) -> None:
    done = checkout.run("test_fake", "-k", "good", mode="refuse")
    assert done.returncode == 1
    assert outcomes(done.stdout) == {"test_good": "LOST"}
    assert "cannot set up guest memory" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_kills_the_machines(checkout: Checkout, number: signal.Signals) -> None:
    process = checkout.start("test_fake", mode="silent")
    until(lambda: checkout.pids() and all(checkout.pids()))
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "no machine is left" in stderr
    assert not any(alive(pid) for pid in checkout.pids())


def test_a_killed_runner_takes_its_machines_along(checkout: Checkout) -> None:
    process = checkout.start("test_fake", mode="silent")
    until(lambda: checkout.pids() and all(checkout.pids()))
    process.kill()
    process.communicate(timeout=60)
    until(lambda: not any(alive(pid) for pid in checkout.pids()))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "say one of"),
        (("test_fake", "--smoke"), "say one of"),
        (("test_nothing",), "no such test"),
        (("test_fake", "-k", "nothing"), "No test is selected"),
        (("test_fake::test_nothing",), "cannot be collected"),
        (("--all", "--jobs", "0"), "no number from 1"),
    ],
)
def test_wrong_use_is_two(checkout: Checkout, arguments: tuple[str, ...], text: str) -> None:
    done = checkout.run(*arguments)
    assert done.returncode == 2
    assert text in done.stderr


def test_a_module_that_cannot_be_imported_is_said_before_any_machine_starts(checkout: Checkout) -> None:
    checkout.write("import nothing_of_this_name\n", "test_broken.py")
    done = checkout.run("--all")
    assert done.returncode == 2
    assert "nothing_of_this_name" in done.stderr
    assert not checkout.pids()


def test_the_smoke_set_and_the_list(checkout: Checkout) -> None:
    done = checkout.run("--smoke", "--list")
    assert done.returncode == 0
    assert "test_fake: 1 tests, about 3 s" in done.stdout
    assert "test_good" in done.stdout
    assert not (checkout.cache / "runs").exists()


def test_resuming_leaves_out_what_passed_until_a_file_changes(checkout: Checkout) -> None:
    checkout.run("test_fake", "-k", "good or bad")
    again = checkout.run("test_fake", "-k", "good or bad", "--resume")
    assert again.returncode == 1
    assert outcomes(again.stdout) == {"test_good": "EARLIER", "test_bad": "FAILED"}
    nothing = checkout.run("test_fake", "-k", "good", "--resume")
    assert nothing.returncode == 0
    assert outcomes(nothing.stdout) == {"test_good": "EARLIER"}
    (checkout.folder / "qiot").mkdir()
    (checkout.folder / "qiot" / "model.py").write_text("")
    changed = checkout.run("test_fake", "-k", "good", "--resume")
    assert outcomes(changed.stdout) == {"test_good": "PASSED"}


def test_a_result_from_while_files_were_changed_is_not_remembered(checkout: Checkout) -> None:
    target = checkout.folder / "device_info.json"
    checkout.write(
        f"from pathlib import Path\ndef test_x():\n    Path({str(target)!r}).write_text('changed')\n"
    )
    assert checkout.run("test_fake").returncode == 0
    again = checkout.run("test_fake", "--resume")
    assert outcomes(again.stdout) == {"test_x": "PASSED"}


def test_a_shell_command_has_its_output_and_its_status(checkout: Checkout) -> None:
    done = checkout.run("--shell", "echo seen; echo complaint >&2; exit 3")
    assert done.returncode == 3
    assert done.stdout == "seen\n"
    assert "complaint\n" in done.stderr


def test_a_shell_command_on_a_crashed_machine_failed(checkout: Checkout) -> None:
    done = checkout.run("--shell", "true", mode="crash")
    assert done.returncode == 1
    assert "the machine crashed" in done.stderr


def test_a_shell_command_that_takes_too_long_is_stopped(checkout: Checkout) -> None:
    done = checkout.run("--shell", "sleep 600", "--limit", "1")
    assert done.returncode == 1
    assert "over its limit of 1 s" in done.stderr


def test_what_the_guest_writes_is_one_json_object_a_line(checkout: Checkout) -> None:
    checkout.run("test_fake", "-k", "good or bad")
    (folder,) = (checkout.cache / "runs").iterdir()
    events = [json.loads(line) for line in (folder / "results").read_text().splitlines()]
    assert [event["event"] for event in events] == [
        "collected", "start", "result", "start", "result", "finished",
    ]  # fmt: skip
