"""thing.network over Bluetooth, the phone's side: it reads typed codes and untyped ones, of either dialect.

| state | sends | goes on with | gives up after |
|---|---|---|---|
| info | device.information.get | its response | 10 s, sent again after 5 s |
| wifis | thing.network.getwifis, where wanted | its response, or none | 15 s: goes on without |
| set | thing.network.set, again each 3 s and on 1500 to 1599 and 1700 | 1701, or a typed 0 | six copies |
| result | - | 1006, 1801, 1703 in any order | 65 s; 5 s after 1801 it is bound without 1703 |
| done | - | - | - |

1007 and 1008 go on with the next credentials on the same link. Where the link is lost, the phone makes its
request again once it listens again. Rules: protco_docs, bluetooth/ble_data_transfer_protocol.md, "Reconnect
Mechanism".
"""

from __future__ import annotations

import enum
import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from qiot.errors import ConfigurationError, ProtocolError
from qiot.model import (
    SSID_MAX,
    Credentials,
    Failure,
    Network,
    Peer,
    Reason,
    Secret,
    Security,
    Step,
    show_ssid,
)
from qiot.protocols.base import Learned, Output, Send
from qiot.protocols.ble.asking_phone import AskingPhone, Rest
from qiot.protocols.ble.thing_frames import (
    CHUNK_MAX,
    NOTIFY_PORT,
    WRITE_PORT,
    Assembler,
    Code,
    chunk_size,
    frames,
)
from qiot.protocols.ble.thing_messages import (
    DEFAULT_PORT,
    GET_INFO,
    GET_WIFIS,
    NETWORKS_MAX,
    SET,
    BleAction,
    compact,
    parse_object,
)
from qiot.protocols.ble.thing_sign import HMAC_SHA1, HMAC_SHA256, information_sign

__all__ = ["ThingPhone"]

INFO_TIMEOUT: Final = 5.0
WIFIS_TIMEOUT: Final = 15.0
SET_INTERVAL: Final = 3.0
SET_COPIES: Final = 6
RESULT_TIMEOUT: Final = 65.0
ONLINE_TIME: Final = 5.0
"""Seconds after "bound" in which a device may still say that all is done."""

_MESSAGE_MAX: Final = 32768
_DAMAGED: Final = range(1500, 1600)

_FAILURES: Final[Mapping[int, tuple[Step, Reason]]] = {
    Code.WRONG_CREDENTIALS: (Step.JOINING, Reason.WRONG_PASSWORD),
    Code.NO_AP: (Step.JOINING, Reason.NO_SUCH_AP),
    Code.SERVER_FAILED: (Step.CONNECTING, Reason.TCP),
    Code.BIND_FAILED: (Step.BINDING, Reason.TOKEN_REFUSED),
    Code.UNBIND_FAILED: (Step.BINDING, Reason.TOKEN_REFUSED),
    Code.RESET_FAILED: (Step.BINDING, Reason.TOKEN_REFUSED),
}


class _State(enum.Enum):
    INFO = enum.auto()
    WIFIS = enum.auto()
    SET = enum.auto()
    RESULT = enum.auto()


