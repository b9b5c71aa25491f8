"""thing.network over Bluetooth, the device's side, in the two dialects that phones expect.

Sources: protco-tech/protco_docs, provisioning/WiFi_BLE_mode.md and bluetooth/, and sentino-jp/iot-docs,
reference/ref-ble-en.md. What is sent is not encrypted, and the device does not know who the phone is; the
phone can know who the device is by its sign.

| what happens | style "protco" | style "sentino" |
|---|---|---|
| a packet is damaged, lost, doubled | 1501 to 1506 | - |
| a message cannot be read | 1700 | {"code":1700} |
| any message | - | {"code":1701} |
| thing.network.set | 1701, then an Offer | a typed 0, then an Offer |
| it has a wrong field | 1700 | a typed 1700 |
| the device has an owner, and force_bind is false | 1802 | a typed 1802 |
| joined | 1006 | {"code":1006} |
| not joined | 1007 by the password, else 1008 | the same, untyped |
| not registered, not connected | 1702 | the same, untyped |
| bound | 1801, then sys.event.trigger.response | {"code":1801} |
| not bound | 1802 | the same, untyped |
| all done | 1703 | {"code":1703} |
| data.ble unbind, init | Ask, then 1803 or 1804, 1805 or 1806 | the same, untyped |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, TypeAlias, get_args

import attrs

from qiot.errors import ConfigurationError, ProtocolError
from qiot.model import (
    Credentials,
    Event,
    Failure,
    Grant,
    Offer,
    Outcome,
    Peer,
    Reason,
    Secret,
    Step,
    show_ssid,
)
from qiot.protocols.base import (
    Answer,
    Ask,
    Input,
    News,
    Output,
    Refused,
    Seen,
    Send,
)
from qiot.protocols.ble.links import LINKS_MAX, Link, Links
from qiot.protocols.ble.thing_frames import (
    CHUNK_MAX,
    COMMAND,
    NOTIFY_PORT,
    WRITE_PORT,
    Assembler,
    Code,
    FrameError,
    chunk_size,
    frames,
)
from qiot.protocols.ble.thing_identity import ThingIdentity
from qiot.protocols.ble.thing_messages import (
    GET_WIFIS,
    SET_RESPONSE,
    TRIGGER_RESPONSE,
    BleAction,
    Request,
    compact,
    kind_of,
    message_id,
    network_text,
    parse_object,
    parse_request,
    wanted,
    wifis,
)
from qiot.protocols.ble.thing_sign import HMAC_SHA1, sign

__all__ = ["Style", "ThingDevice"]

Style: TypeAlias = Literal["protco", "sentino"]

SCAN_TIMEOUT: Final = 14.0
"""Seconds for a scan: phones wait 15."""
_NAMES_MAX: Final = 50
_SHOWN_MAX: Final = 40

_TEXTS: Final[Mapping[Code, str]] = {
    Code.GOT_IP: "BLE_DATA_WIFI_GOT_IP",
    Code.JSON_OK: "success",
    Code.SERVER_OK: "Successfully connected to the server",
    Code.BOUND: "bind success",
    Code.UNBOUND: "unbind success",
    Code.RESET: "init success",
}
"""`msg` of the good codes; the first two, the fourth and the third are the vendor's own words."""

_ACTION_FAILED: Final[Mapping[BleAction, Code]] = {
    "bind": Code.BIND_FAILED,
    "unbind": Code.UNBIND_FAILED,
    "init": Code.RESET_FAILED,
}


_Wish: TypeAlias = tuple[Credentials | None, Grant | None]


@attrs.define
class _Link(Link):
    """One phone.

    Attributes:
        parts: What comes in packets.
        message_id: The `msgId` of the request that is under way.
        request: What was offered and is under way.
        ble: It is for a product without Wi-Fi.
        reported: The codes that were said of it.
        scan_id: The `msgId` of the scan that is under way.
        scan_due: When that is too late.
        names: Octets of the networks whose names were told in another character set.
    """

    parts: Assembler = attrs.field(factory=Assembler)
    message_id: str = ""
    request: _Wish | None = None
    ble: bool = False
    reported: list[Code] = attrs.field(factory=list)
    scan_id: str = ""
    scan_due: float | None = None
    names: dict[str, bytes] = attrs.field(factory=dict)


