"""The lane of the unix socket: JSON-RPC messages that end in 0x03, as Moonraker's agents speak it."""

from __future__ import annotations

import trio

from trio_moon.kit.framing import ETX, FrameSplitter
from trio_moon.rpc.caller import Transport
from trio_moon.rpc.request_head import Doorkeeper, RequestHead
from trio_moon.web.connection import Connection
from trio_moon.web.conversation import Conversation
from trio_moon.web.outlet import Outlet
from trio_moon.web.sessions import Sessions


def frame_etx(payload: bytes) -> bytes:
    """One message as the unix socket has it."""
    return payload + ETX


class UnixLane:
    """Serves sessions on the unix socket: whoever may open it is trusted as far as the doorkeeper says."""

    def __init__(self, sessions: Sessions, doorkeeper: Doorkeeper) -> None:
        self._sessions = sessions
        self._doorkeeper = doorkeeper

    async def serve(self, connection: Connection) -> None:
        """Hear until the client leaves."""
        limits = self._sessions.limits
        connection.proven = connection.busy = True
        splitter = FrameSplitter(limits.message_bytes)
        caller = self._doorkeeper.admit(RequestHead("GET", "", "", {}, None, Transport.UNIX))

        def end(code: int, reason: str) -> None:
            connection.cut()

        async with trio.open_nursery() as nursery:
            outlet = Outlet(connection, frame_etx, nursery, limits, end)
            conversation = Conversation(
                self._sessions.jsonrpc, caller, outlet, frame_etx, nursery, limits.waiting_calls, limits.waiting_answers
            )
            session = self._sessions.begin(caller, outlet, lambda in_good_order: connection.cut())
            try:
                while data := await connection.receive():
                    frames = splitter.feed(data)
                    if splitter.oversized or splitter.pending_bytes > limits.message_bytes:
                        break
                    if frames and not conversation.hear(list(frames)):
                        await conversation.caught_up()
            finally:
                self._sessions.end(session)
                outlet.shut()
                nursery.cancel_scope.cancel()
