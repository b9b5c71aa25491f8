"""The device log that a phone can fetch after a failure: the newest ten entries (contract section 7)."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import Final

from qiot.log import mask

__all__ = ["CAPACITY", "DevLog"]

CAPACITY: Final = 10
_ENTRY_MAX: Final = 127
_END: Final = b"\r\n"


class DevLog:
    """A ring of whole entries: the eleventh pushes the first one out, none is ever split."""

    def __init__(self) -> None:
        self._entries: deque[bytes] = deque(maxlen=CAPACITY)

    def push(self, text: str) -> None:
        """Add `<ms>|<function>(<line>): <text>`, cut to 127 octets with its line end; secrets are masked."""
        caller = sys._getframe(1)  # noqa: SLF001 - the C SDK's entries name function and line of the caller
        stamp = int(time.time() * 1000) % 2**32
        head = f"{stamp}|{caller.f_code.co_name}({caller.f_lineno}): "
        entry = (head + mask(text)).encode()[: _ENTRY_MAX - len(_END)]
        self._entries.append(entry.decode(errors="ignore").encode() + _END)

    def lines(self) -> list[bytes]:
        """The entries, oldest first."""
        return list(self._entries)
