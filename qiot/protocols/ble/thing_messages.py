"""The JSON of thing.network, for both sides: what is in a message, and what may be in it.

Sources: protco-tech/protco_docs, provisioning/WiFi_BLE_mode.md and bluetooth/ble_data_transfer_protocol.md,
and sentino-jp/iot-docs, reference/ref-ble-en.md section 5. Keys that are not known are passed over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, get_args

import attrs

from qiot.errors import ProtocolError
from qiot.model import SSID_MAX, Credentials, Grant, Network, Reason, Secret, Security

__all__ = [
    "GET_INFO",
    "GET_WIFIS",
    "SET",
    "SET_RESPONSE",
    "TRIGGER_RESPONSE",
    "BleAction",
    "Request",
    "compact",
    "kind_of",
    "message_id",
    "network_text",
    "parse_object",
    "parse_request",
    "time_stamp",
    "wanted",
    "wifis",
]

GET_INFO: Final = "device.information.get"
GET_WIFIS: Final = "thing.network.getwifis"
SET: Final = "thing.network.set"
SET_RESPONSE: Final = "thing.network.set.response"
TRIGGER_RESPONSE: Final = "sys.event.trigger.response"

BleAction: TypeAlias = Literal["bind", "unbind", "init"]
"""What a product without Wi-Fi is asked for: an owner, none, or none and nothing of the old one left."""

PASSWORD_MAX: Final = 64
TEXT_MAX: Final = 256
NETWORKS_MAX: Final = 50
DEFAULT_PORT: Final = 1883

_HOST: Final = re.compile(r"[A-Za-z0-9.\-_]{1,253}|\[?[0-9A-Fa-f:.]{2,45}\]?")
_HOST_AND_PORT: Final = re.compile(r"([A-Za-z0-9.\-_]{1,253}):([0-9]{1,5})")
_PORT_MAX: Final = 65535
_MILLISECONDS: Final = 100_000_000_000
"""A time stamp from here on is in milliseconds: as seconds it would be the year 5138."""
_TS_MAX: Final = 10_000_000_000_000
_TEXTS: Final = ("userId", "tz", "country", "areaCode")


@attrs.frozen
class Request:
    """A `thing.network.set` that makes sense.

    Attributes:
        credentials: How to join; None where the message names no network.
        grant: What binds; None where the message has neither account nor user.
        force: Bind although the device has an owner.
        ble: What a product without Wi-Fi is asked for, where it is one.
    """

    credentials: Credentials | None
    grant: Grant | None
    force: bool
    ble: BleAction | None


def _no_constant(name: str) -> object:
    raise ValueError(name)


_DECODER: Final = json.JSONDecoder(parse_constant=_no_constant, strict=False)


def parse_object(data: bytes) -> dict[str, object]:
    """Read one message.

    Raises:
        ProtocolError: BAD_MESSAGE: no JSON object in UTF-8. The text never shows the message.
    """
    try:
        message = _DECODER.decode(data.rstrip(b"\0").decode("utf-8-sig"))
    except (ValueError, RecursionError):
        message = None  # the decoder's own error would carry the text, and with it the password
    if not isinstance(message, dict):
        raise ProtocolError("the message is no JSON object in UTF-8")
    return message


def kind_of(message: Mapping[str, object]) -> str:
    """`type` of a message.

    Raises:
        ProtocolError: BAD_MESSAGE: missing, or no text.
    """
    kind = message.get("type")
    if not isinstance(kind, str):
        raise ProtocolError("type is missing or no text")
    return kind


def compact(message: Mapping[str, object]) -> bytes:
    """JSON without blanks, UTF-8 unescaped."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


# --- fields ------------------------------------------------------------------------------------------------


def _wrong(name: str, what: str) -> ProtocolError:
    return ProtocolError(f"{name} {what}", reason=Reason.BAD_FIELD)


def _text(data: Mapping[str, object], name: str, most: int = TEXT_MAX) -> str:
    """A text, or a number in its place; empty where it is missing or null."""
    value = data.get(name)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _wrong(name, "is no text")
    text = value if isinstance(value, str) else f"{value:d}" if abs(value) < 1 << 64 else "?" * (most + 1)
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise _wrong(name, "has half a surrogate pair")
    if len(text.encode()) > most:
        raise _wrong(name, f"has more than {most} octets")
    return text


