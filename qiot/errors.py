"""One root for everything qiot raises on purpose.

An error carries the typed reason, the number that the other side would know it by, and what to do; whoever
catches it turns it into a `Failure` of the step it happened in, so that the phone, the log and the program
all say the same.
"""

from __future__ import annotations

from typing import ClassVar

from qiot.model import Failure, Reason, Step

__all__ = [
    "CloudError",
    "ConfigurationError",
    "HalError",
    "JoinError",
    "MediumError",
    "NotSupportedError",
    "ProtocolError",
    "QiotError",
    "StorageError",
]


class QiotError(Exception):
    """Root of all errors that qiot raises on purpose.

    Args:
        message: What was wrong, in one sentence, without secrets.
        reason: The typed reason; each class has its own default.
        code: The number the wire or the platform gave (errno, CONNACK code, HTTP status, cloud code).
        hint: What to do. Empty means the reason's own hint.
    """

    default_reason: ClassVar[Reason] = Reason.INTERNAL

    def __init__(
        self, message: str, *, reason: Reason | None = None, code: int | None = None, hint: str = ""
    ) -> None:
        super().__init__(message)
        self.reason = self.default_reason if reason is None else reason
        self.code = code
        self.hint = hint or self.reason.hint

    def failure(self, step: Step) -> Failure:
        """This error as the failure of `step`."""
        return Failure(step=step, reason=self.reason, code=self.code, text=str(self), hint=self.hint)


class ConfigurationError(QiotError):
    """The user's own input cannot be used: a file, an option, an identity. Nothing was started."""

    default_reason = Reason.CONFIGURATION


class ProtocolError(QiotError):
    """The other side sent what its protocol does not allow. A codec raises nothing else on any input."""

    default_reason = Reason.BAD_MESSAGE


class HalError(QiotError):
    """The platform could not do what a verb of the HAL contract promises."""

    default_reason = Reason.PLATFORM


class NotSupportedError(HalError):
    """The platform does not have this port or option; the hint says what to install or to choose."""

    default_reason = Reason.NOT_SUPPORTED


class MediumError(HalError):
    """A socket, radio or link could not be opened or used: busy port, no permission, no such interface."""

    default_reason = Reason.MEDIUM


class StorageError(HalError):
    """A slot could not be read or written; what was stored before is untouched."""

    default_reason = Reason.STORAGE


class JoinError(HalError):
    """The station could not join; the network that was there before is back."""

    default_reason = Reason.JOIN_OTHER


class CloudError(QiotError):
    """Registration, connection or binding failed or was refused.

    Args:
        message: What was wrong.
        reason: The typed reason.
        code: The number the cloud or the transport gave.
        hint: What to do.
        permanent: True where another try with the same input cannot help (the cloud said no).
    """

    default_reason = Reason.CLOUD_MALFORMED

    def __init__(
        self,
        message: str,
        *,
        reason: Reason | None = None,
        code: int | None = None,
        hint: str = "",
        permanent: bool = False,
    ) -> None:
        super().__init__(message, reason=reason, code=code, hint=hint)
        self.permanent = permanent
