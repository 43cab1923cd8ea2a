"""The lane of websockets: who may open one, and what it is for."""

from __future__ import annotations

import base64
import binascii
import hashlib

import trio

from trio_moon.model.errors import MoonError
from trio_moon.rpc.caller import Caller, Session
from trio_moon.rpc.request_head import Doorkeeper
from trio_moon.web.answers import BRIDGE_PATH, Answer, answer_of, error_answer
from trio_moon.web.bridge import Bridge
from trio_moon.web.connection import Connection
from trio_moon.web.conversation import Conversation
from trio_moon.web.frames import frame_text
from trio_moon.web.rendering import render
from trio_moon.web.request_parser import ParsedHead
from trio_moon.web.sessions import NoRoom, Sessions
from trio_moon.web.talk import Talk

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SEND_BUFFER = 256 * 1024
"""Of the socket: small, so that a client that doesn't read is noticed."""
_SNDBUF = (1, 7, SEND_BUFFER)  # SOL_SOCKET, SO_SNDBUF


class LiveWebsocket:
    """Upgrades connections, and keeps the sessions and bridges on them."""

    def __init__(self, sessions: Sessions, doorkeeper: Doorkeeper, bridge: Bridge) -> None:
        self._sessions = sessions
        self._doorkeeper = doorkeeper
        self._bridge = bridge

    async def serve(self, connection: Connection, parsed: ParsedHead, data: bytes) -> None:
        """Take over a connection whose next request is an upgrade; `data` begins with that request's head."""
        rest = data[data.find(b"\r\n\r\n") + 4 :]
        refusal = _refusal(parsed)
        if refusal is None:
            try:
                caller = self._doorkeeper.admit(parsed.head)
                if parsed.head.path == BRIDGE_PATH:
                    async with self._bridge.to_klipper(caller) as stream:
                        await self._accept(connection, parsed)
                        await self._put_through(connection, caller, stream, rest)
                    return
                self._sessions.check_room(caller)
            except NoRoom as error:
                refusal = error_answer(503, error.message, {"Retry-After": "30"})
            except MoonError as error:
                refusal = answer_of(error, "websocket")
        if refusal is not None:
            await connection.send(render(refusal, keep_alive=False), self._sessions.limits.no_progress)
            await connection.linger()
            return
        await self._accept(connection, parsed)
        await self._converse(connection, caller, rest)

    async def _accept(self, connection: Connection, parsed: ParsedHead) -> None:
        connection.sock.setsockopt(*_SNDBUF)
        accept = base64.b64encode(hashlib.sha1(parsed.head.headers["sec-websocket-key"].encode() + MAGIC).digest())
        await connection.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n",
            self._sessions.limits.no_progress,
        )

    async def _converse(self, connection: Connection, caller: Caller, rest: bytes) -> None:
        """JSON-RPC until one of us closes."""
        limits = self._sessions.limits
        async with trio.open_nursery() as nursery:
            talk = Talk(connection, nursery, self._sessions, caller, stranger_may_stay=limits.unknown_session)
            conversation = Conversation(
                self._sessions.jsonrpc,
                caller,
                talk.outlet,
                frame_text,
                nursery,
                limits.waiting_calls,
                limits.waiting_answers,
            )
            session = self._sessions.begin(caller, talk.outlet, talk.take_leave)
            connection.on_sweep = talk.sweep
            try:
                await talk.run(conversation, rest)
            finally:
                connection.on_sweep = None
                self._sessions.end(session)
                talk.leave_nothing()
                nursery.cancel_scope.cancel()

    async def _put_through(
        self, connection: Connection, caller: Caller, stream: trio.SocketStream, rest: bytes
    ) -> None:
        """What the client and Klipper say to each other, until one of them closes."""
        async with trio.open_nursery() as nursery:
            talk = Talk(connection, nursery, self._sessions, caller, stranger_may_stay=0.0)
            self._doorkeeper.admit_session(caller, Session(talk.outlet, caller=caller))
            connection.on_sweep = talk.sweep
            try:
                with self._bridge.line(talk, stream) as line:
                    nursery.start_soon(line.tell)
                    await talk.run(line, rest)
            finally:
                connection.on_sweep = None
                talk.leave_nothing()
                nursery.cancel_scope.cancel()


def _refusal(parsed: ParsedHead) -> Answer | None:
    headers = parsed.head.headers
    if parsed.head.verb != "GET":
        return error_answer(405, "a websocket is opened with GET", {"Allow": "GET"})
    if parsed.body_length or parsed.chunked:
        return error_answer(400, "an upgrade has no body")
    if "upgrade" not in headers.get("connection", "").lower():
        return error_answer(400, "the header 'Connection: Upgrade' is missing")
    if headers.get("sec-websocket-version") != "13":
        return error_answer(426, "version 13 of the websocket protocol is spoken here", {"Sec-WebSocket-Version": "13"})
    try:
        valid = len(base64.b64decode(headers.get("sec-websocket-key", ""), validate=True)) == 16
    except (binascii.Error, ValueError):
        valid = False
    return None if valid else error_answer(400, "Sec-WebSocket-Key must be 16 bytes in base64")
