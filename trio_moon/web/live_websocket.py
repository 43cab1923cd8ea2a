"""The lane of websockets: calls come in, prebuilt frames go out without waiting."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import cast

import trio

from trio_moon.model.errors import MoonError, TooLarge, TooMany
from trio_moon.rpc.caller import Caller
from trio_moon.rpc.request_head import Doorkeeper
from trio_moon.web.answers import Answer, answer_of, error_answer
from trio_moon.web.connection import Connection
from trio_moon.web.conversation import Conversation
from trio_moon.web.frames import CLOSE, PING, PONG, TEXT, FrameReader, Violation, frame_close, frame_control, frame_text
from trio_moon.web.outlet import Outlet
from trio_moon.web.pieces import Pieces
from trio_moon.web.rendering import render
from trio_moon.web.request_parser import ParsedHead
from trio_moon.web.sessions import NoRoom, Sessions

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SEND_BUFFER = 256 * 1024
"""Of the socket: small, so that a client that doesn't read is noticed."""


class LiveWebsocket:
    """Upgrades connections and keeps the sessions on them."""

    def __init__(self, sessions: Sessions, doorkeeper: Doorkeeper) -> None:
        self._sessions = sessions
        self._doorkeeper = doorkeeper

    async def serve(self, connection: Connection, parsed: ParsedHead, data: bytes) -> None:
        """Take over a connection whose next request is an upgrade; `data` begins with that request's head."""
        limits = self._sessions.limits
        rest = data[data.find(b"\r\n\r\n") + 4 :]
        refusal = _refusal(parsed)
        if refusal is None:
            try:
                caller = self._doorkeeper.admit(parsed.head)
                self._sessions.check_room(caller)
            except NoRoom as error:
                refusal = error_answer(503, error.message, {"Retry-After": "30"})
            except MoonError as error:
                refusal = answer_of(error, "websocket")
        if refusal is not None:
            await connection.send(render(refusal, keep_alive=False), limits.no_progress)
            await connection.linger()
            return
        connection.sock.setsockopt(*_SNDBUF)
        accept = base64.b64encode(hashlib.sha1(parsed.head.headers["sec-websocket-key"].encode() + MAGIC).digest())
        await connection.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n",
            limits.no_progress,
        )
        async with trio.open_nursery() as nursery:
            talk = _Talk(connection, nursery, self._sessions, caller)
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


_SNDBUF = (1, 7, SEND_BUFFER)  # SOL_SOCKET, SO_SNDBUF


class _Talk:
    """One open websocket."""

    def __init__(self, connection: Connection, nursery: trio.Nursery, sessions: Sessions, caller: Caller) -> None:
        self._connection = connection
        self._limits = sessions.limits
        self._caller = caller
        self._frames = FrameReader()
        self._pieces = Pieces(sessions.budget)
        self._last: tuple[int, str] | None = None
        self._ended = False
        self._opened_at = self._heard_at = trio.current_time()
        self._heard = self._pinged = False
        self.outlet = Outlet(connection, frame_text, nursery, sessions.limits, self.end)

    async def run(self, conversation: Conversation, data: bytes) -> None:
        """Hear until the client or we close."""
        connection = self._connection
        while True:
            if data:
                messages = self._read(data)
                if messages:
                    await conversation.hear(messages)
                elif self.outlet.crowded:  # with pongs
                    await self.outlet.drained()
                if self._last is not None:
                    self.end(*self._last)
            if self._ended:
                if not self.outlet.stuck:
                    await connection.linger()
                return
            data = await connection.receive()
            if not data:
                return
            self._heard = True

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
        """Ping a silent client, and let go of a dead one and of one that nobody logs in to."""
        if self._ended:
            return
        if not self._caller.authorized and now - self._opened_at > self._limits.unknown_session:
            self.end(1008, "nobody has logged in")
            return
        if self._heard:  # since the last sweep
            self._heard_at, self._heard, self._pinged = now, False, False
        silent = now - self._heard_at
        if silent > self._limits.dead_after and not self.outlet.stuck:
            self.end(1011, "no answer to our pings")
        elif silent > self._limits.ping_after and not self._pinged:
            self._pinged = True
            self.outlet.write(frame_control(PING, b"moon"))


def _refusal(parsed: ParsedHead) -> Answer | None:
    headers = parsed.head.headers
    if parsed.head.verb != "GET":
        return error_answer(405, "a websocket is opened with GET", {"Allow": "GET"})
    if parsed.body_length or parsed.chunked:
        return error_answer(400, "an upgrade has no body")
    if "upgrade" not in headers.get("connection", "").lower():
        return error_answer(400, "the header 'Connection: Upgrade' is missing")
    if headers.get("sec-websocket-version", "").strip() != "13":
        return error_answer(426, "version 13 of the websocket protocol is spoken here", {"Sec-WebSocket-Version": "13"})
    try:
        valid = len(base64.b64decode(headers.get("sec-websocket-key", ""), validate=True)) == 16
    except (binascii.Error, ValueError):
        valid = False
    return None if valid else error_answer(400, "Sec-WebSocket-Key must be 16 bytes in base64")