def _port(data: Mapping[str, object], name: str) -> int | None:
    value = data.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= len(str(_PORT_MAX)):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _PORT_MAX:
        raise _wrong(name, f"is no port from 1 to {_PORT_MAX}")
    return value


def _flag(data: Mapping[str, object], name: str) -> bool:
    value = data.get(name)
    if value is None:
        return False
    if value not in (0, 1):  # true and false are 1 and 0
        raise _wrong(name, "is neither true nor false")
    return bool(value)


def wanted(message: Mapping[str, object]) -> bool:
    """True where `scan` of a `thing.network.getwifis` asks for a scan now; it is not in `data`."""
    return message.get("scan") in (1, "1", "true")


def message_id(message: Mapping[str, object]) -> str:
    """The sender's `msgId` to answer with; empty where it has none that can be used."""
    try:
        return _text(message, "msgId", 64)
    except ProtocolError:
        return ""


def time_stamp(message: Mapping[str, object], wall: float) -> int:
    """The time of an answer: in the unit of the request's `ts`, and not before it."""
    asked = message.get("ts")
    if isinstance(asked, bool) or not isinstance(asked, int) or not 0 <= asked < _TS_MAX:
        return int(wall)
    return max(asked, int(wall * 1000) if asked >= _MILLISECONDS else int(wall))


def _endpoint(data: Mapping[str, object]) -> str | None:
    """`mq` and `port` as "host:port"; an API that gives "host:port" for `mq` is understood."""
    host, port = _text(data, "mq"), _port(data, "port")
    if not host:
        return None
    together = _HOST_AND_PORT.fullmatch(host)
    if together is not None:
        host = together[1]
        port = port or _port({"port": together[2]}, "port")
    if not _HOST.fullmatch(host):
        raise _wrong("mq", "is no host name")
    if ":" in host:
        host = f"[{host.strip('[]')}]"
    return f"{host}:{port or DEFAULT_PORT}"


def parse_request(message: Mapping[str, object]) -> Request:
    """Read a `thing.network.set`.

    Raises:
        ProtocolError: BAD_FIELD, with the field's name and never its value.
    """
    data = message.get("data")
    if not isinstance(data, dict):
        raise _wrong("data", "is missing or no object")
    force = _flag(data, "force_bind")
    action = data.get("ble")
    if action is not None and action not in get_args(BleAction):
        raise _wrong("ble", "is none of bind, unbind, init")
    return Request(_credentials(data), _grant(data, force=force), force, action)


def _credentials(data: Mapping[str, object]) -> Credentials | None:
    if data.get("sid") is None:
        return None
    ssid = _text(data, "sid").encode()
    if not 1 <= len(ssid) <= SSID_MAX:
        raise _wrong("sid", f"has {len(ssid)} octets, not 1 to {SSID_MAX}")
    if not isinstance(data["sid"], str):
        raise _wrong("sid", "is no text")
    if isinstance(data.get("pw"), int):
        raise _wrong("pw", "is no text")
    return Credentials(ssid, Secret(_text(data, "pw", PASSWORD_MAX)))


def _grant(data: Mapping[str, object], *, force: bool) -> Grant | None:
    texts = {name: _text(data, name) for name in _TEXTS}
    bind_id, endpoint, tls = _text(data, "bid"), _endpoint(data), _port(data, "mqttSslPort")
    params = {name: text for name, text in texts.items() if text}
    if tls is not None:
        params["mqttSslPort"] = str(tls)
    if isinstance(data.get("ble"), str):
        params["ble"] = str(data["ble"])
    if not bind_id and not texts["userId"] and data.get("ble") is None:
        return None
    return Grant("rlink", Secret(bind_id), endpoint, params | {"force_bind": "true" if force else "false"})


# --- networks ----------------------------------------------------------------------------------------------


def network_text(ssid: bytes) -> str:
    """A network's name for a phone: UTF-8, else GBK, which old Chinese routers use; empty where neither."""
    for encoding in ("utf-8", "gb18030"):
        try:
            return ssid.decode(encoding)
        except UnicodeDecodeError:
            continue
    return ""


def wifis(networks: list[Network] | tuple[Network, ...]) -> list[dict[str, object]]:
    """What a scan saw, for a phone: at most 50 networks, hidden ones left out."""
    named = [(network_text(network.ssid), network) for network in networks]
    return [
        {"ssid": text, "rssi": network.signal, "security": network.security is not Security.OPEN}
        for text, network in named
        if text
    ][:NETWORKS_MAX]
