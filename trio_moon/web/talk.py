"""One open websocket: frames in and out, pings, and how it ends. What is said is somebody else's matter."""

from __future__ import annotations

from typing import Protocol, cast

import trio

from trio_moon.kit.readable import whenever_readable
from trio_moon.model.errors import TooLarge, TooMany
from trio_moon.rpc.caller import Caller
from trio_moon.web.body_reader import Pace
from trio_moon.web.connection import Connection
from trio_moon.web.frame_reader import FrameReader
from trio_moon.web.frames import CLOSE, PING, PONG, TEXT, Violation, frame_close, frame_control, frame_text
from trio_moon.web.outlet import Outlet
from trio_moon.web.pieces import Pieces
from trio_moon.web.sessions import Sessions


class Hearer(Protocol):
    """Who the messages are for."""

    def hear(self, messages: list[bytes | str]) -> bool:
        """Take what came with one read; False when no more should be read until it has caught up."""

    async def caught_up(self) -> None:
        """Wait until what was taken has been seen to, and more may come."""


class Talk:
    """One open websocket."""

    def __init__(
        self,
        connection: Connection,
        nursery: trio.Nursery,
        sessions: Sessions,
        caller: Caller,
        *,
        stranger_may_stay: float,
    ) -> None:
        """A caller who isn't authorised (any more) is sent away `stranger_may_stay` seconds after the beginning."""
        self._connection = connection
        self._limits = sessions.limits
        self._caller = caller
        self._stranger_may_stay = stranger_may_stay
        self._frames = FrameReader(self._check_size)
        self._pieces = Pieces(sessions.budget)
        self._pace: Pace | None = None
        """Of the message that is in pieces; slow ones would keep the budget from others."""
        self._last: tuple[int, str] | None = None
        self._ended = self._left = self._behind = False
        self._opened_at = self._heard_at = trio.current_time()
        self._heard = self._pinged = False
        self.outlet = Outlet(connection, frame_text, nursery, sessions.limits, self.end)

    async def run(self, hearer: Hearer, data: bytes) -> None:
        """Hear until the client or we close; `data` is what came with the upgrade."""
        connection = self._connection

        def read() -> bool:
            received = connection.receive_now()
            if received is None:
                return False
            self._heard = True
            self._left = not received
            return self._left or not self._take(received, hearer)

        goes_on = not data or self._take(data, hearer)
        while goes_on or await self._settle(hearer):
            await whenever_readable(connection.sock, read)
            goes_on = False

    def _take(self, data: bytes, hearer: Hearer) -> bool:
        """Hear what came; False if something has to be waited for, or ends the session: see `_settle`."""
        messages = self._read(data)
        self._behind = bool(messages) and not hearer.hear(messages)
        return not (self._behind or self._ended or self._last is not None or self.outlet.crowded)

    async def _settle(self, hearer: Hearer) -> bool:
        """Wait until the client may go on; False if the session has ended."""
        if self._left:
            return False
        if self._behind:
            await hearer.caught_up()
            self._behind = False
        elif self.outlet.crowded:  # with pongs
            await self.outlet.drained()
        if self._last is not None:
            self.end(*self._last)
        if self._ended:  # what was begun is still sent, for a moment: see `Outlet.finish`
            await self.outlet.drained()
            await self._connection.linger()
        return not self._ended

    def _read(self, data: bytes) -> list[bytes | str]:
        """The messages that `data` completes. What the protocol forbids ends the session."""
        messages: list[bytes | str] = []
        try:
            if not self._pieces.size and (text := self._frames.whole_text(data)) is not None:  # nearly always
                self._check_size(len(text))
                return [text]
            for opcode, payload, ended in self._frames.feed(data):
                if opcode == TEXT:
                    self._check_size(len(payload))
                    if ended and not self._pieces:
                        messages.append(payload)
                        continue
                    self._pieces.add(payload)
                    if ended:
                        messages.append(self._pieces.take())
                        self._pace = None
                elif opcode == PING:
                    self.outlet.write(frame_control(PONG, bytes(cast(bytes, payload))))
                elif opcode == CLOSE:
                    self._ends_after(int.from_bytes(cast(bytes, payload), "big"), "")
        except Violation as error:
            self._ends_after(error.code, error.reason)
        except (TooLarge, TooMany) as error:
            self._ends_after(1009, error.message)
        return messages

    def _check_size(self, more: int) -> None:
        limits = self._limits
        limit = limits.message_bytes if self._caller.authorized else limits.unknown_body_bytes
        if self._pieces.size + more > limit:
            raise TooLarge("the message is too big")

    def _ends_after(self, code: int, reason: str) -> None:
        """Close once what came before has been answered."""
        self._last = (code, reason)

    def end(self, code: int, reason: str) -> None:
        """Say why, give the client a moment to read it, then the connection ends."""
        if not self._ended:
            self._ended = True
            self.outlet.finish(frame_close(code, reason))

    def take_leave(self, in_good_order: bool) -> None:
        """The service goes."""
        if in_good_order:
            self.end(1001, "the service stops")
        else:
            self._connection.cut()

    def leave_nothing(self) -> None:
        """The connection is gone: give back what it held."""
        self.outlet.shut()
        self._pieces.drop()

    def sweep(self, now: float) -> None:
        """Ping a silent client, and let go of a dead one, a dawdling one, and of one that nobody logs in to."""
        if self._ended:
            return
        if not self._caller.authorized and now - self._opened_at > self._stranger_may_stay:
            self.end(1008, "nobody is logged in")
            return
        if self._behind:
            self._pace = None  # it is us who read no more of the message
        elif self._pieces:
            self._pace = self._pace or Pace(self._limits)
            if self._pace.overdue(self._pieces.size, now):
                self.end(1008, "the message comes too slowly")
                return
        if self._heard:  # since the last sweep
            self._heard_at, self._heard, self._pinged = now, False, False
        silent = now - self._heard_at
        if silent > self._limits.dead_after and not self.outlet.stuck:
            if self._connection.has_unread():  # too many of its calls wait: we don't read its pongs
                self._heard = True
            else:
                self.end(1011, "no answer to our pings")
        elif silent > self._limits.ping_after and not self._pinged:
            self._pinged = True
            self.outlet.write(frame_control(PING, b"moon"))
