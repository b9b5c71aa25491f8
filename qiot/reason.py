"""Why things fail, and what a user can do about each."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

__all__ = ["Reason"]


class Reason(enum.StrEnum):
    """Why something failed. The edges map it to the numbers of each wire; `hint` says what to do."""

    CONFIGURATION = "configuration"
    MEDIUM = "medium"
    PORT_BUSY = "port busy"
    NO_PERMISSION = "no permission"
    NOT_SUPPORTED = "not supported"
    PLATFORM = "platform"
    STORAGE = "storage"
    BAD_MESSAGE = "bad message"
    BAD_FIELD = "bad field"
    WRONG_PASSWORD = "wrong password"  # noqa: S105 - a reason, not a password
    HANDSHAKE_TIMEOUT = "handshake time-out"
    NO_SUCH_AP = "no such access point"
    ASSOCIATION_REFUSED = "association refused"
    DHCP = "no address by DHCP"
    JOIN_TIMEOUT = "join time-out"
    UNSUPPORTED_SECURITY = "unsupported security"
    JOIN_OTHER = "join failed"
    NO_SAVED_NETWORK = "no saved network"
    DNS = "name not resolved"
    TCP = "not reachable"
    TLS = "TLS"
    HTTP = "HTTP status"
    CLOUD_TIMEOUT = "cloud did not answer"
    CLOUD_MALFORMED = "cloud answer not understood"
    REGISTRATION_REFUSED = "registration refused"
    MQTT_REFUSED = "MQTT connection refused"
    MQTT_SUBSCRIBE = "MQTT subscription refused"
    MQTT_LOST = "MQTT connection lost"
    TOKEN_SEND = "token not delivered"  # noqa: S105 - a reason, not a token
    TOKEN_REFUSED = "token refused"  # noqa: S105
    TOKEN_MALFORMED = "token reply not understood"  # noqa: S105
    TOKEN_NO_REPLY = "token not answered"  # noqa: S105
    GRANT_TIMEOUT = "no token came"
    TIMEOUT = "time-out"
    STOPPED = "stopped"
    METHOD_ENDED = "method ended"
    INTERNAL = "internal error"

    @property
    def hint(self) -> str:
        """What a user can do about it, one sentence."""
        return _HINTS[self]


_HINTS: Final[Mapping[Reason, str]] = {
    Reason.CONFIGURATION: "Correct what the message names and start again.",
    Reason.MEDIUM: "Check the interface and the address that the message names.",
    Reason.PORT_BUSY: "Stop the other program on this port (ss -lunp shows it) or choose another with --udp.",
    Reason.NO_PERMISSION: "Run as root or give the program the capability that the message names.",
    Reason.NOT_SUPPORTED: "Choose another method or HAL, or install what the message names.",
    Reason.PLATFORM: "Look at the platform's own log for the step that failed.",
    Reason.STORAGE: "Check that the folder exists, is writable and has room.",
    Reason.BAD_MESSAGE: "Use a sender that speaks this protocol; the message was ignored.",
    Reason.BAD_FIELD: "Correct the field that the log names and send again.",
    Reason.WRONG_PASSWORD: "Check the Wi-Fi password and send it again.",
    Reason.HANDSHAKE_TIMEOUT: "Check the Wi-Fi password, move closer to the router and send again.",
    Reason.NO_SUCH_AP: "Check the network's name, and that it is on a band this device has.",
    Reason.ASSOCIATION_REFUSED: "The router refused the device: look at its device limit and MAC filter.",
    Reason.DHCP: "The router gave no address: check its DHCP server and its pool.",
    Reason.JOIN_TIMEOUT: "Move closer to the router and send again.",
    Reason.UNSUPPORTED_SECURITY: "Set the router to WPA2 or WPA3 personal.",
    Reason.JOIN_OTHER: "Look at the platform's Wi-Fi log, then send again.",
    Reason.NO_SAVED_NETWORK: "Provision the device first.",
    Reason.DNS: "Check the device's DNS server and the host's name.",
    Reason.TCP: "Check that the network leads to the internet and that no firewall is in the way.",
    Reason.TLS: "Check the device's clock, the CA file and the device's certificate or key.",
    Reason.HTTP: "Check the registration URL; a proxy or captive portal may be in the way.",
    Reason.CLOUD_TIMEOUT: "Check the network's way to the cloud and try again.",
    Reason.CLOUD_MALFORMED: "Check the URL: what answered is not this cloud.",
    Reason.REGISTRATION_REFUSED: (
        "Check product id, device name and product secret; dynamic registration has to be on in the console."
    ),
    Reason.MQTT_REFUSED: "Check the device secret and the clock; the cloud takes one connection per 5 s.",
    Reason.MQTT_SUBSCRIBE: "Check that the product's topics allow this device.",
    Reason.MQTT_LOST: "Check the network; another device with the same name takes the connection over.",
    Reason.TOKEN_SEND: "Check the network's way to the cloud and start again from the phone.",
    Reason.TOKEN_REFUSED: "The token has expired or was used: start again from the phone.",
    Reason.TOKEN_MALFORMED: "Check the MQTT URL: what answered is not this cloud.",
    Reason.TOKEN_NO_REPLY: "Start again from the phone; the cloud took the token but said nothing.",
    Reason.GRANT_TIMEOUT: "Start again from the phone: it has to send the token after the device joined.",
    Reason.TIMEOUT: "Start again and send the credentials from the phone.",
    Reason.STOPPED: "Start again when ready.",
    Reason.METHOD_ENDED: "Look at the event before this one, or choose another method.",
    Reason.INTERNAL: "This is a fault in qiot: please report it with the log.",
}
