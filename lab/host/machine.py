"""One virtual machine: boots the kernel on this machine's own root file system, runs a job, ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.host.kernel import Kernel
from lab.host.places import CHECKOUT

__all__ = ["Ending", "Image", "Job", "Machine", "running_cores"]

_POLL = 0.1
_BOOT_LIMIT = 240.0


@dataclass(frozen=True, slots=True)
class Image:
    """What every machine boots.

    Attributes:
        kernel: the kernel and its modules.
        initrd: the initramfs.
        python: the interpreter the guest uses, a path on the shared root.
        memory: megabytes for one machine.
        cpus: virtual processors for one machine.
    """

    kernel: Kernel
    initrd: Path
    python: Path
    memory: int = 1024
    cpus: int = 1


@dataclass(frozen=True, slots=True)
class Job:
    """What a machine does after booting.

    Attributes:
        script: a bash script; its output goes to the files stdout and stderr, its status ends the job.
        files: put into /out for it, by name.
        limit: seconds after which a machine is stopped, whatever it does.
    """

    script: str
    files: dict[str, str] = field(default_factory=dict)
    limit: float = 1800.0


@dataclass(frozen=True, slots=True)
class Ending:
    """How a machine ended.

    Attributes:
        status: the job's exit status; None when the machine ended without one.
        fault: what went wrong with the machine itself, "" when nothing did.
        booted: seconds from start to the job, None when it came to no job.
        seconds: from start to end.
    """

    status: int | None
    fault: str
    booted: float | None
    seconds: float


class Machine:
    """A virtual machine that is run once.

    Args:
        image: what to boot.
        job: what to do then.
        out: an empty folder that the guest sees, writable, as /out.
        look: called about ten times a second while the machine runs, with whether the guest is up; what it
            returns, unless "", is a fault and stops the machine.
    """

    def __init__(
        self, image: Image, job: Job, out: Path, look: Callable[[bool], str] = lambda _up: ""
    ) -> None:
        self._image = image
        self._job = job
        self._out = out
        self._look = look
        self._started = 0.0
        self._booted: float | None = None

    def command(self) -> list[str]:
        """The qemu command. TCG always: /dev/kvm may open and still not work inside another machine."""
        image = self._image
        command = ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64"]
        command += ["-machine", "q35,usb=off,vmport=off", "-accel", "tcg,thread=multi,tb-size=512"]
        command += ["-cpu", "max", "-smp", str(image.cpus), "-m", str(image.memory)]
        command += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
        command += ["-serial", f"file:{_escaped(self._out / 'console')}", "-device", "virtio-rng-pci"]
        command += ["-kernel", str(image.kernel.image), "-initrd", str(image.initrd)]
        command += ["-append", "console=ttyS0 quiet loglevel=4 panic=-1 oops=panic mitigations=off nokaslr"]
        for name, path, options in (("root", Path("/"), ",readonly=on"), ("out", self._out, "")):
            share = f"local,id={name},path={_escaped(path)},security_model=none,multidevs=remap{options}"
            command += ["-fsdev", share, "-device", f"virtio-9p-pci,fsdev={name},mount_tag={name}"]
        return command

    async def run(self, keep: Sequence[int] = ()) -> Ending:
        """Boot, do the job, end. A cancelled run kills the machine.

        Args:
            keep: descriptors that the machine inherits and holds as long as it lives.
        """
        self._write_files()
        self._started = time.monotonic()
        with (self._out / "qemu").open("wb") as told:
            process = await asyncio.create_subprocess_exec(
                *self.command(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=told,
                stderr=told,
                pass_fds=tuple(keep),
                start_new_session=True,  # Ctrl-C is for us: we end the machines ourselves
            )
        fault = ""
        try:
            while process.returncode is None and not fault:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), _POLL)
                fault = self._fault()
        finally:
            if process.returncode is None:
                process.kill()
                await asyncio.shield(process.wait())
        return self._ending(fault, process.returncode)

    def _write_files(self) -> None:
        image = self._image
        names = {
            "LAB_CHECKOUT": CHECKOUT,
            "LAB_MODULES": image.kernel.modules,
            "LAB_PYTHON": image.python,
            "PYTHONPATH": CHECKOUT,
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        lines = [f"export {name}={shlex.quote(str(value))}\n" for name, value in names.items()]
        lines.append(f"PATH={shlex.quote(str(image.python.parent))}:$PATH\n")
        (self._out / "environment").write_text("".join(lines))
        (self._out / "job").write_text(self._job.script)
        shutil.copyfile(CHECKOUT / "lab" / "guest" / "init", self._out / "init")
        for name, content in self._job.files.items():
            (self._out / name).write_text(content)

    def _fault(self) -> str:
        ran = time.monotonic() - self._started
        if self._booted is None:
            if (self._out / "booted").exists():
                self._booted = ran
            elif ran > _BOOT_LIMIT:
                return f"the machine hung: not booted after {_BOOT_LIMIT:.0f} s"
        if ran > self._job.limit:
            return f"the machine was stopped: over its limit of {self._job.limit:.0f} s"
        return self._look(self._booted is not None)

    def _ending(self, fault: str, code: int | None) -> Ending:
        status = None
        with contextlib.suppress(OSError, ValueError):
            status = int((self._out / "status").read_text())
        if status is None and not fault:
            fault = "the machine crashed: it ended before its job did"
            if code:
                fault = f"the machine crashed: qemu ended with {code}: {_tail(self._out / 'qemu', 5)}"
        return Ending(status, fault, self._booted, time.monotonic() - self._started)


def _escaped(path: Path) -> str:
    return str(path).replace(",", ",,")


def _tail(path: Path, lines: int) -> str:
    with contextlib.suppress(OSError):
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    return ""


def running_cores() -> int:
    """The processors this process may use."""
    return len(os.sched_getaffinity(0))
