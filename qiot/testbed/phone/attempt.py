"""What every exchange of the phone has in common: how it tells what happens, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from qiot.errors import QiotError
from qiot.model import Reason, Secret

__all__ = ["Happening", "OnEvent", "Teller", "secret", "why_failed"]

Happening: TypeAlias = Mapping[str, str | int | bool]
"""One step, without passwords and tokens; `event` says which:

- `token`: the API has made one; `socket`: localPort, device; `sent`: copy, octets;
- `reply`: cmdType and its fields, sender; `ignored`: text, sender; `log`: text, sender;
- `error`: source "device" with current, text and sender, or "network" with text;
- `poll`: count, and state or text;
- `answered`, `bound`: productId, deviceName; `failed`: text, reason, hint;
- through the air: `listening`: port; `sending`: part or datagrams; `ack`: mac, ip, sender; `acked`: device.
"""

OnEvent: TypeAlias = Callable[[Happening], None]


def secret(value: Secret | str) -> Secret:
    """A secret that may have been given as text."""
    return value if isinstance(value, Secret) else Secret(value)


class Teller:
    """Tells the steps, with the secrets taken out of what the other sides said.

    Args:
        on_event: Whom to tell, or None.
    """

    def __init__(self, on_event: OnEvent | None) -> None:
        self._on_event = on_event
        self._hidden: list[str] = []

    def hide(self, value: Secret) -> None:
        """From now on show `***` for this."""
        if value:
            # What is no text cannot stand in a text.
            with contextlib.suppress(UnicodeDecodeError):
                self._hidden.append(value.text())

    def clean(self, text: str) -> str:
        """The text without secrets."""
        for hidden in self._hidden:
            text = text.replace(hidden, "***")
        return text

    def tell(self, event: str, /, **facts: str | int | bool) -> None:
        """Tell one step."""
        if self._on_event is not None:
            cleaned = {
                key: self.clean(each) if isinstance(each, str) else each for key, each in facts.items()
            }
            self._on_event({"event": event, **cleaned})


async def why_failed(
    attempt: Awaitable[None],
    timeout: float | None,
    teller: Teller,
    late: Callable[[], tuple[str, str]] = lambda: ("", "Give it more time with --timeout."),
) -> str:
    """Run an attempt and tell a failure.

    Args:
        attempt: It raises `QiotError` where it fails.
        timeout: Seconds for the whole of it, or None.
        teller: Whom to tell.
        late: What was waited for when the time was over, and what to do.

    Returns:
        What went wrong, empty where nothing did.
    """
    try:
        async with asyncio.timeout(timeout):
            await attempt
    except TimeoutError:
        waiting, hint = late()
        text, reason = f"no end within {timeout} s{waiting and ': '}{waiting}", Reason.TIMEOUT
    except QiotError as error:
        text, reason, hint = teller.clean(str(error)), error.reason, error.hint
    else:
        return ""
    teller.tell("failed", text=text, reason=reason.value, hint=hint)
    return text
