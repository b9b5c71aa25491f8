"""The initramfs: a static busybox, the modules that reach the host's files, and a short init."""

from __future__ import annotations

import hashlib
import lzma
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from lab.host.kernel import Kernel
from lab.host.trouble import CannotRunError

__all__ = ["cpio", "initrd", "load_order"]

_NEEDED = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_rng")

# The root is the host's, read-only; what the guest writes goes to a tmpfs over it and is gone afterwards.
_INIT = """#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sys /sys; $b mount -t devtmpfs dev /dev
while read module; do $b insmod "/modules/$module" || $b echo "lab: $module failed"; done </modules/order
die() { $b echo "lab: $*"; $b echo o >/proc/sysrq-trigger; $b sleep 10; }
nine=trans=virtio,version=9p2000.L,msize=512000
$b mount -t 9p -o ro,$nine,cache=loose,access=any root /lower || die "no root file system"
$b mount -t tmpfs -o size=75% tmpfs /upper && $b mkdir /upper/files /upper/work
layers=lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work
$b mount -t overlay -o $layers overlay /new || die "no overlay"
for folder in dev proc sys; do $b mkdir -p /new/$folder; $b mount --move /$folder /new/$folder; done
$b mkdir -p /new/out
$b mount -t 9p -o rw,$nine,cache=none,access=any out /new/out || die "no /out"
exec $b switch_root /new /bin/bash /out/init
"""


def initrd(kernel: Kernel, cache: Path, busybox: Path) -> Path:
    """The initramfs for `kernel`, made when the cache has none.

    Args:
        kernel: whose modules it takes.
        cache: where it is kept, under a name that changes with what is in it.
        busybox: a busybox without shared libraries.
    """
    order = load_order(kernel.modules, _NEEDED)
    told = hashlib.sha256(f"{_INIT}{order}{kernel.version}".encode() + busybox.read_bytes()).hexdigest()[:16]
    image = cache / f"initrd-{kernel.version}-{told}"
    if not image.exists():
        fresh = image.with_name(f"{image.name}.{os.getpid()}")
        fresh.write_bytes(cpio(_members(kernel, order, busybox)))
        fresh.replace(image)
    return image


def _members(kernel: Kernel, order: list[Path], busybox: Path) -> Iterator[tuple[str, int, bytes]]:
    for folder in ("bin", "modules", "proc", "sys", "dev", "lower", "upper", "new"):
        yield folder, stat.S_IFDIR | 0o755, b""
    yield "init", stat.S_IFREG | 0o755, _INIT.encode()
    yield "bin/busybox", stat.S_IFREG | 0o755, busybox.read_bytes()
    names = []
    for path in order:
        data = (kernel.modules / path).read_bytes()
        if path.suffix == ".xz":
            data = lzma.decompress(data)
        names.append(path.name.removesuffix(".xz"))
        yield f"modules/{names[-1]}", stat.S_IFREG | 0o644, data
    yield "modules/order", stat.S_IFREG | 0o644, "".join(f"{name}\n" for name in names).encode()


def load_order(modules: Path, wanted: tuple[str, ...]) -> list[Path]:
    """The files of `wanted` and of all they depend on, each after what it depends on.

    Raises:
        CannotRunError: the kernel has one of them neither as a module nor built in.
    """
    depends: dict[str, tuple[Path, list[Path]]] = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        before, _, after = line.partition(":")
        depends[_module(Path(before))] = Path(before), [Path(name) for name in after.split()]
    builtin = {_module(Path(line)) for line in (modules / "modules.builtin").read_text().splitlines()}
    order: list[Path] = []
    for name in wanted:
        plain = name.replace("-", "_")
        if plain in builtin:
            continue
        if plain not in depends:
            raise CannotRunError(f"The kernel in {modules} has no module {name}.")
        file, others = depends[plain]
        order += [path for path in (*reversed(others), file) if path not in order]
    return order


def _module(path: Path) -> str:
    return path.name.split(".")[0].replace("-", "_")


def cpio(members: Iterator[tuple[str, int, bytes]]) -> bytes:
    """An archive in cpio's "newc" format, which the kernel unpacks (buffer-format.rst in its documentation).

    Args:
        members: (name, mode with the file type, content) of each; folders before what is in them.
    """
    archive = bytearray()
    for inode, (name, mode, data) in enumerate([*members, ("TRAILER!!!", 0, b"")], start=1):
        encoded = name.encode() + b"\0"
        # inode, mode, uid, gid, links, mtime, size, four device numbers, length of the name, check
        fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
        archive += b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        archive += bytes(-len(archive) % 4) + data
        archive += bytes(-len(archive) % 4)
    return bytes(archive)
