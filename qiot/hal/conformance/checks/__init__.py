"""The checks, one file for each port; a file's checks are its values of type `Check`."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Sequence
from typing import Final

import attrs

from qiot.hal.conformance.check import Check

__all__ = ["all_checks", "checks_of"]

_FILES: Final = (
    "platform",
    "storage",
    "udp",
    "wifi",
    "wifi_networks",
    "wifi_settle",
    "wifi_forget",
    "soft_ap",
    "together",
    "recover",
    "sniffer",
    "injector",
    "gatt",
    "camera",
    "transport",
    "listener",
)


@functools.cache
def all_checks() -> Sequence[Check]:
    """Every check: what only looks first, then what changes the machine's network."""
    found: list[Check] = []
    for file in _FILES:
        module = importlib.import_module(f"{__name__}.{file}")
        checks = [value for value in vars(module).values() if isinstance(value, Check)]
        if file == "listener":
            checks = [attrs.evolve(each, kind=kind) for kind in module.LISTENERS for each in checks]
        found += checks
    return sorted(found, key=lambda each: each.disturbs)


def checks_of(kind: type) -> Sequence[Check]:
    """The checks of one port of the contract."""
    return [each for each in all_checks() if each.kind is kind]
