"""How sessions come and go: slots, the audience, and what is said to them at the end."""

from __future__ import annotations

from collections.abc import Callable

from trio_moon.model.errors import MoonError
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.caller import Caller, Outbox, Session
from trio_moon.rpc.jsonrpc import JsonRpc
from trio_moon.rpc.request_head import Doorkeeper
from trio_moon.web.budget import Budget
from trio_moon.web.settings import Limits

SessionEnded = Callable[[Session], None]

TakeLeave = Callable[[bool], None]
"""Ends a session because the service goes: True to say so in good order, False to break the connection."""

RECONNECT_ONLY_WHEN_BROKEN = ("mainsail",)
"""Clients that come back after a broken connection, but not after one that was closed in good order."""


class NoRoom(MoonError):
    """All slots for websockets are taken."""


class Sessions:
    """Opens sessions for all lanes, and closes them so that nothing of them stays behind."""

    def __init__(
        self,
        jsonrpc: JsonRpc,
        audience: Audience,
        doorkeeper: Doorkeeper,
        ended: SessionEnded,
        *,
        most: int,
        limits: Limits,
        budget: Budget,
    ) -> None:
        self.jsonrpc = jsonrpc
        self.limits = limits
        self.budget = budget
        self._audience = audience
        self._doorkeeper = doorkeeper
        self._ended = ended
        self._most = most
        self._open: dict[Session, tuple[Caller, TakeLeave]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def check_room(self, caller: Caller) -> None:
        """Raise NoRoom unless `caller` may have a websocket. Some slots are kept for those we know."""
        kept = min(self.limits.sessions_for_trusted, self._most // 2)
        if len(self._open) >= self._most or (not caller.authorized and len(self._open) >= self._most - kept):
            raise NoRoom("all places for websockets are taken (max_websocket_connections)")
        if not caller.authorized:
            unknown = [other.address for other, _ in self._open.values() if not other.authorized]
            most = self.limits.unknown_sessions
            if len(unknown) >= most or unknown.count(caller.address) >= most / 2:  # one address leaves others room
                raise NoRoom("too many websockets wait for a login")

    def begin(self, caller: Caller, outbox: Outbox, take_leave: TakeLeave) -> Session:
        """A session that hears all news from now on."""
        session = Session(outbox, caller=caller)
        caller.session = session
        self._doorkeeper.admit_session(caller, session)
        self._open[session] = (caller, take_leave)
        self._audience.join(session)
        return session

    def take_leave(self) -> None:
        """The service goes: tell everybody, in the way that brings them back."""
        for session, (_, take_leave) in tuple(self._open.items()):
            name = session.client.client_name.lower() if session.client is not None else ""
            take_leave(name not in RECONNECT_ONLY_WHEN_BROKEN)

    def end(self, session: Session) -> None:
        """The connection is gone; whatever happens, the slot is free again."""
        self._open.pop(session, None)
        self._audience.leave(session)
        self._ended(session)
