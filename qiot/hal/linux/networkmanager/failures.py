"""Why a join failed: what NetworkManager and wpa_supplicant said of it, as one typed reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from qiot.errors import JoinError
from qiot.hal.linux.networkmanager.activation import Activation
from qiot.hal.linux.networkmanager.names import DeviceReason, DeviceState
from qiot.model import Reason

__all__ = ["join_error"]

_NO_ADDRESS: Final = frozenset(
    {
        DeviceReason.IP_CONFIG_UNAVAILABLE,
        DeviceReason.IP_CONFIG_EXPIRED,
        DeviceReason.DHCP_START_FAILED,
        DeviceReason.DHCP_ERROR,
        DeviceReason.DHCP_FAILED,
    }
)
_OUT_OF_REACH: Final = frozenset(
    {
        DeviceReason.SSID_NOT_FOUND,
        DeviceReason.SUPPLICANT_TIMEOUT,
        DeviceReason.SUPPLICANT_DISCONNECT,
        # It takes a join that takes too long for one with a wrong password; wpa_supplicant knew better.
        DeviceReason.NO_SECRETS,
    }
)
_TEXTS: Final[Mapping[Reason, str]] = {
    Reason.WRONG_PASSWORD: "{name} refused the password",
    Reason.HANDSHAKE_TIMEOUT: "{name} did not go on with the handshake",
    Reason.ASSOCIATION_REFUSED: "{name} refused the association with status {code}",
    Reason.DHCP: "{name} gave no IPv4 address",
    Reason.NO_SUCH_AP: "{name} went out of reach during the join",
    Reason.JOIN_TIMEOUT: "{name} was not joined in time",
    Reason.JOIN_OTHER: "NetworkManager ended the join of {name} (reason {code})",
}


def join_error(name: str, activation: Activation, *, in_time: bool = True) -> JoinError:
    """Why a join failed.

    Args:
        name: The network, for people.
        activation: The join.
        in_time: False where it was not over when its time was.
    """
    reason = _reason(activation, in_time=in_time)
    code = _code(activation, reason)
    return JoinError(_TEXTS[reason].format(name=name, code=code), reason=reason, code=code)


def _reason(activation: Activation, *, in_time: bool) -> Reason:
    """The first that holds."""
    heard, number = activation.association, activation.device_reason
    linked = heard.state in {"", "completed"}
    refused = heard.refusals > 0 and heard.state != "completed"
    no_address = number in _NO_ADDRESS or (not in_time and activation.state >= DeviceState.IP_CONFIG)
    in_handshake = (
        activation.asks_for_password
        or heard.in_handshake
        or (number == DeviceReason.NO_SECRETS and not heard.state)
    )
    rules = (
        (heard.wrong_sae_password, Reason.WRONG_PASSWORD),
        (refused, Reason.ASSOCIATION_REFUSED),
        (no_address and linked, Reason.DHCP),
        (no_address, Reason.NO_SUCH_AP),
        (in_handshake and (heard.disconnect_reason or 0) < 0, Reason.HANDSHAKE_TIMEOUT),
        (in_handshake, Reason.WRONG_PASSWORD),
        (bool(heard.state) and not heard.met, Reason.NO_SUCH_AP),
        (not in_time, Reason.JOIN_TIMEOUT),
        (number in _OUT_OF_REACH, Reason.NO_SUCH_AP),
    )
    return next((reason for holds, reason in rules if holds), Reason.JOIN_OTHER)


def _code(activation: Activation, reason: Reason) -> int | None:
    """The 802.11 status or reason code where there is one, else NetworkManager's reason."""
    heard, number = activation.association, activation.device_reason
    if heard.refusal is not None:
        return heard.refusal
    if heard.disconnect_reason is not None and reason is not Reason.DHCP:
        return abs(heard.disconnect_reason)
    return activation.active_reason if number is None else number