class ThingDevice:
    """Serves up to eight phones.

    Args:
        product_id: `pid`.
        uuid: The device's UUID, which the sign is made over.
        secret: The device's secret, as it is printed; None gives no sign.
        wifi_mac: For the phone to show, "44:4a:d6:0a:ba:a9"; left out where it is empty.
        ble_mac: The same of Bluetooth.
        version: The firmware's version.
        mcu_version: That of a second processor, where there is one.
        bound: It has an owner.
        gateway: It is a gateway.
        wifi: It joins Wi-Fi networks. Off: a request without a network is one to bind over what it has.
        style: The dialect, "protco" or "sentino".
        sign_method: "hmacSha1" or "hmacSha256".
        random: Gives so many random octets.
        wall: Gives the time in seconds since 1970.
    """

    def __init__(
        self,
        *,
        product_id: str,
        uuid: str,
        random: Callable[[int], bytes],
        wall: Callable[[], float],
        secret: Secret | None = None,
        wifi_mac: str = "",
        ble_mac: str = "",
        version: str = "1.0.0",
        mcu_version: str = "",
        bound: bool = False,
        gateway: bool = False,
        wifi: bool = True,
        style: Style = "protco",
        sign_method: str = HMAC_SHA1,
    ) -> None:
        if style not in get_args(Style):
            raise ConfigurationError(f"the style is {style!r}, not protco or sentino")
        sign("", 0, Secret(""), sign_method)  # raises where the method is not known
        self._identity = ThingIdentity(
            product_id=product_id,
            uuid=uuid,
            secret=secret,
            wifi_mac=wifi_mac,
            ble_mac=ble_mac,
            version=version,
            mcu_version=mcu_version,
            gateway=gateway,
            sign_method=sign_method,
        )
        self._wifi = wifi
        self._typed = style == "protco"
        self._random, self._wall = random, wall
        self._bound = bound
        self._owner: _Wish | None = None
        """The request that bound it, in this run."""
        self._wishes: dict[tuple[str, str], tuple[_Wish, list[Code]]] = {}
        """The newest request of each phone, by method and address, and the codes that belong to it.

        Phones lose their link in the middle; the device may be bound meanwhile.
        """
        self._links: Links[_Link] = Links(_Link)

    @property
    def bound(self) -> bool:
        """True where it has an owner, as far as this codec was told."""
        return self._bound

    def feed(self, port: str, data: Input, peer: Peer, now: float) -> Sequence[Output]:
        """Take what came from a phone; any octets give outputs."""
        if not isinstance(data, bytes):
            self._links.follow(data, peer)
        elif port == WRITE_PORT:
            return self._packet(data, peer, self._links.of(peer), now)
        return ()

    # --- what comes -------------------------------------------------------------------------------------

    def _packet(self, data: bytes, peer: Peer, link: _Link, now: float) -> Sequence[Output]:
        try:
            message = link.parts.feed(data)
        except FrameError as error:
            refused = Refused(peer, error.failure(Step.LISTENING))
            told = self._status(error.status, str(error), peer, link) if self._typed else ()
            return refused, *told
        if message is None:
            return ()
        if link.parts.kind != COMMAND:
            text = "firmware is not taken over Bluetooth"
            return (Refused(peer, Failure(Step.LISTENING, Reason.NOT_SUPPORTED, text=text)),)
        try:
            fields = parse_object(message)
            kind = kind_of(fields)
        except ProtocolError as error:
            return self._refuse(error, Code.JSON_BAD, peer, link, typed=self._typed)
        parsed = () if self._typed else self._say({"code": int(Code.JSON_OK)}, peer, link)
        return [*parsed, *self._message(kind, fields, peer, link, now)]

    def _message(
        self, kind: str, fields: Mapping[str, object], peer: Peer, link: _Link, now: float
    ) -> Sequence[Output]:
        match kind:
            case "device.information.get":
                information = self._identity.information(fields, self._wall(), bound=self._bound)
                return self._say(information, peer, link)
            case "thing.network.getwifis":
                link.scan_id, link.scan_due = message_id(fields), now + SCAN_TIMEOUT
                return (Ask("scan", peer, cached=not wanted(fields)),)
            case "thing.network.set":
                link.message_id = message_id(fields)
                try:
                    return self._set(parse_request(fields), peer, link)
                except ProtocolError as error:
                    return self._refuse(error, Code.JSON_BAD, peer, link, typed=True)
            case _:
                shown = ascii(kind)[:_SHOWN_MAX]
                return (Seen(0, None, f"thing.network message {shown}, which provisioning does not have"),)

    def _set(self, request: Request, peer: Peer, link: _Link) -> Sequence[Output]:
        if request.ble in ("unbind", "init"):
            link.request = None
            ask = Ask("unbind" if request.ble == "unbind" else "reset", peer)
            return *self._accepted(peer, link), ask
        if request.credentials is None and request.ble is None and (self._wifi or request.grant is None):
            raise ProtocolError(f"{'sid' if self._wifi else 'bid'} is missing", reason=Reason.BAD_FIELD)
        wish = (self._named(request.credentials, link), request.grant)
        if self._bound and not request.force:
            return self._owned(wish, request.ble, peer, link)
        link.request, link.ble = wish, request.ble is not None
        link.reported = self._remember(peer, wish)
        again = list(link.reported)
        outputs = [*self._accepted(peer, link)]
        for code in again:
            outputs += self._status(code, _TEXTS.get(code, ""), peer, link)
        reached = Step.LISTENING if wish[0] is not None else Step.BINDING if link.ble else Step.JOINED
        return [*outputs, Offer(peer, wish[0], wish[1], reached)]

    def _remember(self, peer: Peer, wish: _Wish) -> list[Code]:
        """The codes that were said of this request, or would have been; none where it is a new one."""
        known = self._wishes.pop((peer.method, peer.address), None)
        while len(self._wishes) >= LINKS_MAX:
            del self._wishes[next(iter(self._wishes))]
        codes = known[1] if known is not None and known[0] == wish else []
        self._wishes[peer.method, peer.address] = wish, codes
        return codes

    def _follow(self, event: Event, peer: Peer) -> None:
        """Note of a phone's request what nobody could be told, for its link is lost."""
        key = peer.method, peer.address
        known = self._wishes.get(key)
        if known is None:
            return
        wish, codes = known
        match event.step, event.outcome:
            case _, Outcome.FAILED:
                del self._wishes[key]
            case Step.JOINING, Outcome.OK if _is_of(event, wish[0]) and Code.GOT_IP not in codes:
                codes.append(Code.GOT_IP)
            case Step.BOUND, Outcome.OK:
                self._owner = wish

    def _owned(
        self,
        wish: _Wish,
        ble: BleAction | None,
        peer: Peer,
        link: _Link,
    ) -> Sequence[Output]:
        """The device has an owner: whoever made it so may ask again, for an answer was lost; nobody else."""
        if wish == self._owner:
            outputs = [*self._accepted(peer, link)]
            codes = (Code.BOUND,) if ble else (Code.GOT_IP, Code.BOUND, Code.SERVER_OK)
            for code in codes:
                outputs += self._status(code, _TEXTS[code], peer, link)
            return outputs
        error = ProtocolError(
            "the device has an owner, and force_bind is false",
            reason=Reason.TOKEN_REFUSED,
            code=int(Code.BIND_FAILED),
            hint="Remove the device from its owner's account, or send force_bind: true.",
        )
        return self._refuse(error, Code.BIND_FAILED, peer, link, typed=True)

    def _named(self, credentials: Credentials | None, link: _Link) -> Credentials | None:
        """The network by the octets that the scan saw, where the phone could only be told its name."""
        if credentials is None or credentials.ssid is None:
            return credentials
        octets = link.names.get(credentials.ssid.decode(errors="replace"))
        return credentials if octets is None else attrs.evolve(credentials, ssid=octets)

    # --- what is told -----------------------------------------------------------------------------------

    def tell(self, news: News, now: float) -> Sequence[Output]:  # noqa: ARG002 - as every codec
        """Report how a request goes on to whoever made it; send what a scan saw."""
        if isinstance(news, Answer):
            link = self._links.find(news.peer)
            return () if link is None else self._answer(news, link)
        outputs: list[Output] = []
        for peer, link in self._links.concerned(news):
            if link.request is not None:
                outputs += self._event(news, link.request, peer, link)
        if news.step is Step.BOUND and news.outcome is Outcome.OK:
            self._bound, self._owner = True, None
        if news.peer is not None:
            self._follow(news, news.peer)
        if (news.step, news.outcome) in ((Step.BOUND, Outcome.OK), (Step.FAILED, Outcome.FAILED)):
            self._wishes = {}
        return outputs

    def _event(self, event: Event, wish: _Wish, peer: Peer, link: _Link) -> Sequence[Output]:
        match event.step, event.outcome:
            case Step.JOINING, Outcome.OK if _is_of(event, wish[0]):
                return self._report(Code.GOT_IP, peer, link)
            case Step.BINDING, Outcome.OK:
                return self._binding(event, peer, link)
            case Step.BOUND, Outcome.OK:
                outputs = [*self._binding(event, peer, link)]
                if not link.ble:
                    outputs += self._report(Code.SERVER_OK, peer, link)
                link.request = None
                return outputs
            case Step.JOINED, Outcome.OK if wish[1] is not None:
                return self._failed(Code.SERVER_FAILED, "this device has no cloud to bind to", peer, link)
            case _, Outcome.FAILED if event.failure is not None:
                return self._failed(_code(event.failure), event.failure.reason.value, peer, link)
        return ()

    def _binding(self, event: Event, peer: Peer, link: _Link) -> Sequence[Output]:
        """Bound: 1801, and what the cloud said to that."""
        if Code.BOUND in link.reported:
            return ()
        outputs = [*self._report(Code.BOUND, peer, link)]
        ident = event.detail.get("msg_id")
        if self._typed and ident and not link.ble:
            trigger = {"msgId": str(ident), "ts": int(self._wall()), "type": TRIGGER_RESPONSE}
            outputs += self._say(trigger, peer, link)
        return outputs

    def _report(self, code: Code, peer: Peer, link: _Link) -> Sequence[Output]:
        if code in link.reported:
            return ()
        link.reported.append(code)
        return self._status(code, _TEXTS[code], peer, link)

    def _failed(self, code: Code, text: str, peer: Peer, link: _Link) -> Sequence[Output]:
        link.request, link.reported = None, []
        return self._status(code, text, peer, link)

    def _answer(self, answer: Answer, link: _Link) -> Sequence[Output]:
        peer, failure = answer.peer, answer.failure
        match answer.what:
            case "scan" if link.scan_due is not None:
                return self._scanned(answer, link)
            case "unbind" | "reset":
                action: BleAction = "unbind" if answer.what == "unbind" else "init"
                if failure is not None:
                    return self._status(_ACTION_FAILED[action], failure.reason.value, peer, link)
                self._bound, self._owner = False, None
                code = Code.UNBOUND if action == "unbind" else Code.RESET
                return self._status(code, _TEXTS[code], peer, link)
        return ()

    def _scanned(self, answer: Answer, link: _Link) -> Sequence[Output]:
        seen = list(answer.networks)
        for network in seen[:_NAMES_MAX]:
            text = network_text(network.ssid)
            if text and text.encode() != network.ssid and len(link.names) < _NAMES_MAX:
                link.names[text] = network.ssid
        link.scan_due = None
        response: dict[str, object] = {
            "type": f"{GET_WIFIS}.response",
            "msgId": link.scan_id or self._random(8).hex()[:15],
            "ts": int(self._wall()),
            "code": int(Code.OK if answer.failure is None else Code.NO_AP),
            "data": {"wifis": wifis(seen)},
        }
        if answer.failure is not None:
            response["msg"] = answer.failure.reason.value
        return self._say(response, answer.peer, link)

    # --- what goes out ----------------------------------------------------------------------------------

    def _accepted(self, peer: Peer, link: _Link) -> Sequence[Output]:
        code = Code.JSON_OK if self._typed else Code.OK
        return self._status(code, _TEXTS[Code.JSON_OK], peer, link, typed=True)

    def _refuse(
        self, error: ProtocolError, code: Code, peer: Peer, link: _Link, *, typed: bool
    ) -> Sequence[Output]:
        refused = Refused(peer, error.failure(Step.LISTENING))
        return refused, *self._status(code, str(error), peer, link, typed=typed)

    def _status(
        self, code: Code, text: str, peer: Peer, link: _Link, *, typed: bool = False
    ) -> Sequence[Output]:
        if not typed and not self._typed:
            return self._say({"code": int(code)}, peer, link)
        message: dict[str, object] = {"ts": int(self._wall()), "code": int(code), "msg": text}
        if link.message_id:
            message["msgId"] = link.message_id
        return self._say(message | {"type": SET_RESPONSE}, peer, link)

    def _say(self, message: Mapping[str, object], peer: Peer, link: _Link) -> Sequence[Output]:
        chunk = chunk_size(link.att) if link.exchanged else link.parts.chunk or CHUNK_MAX
        label = f"{message.get('type', 'status')} {message.get('code', '')}".strip()
        return [Send(NOTIFY_PORT, each, peer, label=label) for each in frames(compact(message), chunk)]

    # --- time -------------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """When a scan is too late."""
        return min((link.scan_due for _, link in self._links if link.scan_due is not None), default=None)

    def tick(self, now: float) -> Sequence[Output]:
        """Answer a scan that was not told of in time."""
        outputs: list[Output] = []
        late = Failure(Step.LISTENING, Reason.TIMEOUT)
        for peer, link in self._links:
            if link.scan_due is not None and link.scan_due <= now:
                outputs += self._scanned(Answer("scan", peer, failure=late), link)
        return outputs


def _is_of(event: Event, credentials: Credentials | None) -> bool:
    """False for the join of a network that the phone has meanwhile replaced."""
    said = event.detail.get("ssid")
    return said is None or (credentials is not None and said == show_ssid(credentials.ssid))


def _code(failure: Failure) -> Code:
    """The code of a failed step."""
    if failure.step is Step.JOINING:
        wrong = failure.reason in (Reason.WRONG_PASSWORD, Reason.HANDSHAKE_TIMEOUT)
        return Code.WRONG_CREDENTIALS if wrong else Code.NO_AP
    if failure.step in (Step.REGISTERING, Step.CONNECTING):
        return Code.SERVER_FAILED
    if failure.step is not Step.LISTENING:
        return Code.BIND_FAILED
    unreadable = failure.reason in (Reason.BAD_FIELD, Reason.BAD_MESSAGE)
    return Code.JSON_BAD if unreadable else Code.NO_AP
