"""Who offered what: candidates in the order they came, and the newest grant of each peer.

The protocol has no authentication, so two phones cannot be told apart by what they say. Each gets a place of
its own; the first is tried, the others wait, and a token counts only from the peer whose credentials joined.
"""

from __future__ import annotations

import asyncio
from typing import Final

from qiot.errors import HalError
from qiot.log import get_logger
from qiot.model import Failure, Grant, Offer, Peer

__all__ = ["Offers", "same_phone"]

log = get_logger()

_PEERS: Final = 8


def same_phone(one: Peer, other: Peer) -> bool:
    """True for one address by one method, whichever link it speaks on."""
    return (one.method, one.address) == (other.method, other.address)


class Offers:
    """At most eight peers; the newest offer and the newest grant of each.

    Attributes:
        active: The peer whose offer is being tried; a flood of others never pushes its grant out.
    """

    def __init__(self) -> None:
        self._candidates: dict[Peer, Offer] = {}
        self._grants: dict[Peer | None, Grant] = {}
        self._changed = asyncio.Condition()
        self.active: Peer | None = None
        self._ended: Failure | None = None

    @property
    def waiting(self) -> bool:
        """True where a candidate waits."""
        return bool(self._candidates)

    async def add(self, offer: Offer) -> None:
        """Let an offer wait for its turn."""
        for gone in [
            peer for peer in self._candidates if same_phone(peer, offer.peer) and peer != offer.peer
        ]:
            await _close_link(self._candidates.pop(gone))  # it has come back on another link
        known = offer.peer in self._candidates
        if not known and len(self._candidates) >= _PEERS:
            log.warning(f"offer from <{offer.peer.address}> dropped: {_PEERS} others wait already")
            await _close_link(offer)
            return
        others = [peer.address for peer in (self.active, *self._candidates) if peer not in (None, offer.peer)]
        if others and not known:
            log.warning(
                f"offer from <{offer.peer.address}> waits: <{'>, <'.join(others)}> came first, "
                "and only one can be the owner's phone"
            )
        replaced = self._candidates.get(offer.peer)
        self._candidates[offer.peer] = offer
        if replaced is not None and replaced.link is not offer.link:
            await _close_link(replaced)
        await self._notify()

    async def next(self) -> Offer:
        """The candidate that came first, taken out; waits for one.

        Raises:
            HalError: Nobody listens any more, so none can come.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._candidates or self._ended)
            if not self._candidates and self._ended is not None:
                ended = self._ended
                raise HalError(ended.text, reason=ended.reason, code=ended.code, hint=ended.hint)
            return self._candidates.pop(next(iter(self._candidates)))

    async def close(self) -> None:
        """Nobody will be tried any more: close the connections that chips brought along."""
        while self._candidates:
            await _close_link(self._candidates.pop(next(iter(self._candidates))))

    async def end(self, failure: Failure) -> None:
        """The last listener has ended."""
        self._ended = failure
        await self._notify()

    def reopen(self) -> None:
        """Somebody listens again."""
        self._ended = None

    async def keep_grant(self, grant: Grant, peer: Peer | None) -> None:
        """Remember the newest grant of a peer; None stands for the program itself."""
        self._grants.pop(peer, None)
        others = [each for each in self._grants if each not in (None, self.active)]
        if len(others) >= _PEERS:
            del self._grants[others[0]]
        self._grants[peer] = grant
        await self._notify()

    def has_grant(self, peer: Peer) -> bool:
        """True where this peer, or the program, has given a grant that was not taken yet."""
        return peer in self._grants or None in self._grants

    def newest(self, peer: Peer) -> Grant | None:
        """The newest grant of this peer, or of the program; it is not taken out."""
        return self._grants.get(peer) or self._grants.get(None)

    def move(self, old: Peer, new: Peer) -> None:
        """A phone has come back on another link: what it gave counts as given there."""
        if (grant := self._grants.pop(old, None)) is not None:
            self._grants[new] = grant
        if self.active == old:
            self.active = new

    def take_grant(self, peer: Peer) -> Grant | None:
        """The newest grant of this very peer, taken out; None where it gave none."""
        return self._grants.pop(peer, None)

    async def grant_for(self, active: Peer) -> Grant:
        """The grant that may bind what `active` made join, taken out; waits for one.

        It comes from the program, from the same peer, or, where the credentials came by another method that
        carries no token, from whoever brings one over the network.
        """
        async with self._changed:
            while True:
                others = (
                    peer
                    for peer in self._grants
                    if peer is None or peer.method != active.method or same_phone(peer, active)
                )
                for peer in (None, active, *others):
                    if peer in self._grants:
                        return self._grants.pop(peer)
                await self._changed.wait()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


async def _close_link(offer: Offer) -> None:
    if offer.link is not None:
        await offer.link.close()
