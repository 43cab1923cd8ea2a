"""Everybody who is connected, for news that concern them all."""

from __future__ import annotations

from collections.abc import Iterator

import trio

from trio_moon.rpc.caller import Session
from trio_moon.rpc.packet import Packet, notification


class Audience:
    """The connected sessions. Features announce; the front joins and leaves."""

    def __init__(self) -> None:
        self._sessions: dict[int, Session] = {}

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._sessions.values()))

    def __len__(self) -> int:
        return len(self._sessions)

    def join(self, session: Session) -> None:
        """From now on `session` hears every announcement."""
        self._sessions[session.connection_id] = session

    def leave(self, session: Session) -> None:
        """The connection has ended."""
        self._sessions.pop(session.connection_id, None)

    def announce(self, method: str, *params: object) -> None:
        """Send one notification (`notify_…`) to everybody; encoded once, never waits."""
        if self._sessions:
            self.send(notification(method, *params))

    def announce_after_answer(self, method: str, *params: object) -> None:
        """Announce what a call has brought about, once its handler has returned: clients know the answer first."""
        if self._sessions:
            trio.lowlevel.current_trio_token().run_sync_soon(self.send, notification(method, *params))

    def send(self, packet: Packet, besides: Session | None = None) -> None:
        """Send an encoded message to everybody `besides` this one; strangers who haven't logged in hear nothing."""
        for session in self:
            if session is not besides and (session.caller is None or session.caller.authorized):
                session.outbox.event(packet)
