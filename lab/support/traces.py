"""What is there now that a test, or a platform under test, could leave behind."""

from __future__ import annotations

from pathlib import Path

from lab.support.programs import run

__all__ = ["traces"]

_NETNS = "/run/netns"  # ip makes it a mount with the first namespace, and leaves it
_PHYS = Path("/sys/class/ieee80211")


def traces() -> dict[str, list[str]]:
    """Programs, network interfaces with their addresses, namespaces, radios and mounts, each sorted.

    Take it before and after; equal means that nothing was left.
    """
    programs = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:  # it ended meanwhile
            continue
        if words[0]:  # the kernel's own have none
            programs.append(b" ".join(words).decode(errors="replace").strip())
    mounts = Path("/proc/mounts").read_text().splitlines()
    return {
        "programs": sorted(programs),
        "interfaces": sorted(run(["ip", "-brief", "address", "show"]).splitlines()),
        "namespaces": sorted(run(["ip", "netns", "list"]).splitlines()),
        "radios": sorted(path.name for path in _PHYS.iterdir()) if _PHYS.exists() else [],
        "mounts": sorted(line for line in mounts if line.split()[1] != _NETNS),
    }
