"""The bench's lines: JSON objects in, JSON objects out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

from qiot.errors import ConfigurationError
from qiot.model import Event, Failure, Network, Offer, Peer, Secret, show_ssid
from qiot.protocols.base import (
    Answer,
    Ask,
    Connected,
    Drop,
    Input,
    Learned,
    Lost,
    Mtu,
    News,
    Output,
    Refused,
    Seen,
    Send,
    Subscribed,
)
from qiot.testbed.ble.fields import Fields

__all__ = ["Line", "Show", "Shown", "read_line"]

_LINE_MAX: Final = 65536
_EVENTS: Final = ("connected", "mtu", "subscribed", "lost", "time")
_ALSO: Final = {
    "connect": "connected",
    "subscribe": "subscribed",
    "disconnected": "lost",
    "disconnect": "lost",
}
_OUR_OWN: Final = frozenset({"offer", "ask", "tell", "refused", "drop", "seen", "error"})
_LONG_UUID: Final = re.compile(r"0000([0-9a-f]{4})(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}")
_ATT_MAX: Final = 517

Shown = Mapping[str, Any]


@attrs.frozen
class Line:
    """One line of input.

    Attributes:
        data: What the codec is fed, or None where only time passes.
        port: The characteristic, where something was written or notified.
        peer: Who; empty for the one of the configuration.
        link: Its connection, counted by whoever writes the lines.
        at: When, in seconds; None: now.
        after: Seconds from now instead.
    """

    data: Input | None
    port: str = ""
    peer: str = ""
    link: int | None = None
    at: float | None = None
    after: float | None = None


def read_line(text: str, notify: str) -> Line | None:
    """One line; None where it is blank, a comment (#) or what a bench says of itself.

    So the output of one side can be the input of the other.

    Args:
        text: The line.
        notify: The characteristic that "subscribed" means where it names none.

    Raises:
        ConfigurationError: The line is not understood.
    """
    text = text.strip()
    if not text or text.startswith("#"):
        return None
    if len(text) > _LINE_MAX:
        raise ConfigurationError(f"a line has at most {_LINE_MAX} characters")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigurationError("this is no JSON") from None
    fields = Fields(value, "")
    if "char" not in fields and "event" not in fields and any(key in fields for key in _OUR_OWN):
        return None
    data, port = (
        _octets(fields) if "char" in fields and "event" not in fields else (_event(fields, notify), "")
    )
    if "t" in fields and "at" in fields:
        raise ConfigurationError("t and at are the same: one of them will do")
    at = fields.number("at", fields.number("t", -1.0, -1.0), -1.0)
    after = fields.number("after", -1.0, -1.0)
    line = Line(
        data,
        port,
        fields.text("peer"),
        fields.integer("link", 1, 0, 2**31) if "link" in fields else None,
        None if at < 0 else at,
        None if after < 0 else after,
    )
    if line.data is None and line.at is None and line.after is None:
        raise ConfigurationError("the event time wants t or after")
    fields.end()
    return line


def _octets(fields: Fields) -> tuple[bytes, str]:
    octets = fields.hexed("hex")
    if octets is None:
        raise ConfigurationError("hex is missing")
    return octets, _characteristic(fields.text("char"))


def _characteristic(text: str) -> str:
    """Four digits in lower case, however the UUID is written."""
    plain = text.strip().lower().removeprefix("0x")
    found = _LONG_UUID.fullmatch(plain)
    return found[1] if found else plain


def _event(fields: Fields, notify: str) -> Input | None:
    if "event" not in fields:
        raise ConfigurationError("a line has char and hex, or event")
    name = fields.choice("event", (*_EVENTS, *_ALSO), "")
    match _ALSO.get(name, name):
        case "connected":
            return Connected()
        case "lost":
            return Lost()
        case "mtu":
            size = next((each for each in ("size", "mtu", "value") if each in fields), None)
            if size is None:
                raise ConfigurationError("size is missing")
            return Mtu(fields.integer(size, 23, 20, _ATT_MAX))
        case "subscribed":
            port = _characteristic(fields.text("char", notify))
            return Subscribed(port, fields.boolean("on", default=True))
        case _:
            return None


# --- out ---------------------------------------------------------------------------------------------------


def _shown_failure(failure: Failure | None) -> dict[str, Any]:
    if failure is None:
        return {}
    code = {} if failure.code is None else {"code": failure.code}
    text = {} if not failure.text else {"text": failure.text}
    return {"reason": failure.reason.value, **code, **text}


def _shown_networks(networks: Any) -> dict[str, Any]:
    found: list[Network] = list(networks)
    if not found:
        return {}
    return {
        "networks": [
            {"ssid": show_ssid(each.ssid), "ssid_hex": each.ssid.hex(), "signal": each.signal}
            for each in found
        ]
    }


@attrs.frozen
class Show:
    """How things are shown.

    Attributes:
        secrets: Show passwords and tokens.
        default: The peer that needs no naming.
    """

    secrets: bool
    default: Peer

    def output(self, output: Output) -> Shown:  # noqa: PLR0911 - a table
        """What the codec wants."""
        match output:
            case Send():
                return {"char": output.port, "hex": output.data.hex(), **self._peer(output.to)}
            case Offer():
                return {"offer": self._offer(output)}
            case Ask():
                cached = {"cached": True} if output.cached else {}
                return {"ask": {"what": output.what, **cached, **self._peer(output.peer)}}
            case Drop():
                return {"drop": self._peer(output.peer)}
            case Refused():
                failure = {"step": output.failure.step.value, **_shown_failure(output.failure)}
                return {"refused": {**failure, **self._peer(output.peer)}}
            case Learned():
                failed = {"step": output.failure.step.value} if output.failure is not None else {}
                last = {"last": True} if output.last else {}
                values = {"values": dict(output.values)} if output.values else {}
                told = {"what": output.what, **values, **_shown_networks(output.networks)}
                return {"tell": {**told, **failed, **_shown_failure(output.failure), **last}}
            case Seen():
                return {"seen": output.text}

    def news(self, news: News) -> Shown:
        """What the script tells the codec."""
        if isinstance(news, Event):
            detail = {"detail": dict(news.detail)} if news.detail else {}
            peer = {} if news.peer is None else self._peer(news.peer)
            told = {"step": news.step.value, "outcome": news.outcome.value}
            return {"tell": {**told, **_shown_failure(news.failure), **detail, **peer}}
        return {"tell": self._answer(news)}

    def _answer(self, answer: Answer) -> dict[str, Any]:
        lines = {"lines": [line.decode(errors="replace") for line in answer.lines]} if answer.lines else {}
        networks, failure = _shown_networks(answer.networks), _shown_failure(answer.failure)
        return {"answer": answer.what, **lines, **networks, **failure, **self._peer(answer.peer)}

    def _offer(self, offer: Offer) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        if (credentials := offer.credentials) is not None:
            ssid = credentials.ssid or b""
            shown |= {"ssid": show_ssid(ssid), "ssid_hex": ssid.hex()}
            shown["password"] = self._secret(credentials.password)
            if credentials.bssid is not None:
                shown["bssid"] = credentials.bssid.hex(":")
        if (grant := offer.grant) is not None:
            shown |= {"cloud": grant.cloud, "token": self._secret(grant.value)}
            shown |= {} if grant.endpoint is None else {"endpoint": grant.endpoint}
            shown |= {"params": dict(grant.params)} if grant.params else {}
        return {**shown, **self._peer(offer.peer)}

    def _secret(self, secret: Secret) -> str:
        if not self.secrets:
            return "***" if secret else ""
        octets = secret.reveal()
        try:
            return octets.decode()
        except UnicodeDecodeError:
            return f"hex:{octets.hex()}"

    def _peer(self, peer: Peer) -> dict[str, Any]:
        if peer == self.default:
            return {}
        link = {"link": peer.link} if peer.link != self.default.link else {}
        return {"peer": peer.address, **link}
