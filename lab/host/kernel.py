"""Debian's kernel, unpacked into the cache: nothing of it is installed on this machine."""

from __future__ import annotations

import contextlib
import lzma
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab.host.places import locked
from lab.host.trouble import CannotRunError

__all__ = ["Kernel", "unpacked_kernel"]

_META_PACKAGE = "linux-image-amd64"
_XZ = b"\xfd7zXZ\0"
_ELF = b"\x7fELF"
_MODULES = ("mac80211_hwsim", "hci_vhci", "dummy_hcd", "9p", "overlay")


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel to boot.

    Attributes:
        folder: the unpacked package.
        version: the name uname gives it, for example 6.1.0-40-amd64.
    """

    folder: Path
    version: str

    @property
    def image(self) -> Path:
        """The file that qemu loads: not compressed, which saves half of the time to boot."""
        return self.folder / "boot" / f"vmlinux-{self.version}"

    @property
    def modules(self) -> Path:
        """The folder that the guest sees as /lib/modules/VERSION."""
        return self.folder / "lib" / "modules" / self.version


def unpacked_kernel(cache: Path, *, update: bool = False) -> Kernel:
    """Find the newest kernel in `cache`, or download and unpack the one that Debian's meta package names.

    Needs no root: apt-get download and dpkg-deb write only into `cache`.

    Args:
        cache: where it is kept.
        update: run apt-get update (which needs root) when apt's lists are of no help.

    Raises:
        CannotRunError: apt knows no kernel (its lists are missing or old), or the download failed.
    """
    store = cache / "kernel"
    store.mkdir(exist_ok=True)
    with locked(cache / "kernel.lock"):
        found = _found(store)
        if found is None:
            try:
                _fetch(_package_name(), store)
            except CannotRunError:
                if not update:
                    raise
                _call(["apt-get", "update", "-q"], store, "It needs root and a network.")
                _fetch(_package_name(), store)
            found = _found(store)
    if found is None:
        raise CannotRunError(f"{store} has no bootable kernel after unpacking. Delete it and try again.")
    return found


def _found(store: Path) -> Kernel | None:
    images = sorted(store.glob("linux-*/boot/vmlinux-*"), key=lambda path: path.stat().st_mtime)
    return Kernel(images[-1].parent.parent, images[-1].name.removeprefix("vmlinux-")) if images else None


def _package_name() -> str:
    command = ["apt-cache", "depends", _META_PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    match = re.search(r"Depends: (linux-image-\S+)", done.stdout)
    if match is None:
        raise CannotRunError(
            f"apt does not know {_META_PACKAGE}. Run apt-get update as root (lab/run --install does it), "
            "on Debian for amd64."
        )
    return match[1]


def _fetch(package: str, store: Path) -> None:
    """Unpack beside the final place and rename: an interrupted run leaves no half kernel."""
    print(f"lab: fetching {package} (about 70 MB, once)", flush=True)
    with tempfile.TemporaryDirectory(dir=store, prefix="new-") as name:
        work = Path(name)
        _call(["apt-get", "download", "-q", package], work, "Run apt-get update as root and try again.")
        (archive,) = work.glob("*.deb")
        tree = work / "tree"
        _call(["dpkg-deb", "-x", str(archive), str(tree)], work, "The download is broken; try again.")
        (image,) = (tree / "boot").glob("vmlinuz-*")
        version = image.name.removeprefix("vmlinuz-")
        _call(["depmod", "-b", str(tree), version], work, "Is the package kmod installed?")
        plain = image.with_name(f"vmlinux-{version}")
        plain.write_bytes(plain_kernel(image.read_bytes()))
        listed = (tree / "lib" / "modules" / version / "modules.dep").read_text()
        missing = [name for name in _MODULES if not re.search(rf"/{name}\.ko(\.xz)?:", listed)]
        if missing:
            raise CannotRunError(
                f"{package} has no module {', '.join(missing)}: the lab needs Debian's kernel."
            )
        shutil.rmtree(store / package, ignore_errors=True)
        tree.rename(store / package)


def plain_kernel(image: bytes) -> bytes:
    """Take the ELF file out of a compressed kernel.

    qemu starts it directly (PVH); the kernel's own decompressor takes seconds in an emulated processor.

    Raises:
        CannotRunError: it is not compressed with xz, as Debian's is.
    """
    start = image.find(_XZ)
    while start >= 0:
        with contextlib.suppress(lzma.LZMAError):
            plain = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(image[start:])
            if plain.startswith(_ELF):
                return plain
        start = image.find(_XZ, start + 1)
    raise CannotRunError("The kernel is not compressed with xz: the lab needs Debian's kernel for amd64.")


def _call(command: list[str], folder: Path, hint: str) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, env=_environment()
        )
    except OSError as error:
        raise CannotRunError(f"{command[0]} cannot be run ({error}). {hint}") from error
    if done.returncode != 0:
        raise CannotRunError(f"{' '.join(command)} failed: {done.stderr.strip()} {hint}")


def _environment() -> dict[str, str]:
    # depmod lives in sbin, which is not on an ordinary user's PATH
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
