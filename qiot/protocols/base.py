"""What every codec is: bytes in, outputs out, and nothing else.

What a codec is told, it is told for a peer:

- Events and answers carry the peer of the offer or the question. Outcome FAILED is the end of a try; a
  failure with outcome RETRY or PROGRESS is news only, and the step goes on.
- A phone that sends an equal offer again is told again: LISTENING OK with `again` in the detail where its
  offer was accepted, and the event that ended the try (FAILED in any step, JOINED, BOUND) where it has ended.
  So an equal offer up to 2.5 s after a failure, an echo, is answered with that very event, and is no new try;
  wires that have error records get `Answer("errors")` besides.
- A lost link stops no try. What happens is told to the offer's peer, whose link is gone then. Where the phone
  comes back (same method and address, another `link`) and says anything that is an offer, its peer is the new
  one from then on. A codec that greets a phone on `Connected` may tell it the last event of its address.
- `Event.detail` of BINDING OK holds what the cloud gave back, such as `msg_id` of rlink's reply.

A codec knows one wire. It opens no socket, reads no clock, logs nothing: monotonic time comes in as `now`,
wall clock and random source are given to its constructor. Its outputs are carried out by a driver. The
invariant that is fuzzed: any input gives outputs or `ProtocolError`, in bounded memory and time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

import attrs

from qiot.model import Event, Failure, Network, Offer, Peer

__all__ = [
    "Answer",
    "Ask",
    "Codec",
    "Connected",
    "Drop",
    "Heard",
    "Input",
    "Learned",
    "Lost",
    "Mtu",
    "News",
    "Offer",
    "Output",
    "Question",
    "Refused",
    "Seen",
    "Send",
    "Subscribed",
]

Question: TypeAlias = Literal["scan", "log", "errors", "identity", "unbind", "reset"]
"""What a codec may want of its device; "unbind" forgets the owner, "reset" the network, too.

Both are refused, with a failure in the answer, while an offer is being tried.
"""


@attrs.frozen
class Connected:
    """The peer has opened a link."""


@attrs.frozen
class Mtu:
    """The link's ATT MTU in octets, 23 to 517."""

    size: int


@attrs.frozen
class Subscribed:
    """The peer listens (or no longer listens) to a characteristic."""

    char: str
    on: bool = True


@attrs.frozen
class Lost:
    """The link is gone."""


Input: TypeAlias = bytes | Connected | Mtu | Subscribed | Lost


@attrs.frozen
class Send:
    """Octets to go out.

    Attributes:
        port: The door's name, as in `feed`.
        data: The octets.
        to: Whom to.
        confirm: Wait until the other side has it, where the medium can tell.
        label: What it is, in a few words for the log.
    """

    port: str
    data: bytes
    to: Peer
    confirm: bool = False
    label: str = ""


@attrs.frozen
class Ask:
    """The codec needs something of the device to answer `peer`; it comes back through `tell` as `Answer`.

    Attributes:
        what: The question.
        peer: Who asked.
        cached: For a scan: what was seen before will do.
    """

    what: Question
    peer: Peer
    cached: bool = False


@attrs.frozen
class Answer:
    """The answer to an `Ask`.

    Attributes:
        what: The question.
        peer: Who asked.
        lines: The answer as the wire's own octets, one item each: log entries, error records.
        values: The answer as fields (identity).
        networks: What a scan saw, the strongest first.
        failure: Why there is no answer: a scan that failed, a reset that could not be done.
    """

    what: Question
    peer: Peer
    lines: Sequence[bytes] = ()
    values: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    networks: Sequence[Network] = ()
    failure: Failure | None = None


@attrs.frozen
class Drop:
    """End the link to `peer`."""

    peer: Peer


@attrs.frozen
class Seen:
    """Something of this protocol is in the air; a hopper stays the longer the heavier it is.

    Attributes:
        weight: 0 (a hint) to 1 (about to be complete).
        channel: Where, or None.
        text: What, for people.
    """

    weight: float
    channel: int | None
    text: str


@attrs.frozen
class Refused:
    """Input that was no good. The session notes it, and answers the `Ask("errors")` that follows it."""

    peer: Peer
    failure: Failure


@attrs.frozen
class Learned:
    """What the phone's side of a codec has learned from the device, for whoever holds the phone.

    Attributes:
        what: A word or two: "version", "networks", "joined", "bound", "log", "error".
        values: Facts; never secret.
        networks: The device's scan, where this is one.
        failure: What went wrong, where something did.
        last: The phone has finished: it reached its goal, or gave up where there is a `failure`.
    """

    what: str
    values: Mapping[str, str | int | bool] = attrs.field(factory=dict, hash=False)
    networks: Sequence[Network] = ()
    failure: Failure | None = None
    last: bool = False


Output: TypeAlias = Send | Ask | Drop | Seen | Refused | Offer | Learned
Heard: TypeAlias = Ask | Seen | Refused | Offer
"""What a listener passes on to the session: every output that is not for the medium."""
News: TypeAlias = Event | Answer


class Codec(Protocol):
    """One wire, device side or phone side."""

    def feed(self, port: str, data: Input, peer: Peer, now: float) -> Sequence[Output]:
        """Take what came in by the door `port` from `peer` at `now`.

        Raises:
            ProtocolError: The input is not of this protocol and the protocol has no answer for that.
        """
        ...

    def tell(self, news: News, now: float) -> Sequence[Output]:
        """Report a session event, or the answer to an `Ask`, the way this wire reports it."""
        ...

    def deadline(self) -> float | None:
        """When `tick` is due, in monotonic seconds; None where nothing is waiting."""
        ...

    def tick(self, now: float) -> Sequence[Output]:
        """Wire time-outs and wire repeats that are due at `now`."""
        ...
