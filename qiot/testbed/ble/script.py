"""What the session would tell a device's codec, by the script of the configuration.

The events, their order and their details are those of `qiot.wifi_config` (which the testbed never imports:
both ends would share its faults). Each peer has an attempt of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from qiot.errors import ConfigurationError
from qiot.model import (
    Event,
    Failure,
    Grant,
    Network,
    Offer,
    Outcome,
    Peer,
    Reason,
    Security,
    Step,
    show_ssid,
)
from qiot.protocols.base import Answer, Ask, News
from qiot.testbed.ble.fields import Fields

__all__ = ["Result", "Script", "Timed", "read_script"]

Detail = Mapping[str, str | int | float | bool]
Timed = tuple[float, News]
"""When, in seconds after the offer or question, and what."""

_OK: Final = "ok"
_BIND_STEPS: Final = (Step.REGISTERING, Step.CONNECTING, Step.BINDING)
_LIST_MAX: Final = 1000


@attrs.frozen
class Result:
    """How one try ends.

    Attributes:
        failure: Why it fails, or None.
        delay: Seconds that it takes.
        detail: What the event says of it.
    """

    failure: Failure | None = None
    delay: float = 0.0
    detail: Detail = attrs.field(factory=dict, hash=False)


@attrs.define
class _Attempt:
    offer: Offer | None = None
    grant: Grant | None = None
    awaits_grant: bool = False


class Script:
    """Answers a device's codec as a session does.

    Args:
        wifi: How the tries to join end, in order; the last one for every other.
        bind: How the tries to bind end; None: there is no cloud, and to be joined is the goal.
        networks: What a scan sees, or why it fails.
        lines: The device log.
        errors: Errors that wait for a phone.
        refusals: Why the device does not do what it is asked, by the question.
    """

    def __init__(
        self,
        *,
        wifi: Sequence[Result],
        bind: Sequence[Result] | None,
        networks: Sequence[Network] | Failure,
        lines: Sequence[bytes],
        errors: Sequence[bytes],
        refusals: Mapping[str, Failure],
    ) -> None:
        self._wifi = list(wifi)
        self._bind = None if bind is None else list(bind)
        self._networks = networks
        self._lines = lines
        self._errors = list(errors)
        self._refusals = refusals
        self._attempts: dict[str, _Attempt] = {}
        self._count = 0
        self._seq = 0

    def asked(self, ask: Ask) -> Sequence[Timed]:
        """The answer to a question."""
        peer = ask.peer
        match ask.what:
            case "scan":
                answer = self._scan(peer)
            case "log":
                answer = Answer("log", peer, self._lines)
            case "errors":
                lines, self._errors = self._errors, []
                answer = Answer("errors", peer, lines)
            case what:
                answer = Answer(what, peer, failure=self._refusals.get(what))
        return [(0.0, answer)]

    def _scan(self, peer: Peer) -> Answer:
        if isinstance(self._networks, Failure):
            return Answer("scan", peer, failure=self._networks)
        return Answer("scan", peer, networks=self._networks)

    def offered(self, offer: Offer) -> Sequence[Timed]:
        """What follows from an offer."""
        peer = offer.peer
        # A phone that comes back on a new link goes on with what it began.
        attempt = self._attempts.setdefault(peer.address, _Attempt())
        if offer.credentials is None and offer.reached is Step.LISTENING:
            attempt.grant = offer.grant or attempt.grant
            taken = [(0.0, self._event(Step.LISTENING, Outcome.OK, peer, again=False))]
            return [*taken, *(self._binding(attempt, peer, 0.0) if attempt.awaits_grant else ())]
        if attempt.offer is not None and offer == attrs.evolve(attempt.offer, peer=peer):
            return [(0.0, self._event(Step.LISTENING, Outcome.OK, peer, again=True))]
        attempt.offer, attempt.awaits_grant = offer, False
        attempt.grant = offer.grant or attempt.grant
        self._count += 1
        return self._joining(attempt, offer, peer)

    def _joining(self, attempt: _Attempt, offer: Offer, peer: Peer) -> list[Timed]:
        result = _next(self._wifi)
        told: list[Timed] = []
        at = 0.0
        if offer.credentials is not None:
            ssid = offer.credentials.ssid or b""
            shown = {"ssid": show_ssid(ssid)}
            told.append((0.0, self._event(Step.JOINING, Outcome.STARTED, peer, **shown)))
            at = result.delay
            if result.failure is not None:
                attempt.offer = None
                told.append((at, self._failed(Step.JOINING, peer, result.failure)))
                return [*told, (at, Answer("errors", peer))]
            told.append((at, self._event(Step.LISTENING, Outcome.OK, peer, again=False)))
            lengths = {"ssid_length": len(ssid), "password_length": len(offer.credentials.password)}
            detail = {**shown, "ip": "192.168.1.23", **lengths, **result.detail}
            told.append((at, self._event(Step.JOINING, Outcome.OK, peer, **detail)))
        if self._bind is None:
            return [*told, (at, self._event(Step.JOINED, Outcome.OK, peer))]
        return told + self._connecting(attempt, peer, at)

    def _connecting(self, attempt: _Attempt, peer: Peer, at: float) -> list[Timed]:
        coming = self._bind[0] if self._bind else Result()
        told: list[Timed] = []
        for step in (Step.REGISTERING, Step.CONNECTING):
            if step is Step.CONNECTING:
                told.append((at, self._event(step, Outcome.STARTED, peer)))
            if coming.failure is not None and coming.failure.step is step:
                _next(self._bind or [])
                attempt.offer = None
                told.append((at + coming.delay, self._failed(step, peer, coming.failure)))
                return told
            told.append((at, self._event(step, Outcome.OK, peer)))
        told.append((at, self._event(Step.AWAITING_GRANT, Outcome.STARTED, peer)))
        attempt.awaits_grant = True
        return told + (self._binding(attempt, peer, at) if attempt.grant is not None else [])

    def _binding(self, attempt: _Attempt, peer: Peer, at: float) -> list[Timed]:
        result = _next(self._bind or [])
        attempt.grant = None
        told: list[Timed] = [
            (at, self._event(Step.AWAITING_GRANT, Outcome.OK, peer)),
            (at, self._event(Step.BINDING, Outcome.STARTED, peer)),
        ]
        at += result.delay
        if result.failure is not None:
            return [*told, (at, self._failed(Step.BINDING, peer, result.failure))]
        attempt.awaits_grant = False
        told.append((at, self._event(Step.BINDING, Outcome.OK, peer, **result.detail)))
        return [*told, (at, self._event(Step.BOUND, Outcome.OK, peer))]

    def _failed(self, step: Step, peer: Peer, failure: Failure) -> Event:
        return attrs.evolve(self._event(step, Outcome.FAILED, peer), failure=failure)

    def _event(self, step: Step, outcome: Outcome, peer: Peer, **detail: str | float | bool) -> Event:
        self._seq += 1
        return Event(self._seq, 0.0, self._count, step, outcome, peer, None, detail)


def _next(results: list[Result]) -> Result:
    if not results:
        return Result()
    return results.pop(0) if len(results) > 1 else results[0]


# --- reading it -------------------------------------------------------------------------------------------


def read_script(fields: Fields) -> Script:
    """`wifi`, `bind`, `networks`, `log`, `errors`, `unbind` and `reset` of the configuration.

    Raises:
        ConfigurationError: A field is not known or cannot be used.
    """
    bind = fields.raw("bind", [])
    return Script(
        wifi=_results(fields.raw("wifi", []), "wifi", (Step.JOINING,)),
        bind=None if bind is None else _results(bind, "bind", _BIND_STEPS),
        networks=_networks(fields),
        lines=_lines(fields, "log"),
        errors=_lines(fields, "errors"),
        refusals=_refusals(fields),
    )


def _results(value: object, where: str, steps: Sequence[Step]) -> list[Result]:
    entries = value if isinstance(value, list) else [value]
    return [_result(entry, f"{where}[{number}]", steps) for number, entry in enumerate(entries)]


def _result(value: object, where: str, steps: Sequence[Step]) -> Result:
    fields = Fields({"result": value} if isinstance(value, str) else value, where)
    reason = _reason(fields, "result")
    step = Step(fields.choice("step", [each.value for each in steps], steps[-1].value))
    code = fields.integer("code", 0, -(2**31), 2**31 - 1) if "code" in fields else None
    text, delay = fields.text("text"), fields.number("delay", 0.0)
    detail = {} if (given := fields.raw("detail")) is None else _detail(given, f"{where}.detail")
    fields.end()
    if reason is None:
        if code is not None or text:
            raise ConfigurationError(f"{where}: code and text are for failures")
        return Result(None, delay, detail)
    return Result(Failure(step, reason, code, text), delay, detail)


def _reason(fields: Fields, name: str) -> Reason | None:
    """A reason by its words or by its name in Python; None for "ok"."""
    named = {each.name: each for each in Reason} | {each.value: each for each in Reason}
    return named.get(fields.choice(name, [_OK, *(each.value for each in Reason), *Reason.__members__], _OK))


def _detail(value: object, where: str) -> Detail:
    if not isinstance(value, dict) or not all(
        isinstance(each, str | int | float | bool) for each in value.values()
    ):
        raise ConfigurationError(f"{where} is no JSON object of texts, numbers, true and false")
    return value


def _networks(fields: Fields) -> Sequence[Network] | Failure:
    value = fields.raw("networks", [])
    if isinstance(value, str):
        reason = _reason(Fields({"networks": value}, ""), "networks")
        return [] if reason is None else Failure(Step.LISTENING, reason)
    if not isinstance(value, list) or len(value) > _LIST_MAX:
        raise ConfigurationError(f"networks is no list of at most {_LIST_MAX}")
    return [_network(each, f"networks[{number}]") for number, each in enumerate(value)]


def _network(value: object, where: str) -> Network:
    fields = Fields(value, where)
    ssid = fields.octets("ssid")
    if len(ssid) > 32:  # noqa: PLR2004 - IEEE 802.11
        raise fields.wrong("ssid", "has more than 32 octets")
    bssid = fields.text("bssid", "00:00:00:00:00:00").replace(":", "")
    try:
        address = bytes.fromhex(bssid)
    except ValueError:
        address = b""
    if len(address) != 6:  # noqa: PLR2004
        raise fields.wrong("bssid", "is no address of six octets")
    network = Network(
        ssid,
        address,
        fields.integer("channel", 1, 0, 255),
        fields.integer("rssi" if "rssi" in fields else "signal", -50, -128, 127),
        _security(fields),
    )
    fields.end()
    return network


def _security(fields: Fields) -> Security:
    """`security`: a word of `Security`, or true or false as thing.network has it."""
    value = fields.raw("security", Security.WPA2.value)
    if isinstance(value, bool):
        return Security.WPA2 if value else Security.OPEN
    return Security(Fields({"security": value}, "networks").choice("security", list(Security), ""))


def _refusals(fields: Fields) -> Mapping[str, Failure]:
    """`unbind` and `reset`: "ok", or why not."""
    given = {name: _reason(fields, name) for name in ("unbind", "reset")}
    return {name: Failure(Step.LISTENING, why) for name, why in given.items() if why is not None}


def _lines(fields: Fields, name: str) -> Sequence[bytes]:
    """Strings, or one."""
    value = fields.raw(name, [])
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise fields.wrong(name, "is neither a string nor a list of strings")
    return [str(item).encode() for item in items]
