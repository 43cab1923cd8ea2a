"""Keeping a link to a peer that may be away: that is a normal state, not an error."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio
from msgspec import Struct


class Pauses(Struct, frozen=True):
    """How long to wait between attempts: doubling from `first` to `longest`, each shortened by up to `jitter`."""

    first: float
    longest: float
    jitter: float = 0.0

    def __call__(self, failures: int) -> float:
        """The pause after this many failures in a row (1 for the first)."""
        pause = min(self.longest, self.first * 2.0 ** min(failures - 1, 30))
        return pause * (1 - self.jitter * random.random())


class PeerLost(Exception):
    """A session with a peer ended or never began; the message is the reason, for the log and for status pages."""


class LinkState(Struct):
    """What a status page may say of a link."""

    connected: bool = False
    reason: str = "not tried yet"


async def keep_connected(
    session: Callable[[Callable[[], None]], Awaitable[object]],
    *,
    link: LinkState,
    pauses: Pauses,
    logger: logging.Logger,
    peer: str,
    sooner: Callable[[], Awaitable[object]] = trio.sleep_forever,
) -> NoReturn:
    """Run `session` again and again, with growing pauses while the peer is away.

    `session` is given a function to call once the peer has proved to be there; it ends by raising PeerLost.
    A pause ends early when `sooner`, which is called anew for each pause, returns.
    The log gets a line when the link comes up and when the reason of its absence changes, never one per attempt.
    """
    failures, told = 0, ""

    def connected() -> None:
        nonlocal failures, told
        failures, told = 0, ""
        link.connected, link.reason = True, ""
        logger.info("%s: connected", peer)

    while True:
        try:
            await session(connected)
            reason = "the connection ended"
        except PeerLost as lost:
            reason = str(lost)
        finally:
            link.connected = False
        link.reason = reason
        if reason != told:
            logger.info("%s: away (%s)", peer, reason)
            told = reason
        failures += 1
        with trio.move_on_after(pauses(failures)):
            await sooner()
