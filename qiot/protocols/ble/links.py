"""What a codec on the device's side keeps for each central that is connected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

import attrs

from qiot.model import Event, Peer, Step
from qiot.protocols.base import Connected, Lost, Mtu, Subscribed
from qiot.protocols.ble.att import ATT_DEFAULT

__all__ = ["LINKS_MAX", "Link", "Links"]

LINKS_MAX: Final = 8
"""Centrals served at a time; the one that came first makes room for a ninth."""


@attrs.define
class Link:
    """One central; each codec adds what it keeps besides.

    Attributes:
        att: ATT MTU.
        exchanged: Somebody has said it; until then it is what every link begins with.
    """

    att: int = attrs.field(default=ATT_DEFAULT, kw_only=True)
    exchanged: bool = attrs.field(default=False, kw_only=True)

    def set_att(self, att: int) -> None:
        """The ATT MTU is known now."""
        self.att, self.exchanged = att, True


_LinkT = TypeVar("_LinkT", bound=Link)


class Links(Generic[_LinkT]):
    """State of at most eight links, by peer.

    Args:
        make: Makes the state of a new link.
    """

    def __init__(self, make: Callable[[], _LinkT]) -> None:
        self._make = make
        self._links: dict[Peer, _LinkT] = {}

    def __iter__(self) -> Iterator[tuple[Peer, _LinkT]]:
        return iter(list(self._links.items()))

    def __len__(self) -> int:
        return len(self._links)

    def follow(self, news: Connected | Mtu | Subscribed | Lost, peer: Peer) -> None:
        """Take what happens to the link of a peer."""
        match news:
            case Connected():
                self.open(peer)
            case Mtu(size):
                self.of(peer).set_att(size)
            case Lost():
                self.lose(peer)
            case Subscribed():
                pass

    def open(self, peer: Peer) -> _LinkT:
        """Begin anew with this peer."""
        self._links.pop(peer, None)
        while len(self._links) >= LINKS_MAX:
            del self._links[next(iter(self._links))]
        self._links[peer] = link = self._make()
        return link

    def of(self, peer: Peer) -> _LinkT:
        """The peer's link; a new one where nobody said that it has connected."""
        return self._links[peer] if peer in self._links else self.open(peer)

    def find(self, peer: Peer) -> _LinkT | None:
        """The peer's link, where there is one."""
        return self._links.get(peer)

    def lose(self, peer: Peer) -> None:
        """Forget the peer."""
        self._links.pop(peer, None)

    def concerned(self, event: Event) -> list[tuple[Peer, _LinkT]]:
        """Whom an event concerns.

        That is the peer it names, and the same central on a later link, for phones come back in the middle
        and wait for the result; the end of the whole session concerns everybody.
        """
        peer = event.peer
        if peer is None:
            return list(self._links.items()) if event.step is Step.FAILED else []
        return [
            (each, link)
            for each, link in self._links.items()
            if (each.method, each.address) == (peer.method, peer.address)
        ]
