"""Stands in for qemu: finds /out in its arguments and does what the guest would do there, on this machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

share = next(word for word in sys.argv if word.startswith("local,id=out,"))
out = Path(re.search(r"path=([^,]+)", share)[1])
mode = os.environ.get("FAKE_QEMU", "")
(out / "pid").write_text(str(os.getpid()))
if mode == "refuse":
    sys.exit("qemu: cannot set up guest memory")
if mode == "silent":
    time.sleep(600)
(out / "booted").write_text("1.0\n")
script = (out / "job").read_text().replace("/out", str(out))
environment = {**os.environ, "PWD": str(out)}
for line in (out / "environment").read_text().splitlines():
    name, mark, value = line.removeprefix("export ").partition("=")
    if mark and name != "PATH":
        environment[name] = value.strip("'")
with (out / "stdout").open("wb") as stdout, (out / "stderr").open("wb") as stderr:
    checkout = environment["LAB_CHECKOUT"]
    job = ["bash", "-c", script]
    status = subprocess.run(
        job, cwd=checkout, env=environment, stdout=stdout, stderr=stderr, check=False
    ).returncode
if mode == "crash":
    (out / "console").write_text("Kernel panic - not syncing: on purpose\n")
    sys.exit(0)
(out / "status").write_text(f"{status}\n")
