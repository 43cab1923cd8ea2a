"""The lane of websockets: wsproto reads what clients send, prebuilt frames go out without waiting."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from typing import cast

import trio
from wsproto.frame_protocol import CloseReason, FrameProtocol, Opcode, ParseFailed

from trio_moon.model.errors import MoonError
from trio_moon.rpc.request_head import Doorkeeper
from trio_moon.web.answers import Answer, answer_of, error_answer
from trio_moon.web.connection import Connection
from trio_moon.web.conversation import Conversation
from trio_moon.web.live_http import render
from trio_moon.web.outlet import Outlet
from trio_moon.web.request_parser import ParsedHead
from trio_moon.web.sessions import NoRoom, Sessions

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SEND_BUFFER = 256 * 1024
"""Of the socket: small, so that a client that doesn't read is noticed."""


def frame_text(payload: bytes) -> bytes:
    """One unmasked text message."""
    size = len(payload)
    if size < 126:
        return b"\x81" + bytes((size,)) + payload
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def frame_control(opcode: int, payload: bytes = b"") -> bytes:
    """A close, ping or pong."""
    return bytes((0x80 | opcode, len(payload))) + payload


def close_frame(code: int, reason: str) -> bytes:
    """The frame that says why; the reason is cut to what fits."""
    text = reason.encode()[:120].decode("utf-8", "ignore").encode()
    return frame_control(8, struct.pack("!H", code) + text)


class MessageTooBig(Exception):
    """A message above the limit."""


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
            talk = _Talk(connection, nursery, self._sessions)
            conversation = Conversation(
                self._sessions.jsonrpc, caller, talk.outlet, frame_text, nursery, limits.waiting_calls
            )
            session = self._sessions.begin(caller, talk.outlet, talk.take_leave)
            connection.on_sweep = talk.sweep
            try:
                await talk.run(conversation, rest)
            finally:
                connection.on_sweep = None
                self._sessions.end(session)
                talk.outlet.shut()
                nursery.cancel_scope.cancel()


_SNDBUF = (1, 7, SEND_BUFFER)  # SOL_SOCKET, SO_SNDBUF


class _Talk:
    """One open websocket."""

    def __init__(self, connection: Connection, nursery: trio.Nursery, sessions: Sessions) -> None:
        self._connection = connection
        self._limits = sessions.limits
        self._frames = FrameProtocol(client=False, extensions=[])
        self._ended = False
        self._parts: list[bytes | str] = []
        self._size = 0
        self._heard_at = trio.current_time()
        self._pinged = False
        self.outlet = Outlet(connection, frame_text, nursery, sessions.limits, self.end)

    async def run(self, conversation: Conversation, data: bytes) -> None:
        """Hear until the client or we close."""
        connection = self._connection
        while True:
            if data:
                try:
                    messages = self._read(data)
                except ParseFailed as error:
                    self.end(int(error.code), str(error))
                    messages = []
                except MessageTooBig:
                    self.end(1009, "the message is too big")
                    messages = []
                if messages:
                    await conversation.hear(messages)
            if self._ended:
                if not self.outlet.stuck:
                    await connection.linger()
                return
            data = await connection.receive()
            if not data:
                return
            self._heard_at = trio.current_time()
            self._pinged = False

    def _read(self, data: bytes) -> list[bytes | str]:
        messages: list[bytes | str] = []
        self._frames.receive_bytes(data)
        for frame in self._frames.received_frames():
            match frame.opcode:
                case Opcode.TEXT | Opcode.BINARY | Opcode.CONTINUATION:
                    payload = cast("bytes | str", frame.payload)
                    if frame.frame_finished and frame.message_finished and not self._parts:
                        if len(payload) > self._limits.message_bytes:
                            raise MessageTooBig
                        messages.append(payload)
                        continue
                    self._size += len(payload)
                    if self._size > self._limits.message_bytes:
                        raise MessageTooBig
                    self._parts.append(payload)
                    if frame.frame_finished and frame.message_finished:
                        messages.append(_joined(self._parts))
                        self._parts, self._size = [], 0
                case Opcode.PING:
                    self.outlet.write(frame_control(10, bytes(cast(bytes, frame.payload))))
                case Opcode.PONG:
                    pass
                case Opcode.CLOSE:
                    code = int(cast("tuple[int, str]", frame.payload)[0])
                    self.end(1000 if code == CloseReason.NO_STATUS_RCVD else code, "")
                    break
        return messages

    def end(self, code: int, reason: str) -> None:
        """Say why, give the client a moment to read it, then the connection ends."""
        if not self._ended:
            self._ended = True
            self.outlet.finish(close_frame(code, reason))

    def take_leave(self, in_good_order: bool) -> None:
        """The service goes."""
        if in_good_order:
            self.end(1001, "the service stops")
        else:
            self._connection.cut()

    def sweep(self, now: float) -> None:
        """Ping a silent client, and let go of a dead one."""
        if self._ended:
            return
        silent = now - self._heard_at
        if silent > self._limits.dead_after and not self.outlet.stuck:
            self.end(1011, "no answer to our pings")
        elif silent > self._limits.ping_after and not self._pinged:
            self._pinged = True
            self.outlet.write(frame_control(9, b"moon"))


def _joined(parts: list[bytes | str]) -> bytes | str:
    if isinstance(parts[0], str):
        return "".join(cast("list[str]", parts))
    return b"".join(part.encode() if isinstance(part, str) else part for part in parts)


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
