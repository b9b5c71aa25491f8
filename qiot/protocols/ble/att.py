"""Numbers of the attribute protocol (Bluetooth Core 5.4, volume 3, part F)."""

from __future__ import annotations

from typing import Final

__all__ = ["ATT_DEFAULT", "ATT_HEADER", "ATT_MAX"]

ATT_DEFAULT: Final = 23
"""The ATT MTU before it is exchanged (part G, 5.2.1)."""
ATT_MAX: Final = 517
"""The largest of use: a value of 512 octets (3.2.9) and the head of a prepared write."""
ATT_HEADER: Final = 3
"""Opcode and handle before the value that is written or notified (3.4.5, 3.4.7)."""