class ThingPhone(AskingPhone):
    """One phone with one device; starts when it listens to the device.

    Args:
        credentials: What to try, in this order, over one link; none where `ble` says what is wanted, or the
            device has a network of its own.
        bid: The account's bind id.
        user_id: The user.
        mq: The broker's host.
        port: Its port.
        mqtt_ssl_port: Its port for TLS.
        country: Country by two letters.
        area_code: Calling code.
        tz: Time zone, such as "Asia/Kolkata".
        force_bind: Bind although the device has an owner.
        ble: What a product without Wi-Fi is asked for.
        scan: Fetch the list of networks first: True scans now, False takes what was seen, None does not.
        uuid: The device's UUID, to check its sign with.
        secret: The device's secret; with it, a device that does not prove it gets no password.
        random: Gives so many random octets.
        wall: Gives the time in seconds since 1970.
        result_timeout: Seconds from the acceptance to the end.
    """

    def __init__(
        self,
        *,
        random: Callable[[int], bytes],
        wall: Callable[[], float],
        credentials: Sequence[Credentials] = (),
        bid: Secret | None = None,
        user_id: str = "",
        mq: str = "",
        port: int = DEFAULT_PORT,
        mqtt_ssl_port: int | None = None,
        country: str = "",
        area_code: str = "",
        tz: str = "",
        force_bind: bool = False,
        ble: BleAction | None = None,
        scan: bool | None = None,
        uuid: str = "",
        secret: Secret | None = None,
        result_timeout: float = RESULT_TIMEOUT,
    ) -> None:
        super().__init__(NOTIFY_PORT, _State.INFO)
        self._left = [(_text_of(each), each.password) for each in credentials]
        self._ble = ble
        texts = {"country": country, "areaCode": area_code, "tz": tz, "userId": user_id, "mq": mq}
        self._data: dict[str, object] = {"force_bind": force_bind}
        self._data |= {name: text for name, text in texts.items() if text}
        if ble is not None:
            self._data["ble"] = ble
        if mq:
            self._data["port"] = port
        if mqtt_ssl_port is not None:
            self._data["mqttSslPort"] = mqtt_ssl_port
        self._bid = bid
        self._scan, self._uuid, self._secret = scan, uuid, secret
        self._random, self._wall = random, wall
        self._result_timeout = result_timeout
        self._network = self._left.pop(0) if self._left else None
        self._parts = Assembler(_MESSAGE_MAX)
        self._att: int | None = None
        self._joined = False
        self._bound = False

    def _leave(self, peer: Peer | None) -> None:
        """A request that was made is made again on the next link."""
        if self._state in (_State.SET, _State.RESULT):
            self._first = _State.SET
        super()._leave(peer)
        self._att = None
        self._parts.clear()

    def _set_att(self, size: int) -> None:
        self._att = size

    # --- what comes -------------------------------------------------------------------------------------

    def _packet(self, data: bytes, now: float) -> Sequence[Output]:
        try:
            message = self._parts.feed(data)
            fields = None if message is None else parse_object(message)
        except ProtocolError:
            return ()  # the answer is missing now; its time-out says so
        return () if fields is None else self._message(fields, now)

    def _message(self, fields: Mapping[str, object], now: float) -> Sequence[Output]:
        inner = fields.get("data")
        data: Mapping[str, object] = inner if isinstance(inner, dict) else {}
        match fields.get("type"), self._state:
            case "device.information.get.response", _State.INFO:
                return self._informed(fields, data, now)
            case "thing.network.getwifis.response", _State.WIFIS:
                return self._listed(data, now)
            case "sys.event.trigger.response", _:
                return (Learned("event", {"msg_id": _shown(fields.get("msgId"))}),)
            case ((None | "thing.network.set.response"), (_State.SET | _State.RESULT)):
                code = fields.get("code", data.get("code"))
                if isinstance(code, int) and not isinstance(code, bool):
                    return self._status(code, _shown(fields.get("msg")), now)
        return ()

    def _informed(
        self, fields: Mapping[str, object], data: Mapping[str, object], now: float
    ) -> Sequence[Output]:
        names = ("version", "mcuVersion", "pid", "wifi_mac", "ble_mac")
        values: dict[str, str | int | bool] = {
            name: _shown(data.get(name)) for name in names if data.get(name) is not None
        }
        values["bind"] = data.get("bind") in (True, 1)
        told = Learned("version", values)
        if self._secret is None:
            return told, *self._go(self._after_info(), now)
        if not self._proves(fields, data, self._secret):
            failure = Failure(Step.LISTENING, Reason.BAD_FIELD, text="the device did not prove its secret")
            return told, *self._end("error", failure)
        values["signed"] = True
        return Learned("version", values), *self._go(self._after_info(), now)

    def _proves(self, fields: Mapping[str, object], data: Mapping[str, object], secret: Secret) -> bool:
        ts, said, method = fields.get("ts"), data.get("sign"), data.get("signMethod", HMAC_SHA1)
        if not isinstance(ts, int) or not isinstance(said, str) or method not in (HMAC_SHA1, HMAC_SHA256):
            return False
        right = information_sign(self._uuid, ts, secret, str(method))
        return hmac.compare_digest(right.encode(), said.lower().encode("utf-8", "replace"))

    def _after_info(self) -> _State:
        return _State.SET if self._scan is None else _State.WIFIS

    def _listed(self, data: Mapping[str, object], now: float) -> Sequence[Output]:
        entries = data.get("wifis")
        found = [_network(each) for each in entries[:NETWORKS_MAX]] if isinstance(entries, list) else []
        networks = tuple(each for each in found if each is not None)
        return Learned("networks", {"count": len(networks)}, networks), *self._go(_State.SET, now)

    def _status(self, code: int, text: str, now: float) -> Sequence[Output]:
        if code in _FAILURES:
            return self._failed(code, text, now)
        if code in (Code.UNBOUND, Code.RESET):
            return self._end("unbound" if code == Code.UNBOUND else "reset")
        if code in _DAMAGED or code == Code.JSON_BAD:
            return self._again(now, code=code, text=text) if self._state is _State.SET else ()
        accepted = self._state is _State.SET and code in (Code.OK, Code.JSON_OK, Code.GOT_IP, Code.BOUND)
        if accepted:
            self._state, self._due = _State.RESULT, now + self._result_timeout
        outputs: list[Output] = []
        if code == Code.GOT_IP and not self._joined:
            self._joined = True
            outputs.append(Learned("joined", {} if self._network is None else {"ssid": self._network[0]}))
        if code == Code.BOUND and not self._bound:
            self._bound, self._due = True, now + ONLINE_TIME
            outputs += self._end("bound") if self._ble else [Learned("bound")]
        if code == Code.SERVER_OK:
            outputs += self._end("online")
        return outputs

    def _failed(self, code: int, text: str, now: float) -> Sequence[Output]:
        step, reason = _FAILURES[code]
        failure = Failure(step, reason, code, text)
        if step is Step.JOINING and self._left:
            self._network, self._joined = self._left.pop(0), False
            return Learned("error", failure=failure), *self._go(_State.SET, now)
        return self._end("error", failure)

    # --- what goes out ----------------------------------------------------------------------------------

    def _transmit(self, now: float) -> Sequence[Output]:
        self._copies += 1
        match self._state:
            case _State.WIFIS:
                self._due = now + WIFIS_TIMEOUT
                return self._say({"type": GET_WIFIS} | ({"scan": True} if self._scan else {}))
            case _State.SET:
                self._due = now + SET_INTERVAL
                return self._say(self._request())
            case _:
                self._due = now + INFO_TIMEOUT
                return self._say({"type": GET_INFO, "ts": int(self._wall())})

    def _request(self) -> Mapping[str, object]:
        data = dict(self._data)
        if self._network is not None:
            data |= {"sid": self._network[0], "pw": self._network[1].text()}
        if self._bid is not None:
            data["bid"] = self._bid.text()
        ident = self._random(8).hex()[:15]
        return {"type": SET, "msgId": ident, "ts": int(self._wall() * 1000), "data": data}

    def _say(self, message: Mapping[str, object]) -> Sequence[Output]:
        if self._to is None:
            return ()
        chunk = CHUNK_MAX if self._att is None else chunk_size(self._att)
        label = str(message["type"])
        made = frames(compact(message), chunk)
        return [Send(WRITE_PORT, each, self._to, confirm=True, label=label) for each in made]

    def _again(self, now: float, *, code: int | None = None, text: str = "") -> Sequence[Output]:
        if self._copies < SET_COPIES:
            return self._transmit(now)
        reason = Reason.TIMEOUT if code is None else Reason.BAD_MESSAGE
        text = text or f"no answer to {self._copies} copies of the request"
        return self._end("error", Failure(Step.LISTENING, reason, code, text))

    def _end(self, what: str, failure: Failure | None = None) -> Sequence[Output]:
        self._state, self._due = Rest.DONE, None
        return (Learned(what, failure=failure, last=True),)

    def _late(self, now: float) -> Sequence[Output]:
        text = f"no answer in state {self._state.name.lower()}"
        outputs: Sequence[Output]
        match self._state:
            case _State.INFO if self._copies == 1:
                outputs = self._transmit(now)
            case _State.WIFIS:
                told = Learned("networks", {"count": 0}, failure=Failure(Step.LISTENING, Reason.TIMEOUT))
                outputs = told, *self._go(_State.SET, now)
            case _State.SET:
                outputs = self._again(now)
            case _State.RESULT if self._bound:
                outputs = self._end("online")
            case _:
                step = Step.BINDING if self._joined else Step.LISTENING
                outputs = self._end("error", Failure(step, Reason.TIMEOUT, text=text))
        return outputs


def _text_of(credentials: Credentials) -> str:
    ssid = credentials.ssid
    if ssid is None or not 1 <= len(ssid) <= SSID_MAX:
        raise ConfigurationError(f"thing.network wants a network's name of 1 to {SSID_MAX} octets")
    try:
        credentials.password.text()
        return ssid.decode()
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"thing.network carries text alone, and {show_ssid(ssid)} or its password is not UTF-8"
        ) from None


def _shown(value: object) -> str:
    return value[:256] if isinstance(value, str) else "" if value is None else ascii(value)[:256]


def _network(entry: object) -> Network | None:
    """One network of the list, where it makes sense; the strength comes as a number or a text."""
    if not isinstance(entry, dict) or not isinstance(entry.get("ssid"), str):
        return None
    ssid = entry["ssid"].encode("utf-8", "replace")[:SSID_MAX]
    try:
        signal = int(entry.get("rssi", -100))
    except (TypeError, ValueError, OverflowError):
        signal = -100
    secure = entry.get("security")
    security = Security.OPEN if secure in (False, 0) and secure is not None else Security.UNKNOWN
    return Network(ssid, bytes(6), 0, max(-100, min(0, signal)), security)
