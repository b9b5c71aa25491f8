"""What the kernel refuses of links and radios, in the words of `qiot.errors`."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from qiot.errors import HalError, MediumError, NotSupportedError
from qiot.model import Reason

__all__ = ["index_of", "refusals"]


def index_of(interface: str) -> int:
    """The kernel's number of an interface.

    Raises:
        OSError: ENODEV where there is none.
    """
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        # Some versions of Python give no number.
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV)) from None


@contextlib.contextmanager
def refusals(
    what: str, interface: str = "", *, gone_is_fine: bool = False, unsupported_passes: bool = False
) -> Iterator[None]:
    """Turn an OSError into a HalError with the same number.

    Args:
        what: What was tried, for the text.
        interface: On which interface.
        gone_is_fine: Nothing is said where there is no such interface.
        unsupported_passes: What the driver refuses now it may do later.

    Raises:
        HalError: NotSupportedError where the driver or the kernel cannot, else MediumError.
    """
    try:
        yield
    except TimeoutError:
        raise
    except OSError as error:
        if gone_is_fine and error.errno in {errno.ENODEV, errno.ENXIO}:
            return
        raise _refused(what, interface, error, unsupported_passes=unsupported_passes) from None


def _refused(what: str, interface: str, error: OSError, *, unsupported_passes: bool) -> HalError:
    code = error.errno
    text, hint, reason = f"{what}: {error.strerror or error}", "", Reason.MEDIUM
    match code:
        case errno.EPERM | errno.EACCES:
            reason, hint = Reason.NO_PERMISSION, "Run as root or give CAP_NET_ADMIN."
        case errno.ENODEV | errno.ENXIO | errno.EINVAL if interface and not _is_wireless(interface):
            text, hint = _missing(interface)
        case errno.ENETDOWN:
            text, hint = f"{what}: the interface is down", "Bring it up first: `ip link set IT up`."
        case errno.ERFKILL:
            text, hint = f"{what}: the radio is switched off", "`rfkill unblock wifi` switches it on."
        case errno.EOPNOTSUPP if unsupported_passes:
            text = f"{what}: the radio cannot do it now"
        case errno.EOPNOTSUPP:
            return NotSupportedError(f"{text}: the driver refuses", code=code)
        case errno.ENOENT | errno.EPROTONOSUPPORT:
            return NotSupportedError(
                f"{what}: this kernel has no nl80211", code=code, hint="Plug in or enable a Wi-Fi adapter."
            )
        case _:
            pass
    return MediumError(text, reason=reason, code=code, hint=hint)


def _is_wireless(interface: str) -> bool:
    return Path("/sys/class/net", interface, "phy80211").exists()


def _missing(interface: str) -> tuple[str, str]:
    if interface in {name for _, name in socket.if_nameindex()}:
        return f"{interface} is not wireless", "`iw dev` shows those that are."
    return f"there is no interface {interface}", "`ip link` shows those that are there."
