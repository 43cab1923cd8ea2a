"""The cold lane: Quart-Trio under Hypercorn serves whatever is unusual (TLS, HTTP/2, chunked bodies …).

It gives the same answers as the live lanes, through the same functions. Importing it is dear: `front.py` does so
when the first such connection comes.
"""

from __future__ import annotations

import logging
import math
import os
import select
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

import trio
from h11 import LocalProtocolError
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState, LifespanState
from quart import Response, request, websocket
from quart_trio import QuartTrio

from trio_moon.kit.status_box import StatusBox, StatusView
from trio_moon.model.errors import MoonError, TooLarge
from trio_moon.rpc.caller import Transport
from trio_moon.rpc.packet import Packet, notification
from trio_moon.rpc.request_head import Doorkeeper, RequestHead
from trio_moon.web.answers import JSONRPC_PATH, WEBSOCKET_PATH, Answer, Answers, Call, answer_of, error_answer
from trio_moon.web.connection import LINGER, Connection
from trio_moon.web.multipart import MultipartReader
from trio_moon.web.sessions import NoRoom, Sessions
from trio_moon.web.settings import FrontSettings

logger = logging.getLogger(f"{__name__}.lane")  # Quart has taken the module's own

HANDSHAKE_TIMEOUT = 10.0
FILE_CHUNK = 1 << 18
HALF_CLOSED = 5.0
"""A client that sends no more may wait so long for its answer."""


class Cold:
    """Serves whole connections by Hypercorn, each contained."""

    def __init__(self, answers: Answers, sessions: Sessions, doorkeeper: Doorkeeper, settings: FrontSettings) -> None:
        limits = settings.limits
        self._settings = settings
        self._app = QuartTrio(__name__, static_folder=None)
        self._app.logger.handlers.clear()
        self._app.logger.disabled = True  # what goes wrong in our code is logged by `answers`
        self._app.config.update(MAX_CONTENT_LENGTH=None, BODY_TIMEOUT=None, RESPONSE_TIMEOUT=None)
        self._config = Config()
        self._config.keep_alive_timeout = limits.first_request  # a head that dawdles counts as idle, too
        self._config.keep_alive_max_requests = 1_000_000
        self._config.h11_max_incomplete_size = limits.head_bytes
        self._config.websocket_max_message_size = limits.message_bytes
        self._config.websocket_ping_interval = limits.ping_after
        self._config.include_server_header = False
        self._config.accesslog = self._config.errorlog = None
        self._context = WorkerContext(None)
        served = _Served(answers, sessions, doorkeeper, settings)
        self._app.before_request(served.http)
        self._app.before_websocket(served.websocket)

    async def serve(self, connection: Connection, tls: ssl.SSLContext | None) -> None:
        """Serve a connection until it ends, whatever Hypercorn makes of it."""
        stream: trio.abc.Stream = _Replayed(connection)
        if tls is not None:
            stream = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
            connection.deadline = trio.current_time() + HANDSHAKE_TIMEOUT
            try:
                await cast("trio.SSLStream[Any]", stream).do_handshake()
            except (trio.BrokenResourceError, ssl.SSLError):
                return
        connection.deadline = math.inf
        connection.proven = True
        connection.on_sweep = _watch(connection)
        try:
            await TCPServer(
                ASGIWrapper(cast(Any, self._app)),
                self._config,
                self._context,
                ConnectionState(LifespanState({})),
                cast(Any, stream),
            )
        except* Exception as group:
            logger.info("a connection was ended: %r", _innermost(group))
        finally:
            connection.on_sweep = None


def _watch(connection: Connection) -> Callable[[float], None]:
    """What ends a connection whose client has left: Hypercorn doesn't read, and notices nothing, while it waits."""
    poll = select.poll()
    poll.register(connection.sock, select.POLLRDHUP)
    left_at = math.inf

    def look(now: float) -> None:
        nonlocal left_at
        for _, seen in poll.poll(0):
            left_at = min(left_at, now)
            if seen & ~select.POLLRDHUP or now - left_at > HALF_CLOSED:
                connection.cut()

    return look


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class _Replayed(trio.abc.HalfCloseableStream):
    """A Connection as a Trio stream, with what was read of it already coming first."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._closed = False
        self.socket = connection.sock

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        while True:
            await trio.lowlevel.checkpoint()
            data = await self._connection.receive(max_bytes or 65536)
            if not (data and self._closed):  # what comes after the end is thrown away
                return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        await trio.lowlevel.checkpoint()
        while view:
            try:
                view = view[self.socket.send(view) :]
            except BlockingIOError:
                self._connection.deadline = trio.current_time() + 20
                await trio.lowlevel.wait_writable(self.socket)
                self._connection.deadline = math.inf
            except OSError as error:
                raise trio.BrokenResourceError(str(error)) from error

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.wait_writable(self.socket)

    # Hypercorn ends a connection in a task that Quart has cancelled already: neither of these may be interrupted

    async def send_eof(self) -> None:
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def aclose(self) -> None:
        """The client gets a moment to read what was said; then the sweeper ends the connection."""
        self._closed = True
        self._connection.deadline = trio.current_time() + LINGER
        await self.send_eof()


class _Served:
    """What the Quart application answers: everything, before any routing."""

    def __init__(self, answers: Answers, sessions: Sessions, doorkeeper: Doorkeeper, settings: FrontSettings) -> None:
        self._answers = answers
        self._sessions = sessions
        self._doorkeeper = doorkeeper
        self._limits = settings.limits
        self._prefix = settings.route_prefix
        self._uploads = trio.CapacityLimiter(settings.limits.upload_threads)

    async def http(self) -> Response:
        head = self._head(request)
        call = self._answers.open(head)
        if isinstance(call, Answer):
            return _response(call, head)
        if call.is_upload:
            return _response(await self._upload(call), head)
        parts: list[bytes] = []

        async def keep(data: bytes, size: int) -> None:
            call.check_size(size, self._limits)
            parts.append(data)

        try:
            await self._read_body(keep)
        except TooLarge as error:
            return _response(call.refusal(error), head)
        except trio.TooSlowError:
            return _response(error_answer(408, "the request took too long"), head)
        body = b"".join(parts)
        outcome = call.begin(body)
        return _response(outcome if isinstance(outcome, Answer) else await outcome(), head)

    def _head(self, source: Any, transport: Transport = Transport.HTTP) -> RequestHead:
        path = source.scope["path"]
        if self._prefix:
            inside = path.startswith(self._prefix) and path[len(self._prefix) :][:1] in ("", "/")
            path = (path[len(self._prefix) :] or "/") if inside else "//outside"
        if path == JSONRPC_PATH and transport is Transport.HTTP:
            transport = Transport.JSONRPC_HTTP
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in source.scope["headers"]}
        if ":authority" in headers:
            headers.setdefault("host", headers[":authority"])
        client = source.scope.get("client")
        peer = str(client[0]).removeprefix("::ffff:") if client else None
        query = source.scope["query_string"].decode("latin-1")
        verb = getattr(source, "method", "GET")
        return RequestHead(verb, path, query, headers, peer, transport, source.scope["scheme"] in ("https", "wss"))

    async def _read_body(self, take: Callable[[bytes, int], Awaitable[None]]) -> None:
        """Give each piece to `take`, with the size so far, as long as they come at a decent pace (TooSlowError)."""
        size, started = 0, trio.current_time()
        with trio.CancelScope(deadline=started + self._limits.no_progress) as scope:
            async for data in request.body:
                size += len(data)
                scope.deadline = math.inf
                await take(data, size)
                scope.deadline = started + self._limits.no_progress + size / self._limits.slowest_body
        if scope.cancelled_caught:
            raise trio.TooSlowError

    async def _upload(self, call: Call) -> Answer:
        try:
            incoming = call.receive(request.content_length)
        except Exception as error:
            return call.refusal(error)
        finished = False
        try:
            reader = MultipartReader(call.head.headers["content-type"], incoming)

            async def feed(data: bytes, size: int) -> None:
                call.check_upload(size)
                await trio.to_thread.run_sync(reader.feed, data, limiter=self._uploads)

            await self._read_body(feed)
            await trio.to_thread.run_sync(reader.finish, limiter=self._uploads)
            answer = call.success(await incoming.complete())
            finished = True
            return answer
        except trio.TooSlowError:
            return error_answer(408, "the upload took too long")
        except Exception as error:
            return call.refusal(error)
        finally:
            if not finished:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(incoming.abandon)

    async def websocket(self) -> Response | None:
        head = self._head(websocket, Transport.WEBSOCKET)
        try:
            if head.path != WEBSOCKET_PATH:
                return _response(error_answer(404, f"Not found: {head.path:.200}"), head)
            caller = self._doorkeeper.admit(head)
            self._sessions.check_room(caller)
        except NoRoom as error:
            return _response(error_answer(503, error.message), head)
        except MoonError as error:
            return _response(answer_of(error, "websocket"), head)
        try:
            await websocket.accept()
        except LocalProtocolError:  # an upgrade that h11 doesn't take for one, because of a body for example
            return _response(error_answer(400, "this is no proper upgrade"), head)
        async with trio.open_nursery() as nursery:
            outbox = QueuedOutbox(self._limits.waiting_events)
            session = self._sessions.begin(caller, outbox, outbox.take_leave)
            nursery.start_soon(outbox.run)
            waiting = trio.Semaphore(self._limits.waiting_calls)

            async def answer(message: bytes | str) -> None:
                try:
                    reply = await self._sessions.jsonrpc.answer(message, caller)
                    if reply is not None:
                        outbox.put(reply)
                finally:
                    waiting.release()

            try:
                while True:
                    message = await websocket.receive()
                    await waiting.acquire()
                    nursery.start_soon(answer, message)
            finally:
                self._sessions.end(session)
                nursery.cancel_scope.cancel()


class QueuedOutbox:
    """An Outbox in front of a websocket of Quart's: bounded, with a task that sends."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._queue: deque[bytes] = deque()
        self._event_bytes = 0
        self._box = StatusBox()
        self._eventtime = 0.0
        self._some = trio.Event()
        self._end: tuple[int, str] | None = None

    def event(self, packet: Packet) -> None:
        """Queue one notification; a client that lets too many wait is closed."""
        self._event_bytes += len(packet.payload)
        if self._event_bytes > self._most:
            self._stop(1013, "too many unread notifications")
        else:
            self.put(packet.payload)

    def put(self, payload: bytes) -> None:
        """Queue an answer."""
        self._queue.append(payload)
        self._some.set()

    def status(self, news: StatusView, eventtime: float, packet: Packet) -> None:
        """Queue a status update, or merge it into what the client hasn't read yet."""
        if self._queue:
            self._box.put(news)
            self._eventtime = eventtime
        else:
            self.put(packet.payload)

    def close(self, reason: str) -> None:
        """End the session for a reason that the client is told."""
        self._stop(1008, reason)

    def take_leave(self, in_good_order: bool) -> None:
        """The service goes."""
        self._stop(1001, "the service stops")

    def _stop(self, code: int, reason: str) -> None:
        self._end = self._end or (code, reason)
        self._some.set()

    async def run(self) -> None:
        """Send until the connection ends."""
        while True:
            await self._some.wait()
            if self._end is not None:
                await websocket.close(*self._end)
                return
            if self._queue:
                await websocket.send(self._queue[0].decode())
                self._queue.popleft()
            elif self._box:
                merged = notification("notify_status_update", self._box.take_now(), self._eventtime)
                self._queue.append(merged.payload)
            else:
                self._event_bytes = 0
                self._some = trio.Event()


def _response(answer: Answer, head: RequestHead) -> Response:
    file = answer.file
    if file is None or head.verb == "HEAD":
        length = len(answer.body) if file is None else file.length
        if file is not None:
            file.close()
        response = Response(b"" if head.verb == "HEAD" else answer.body, answer.status)
    else:
        length = file.length
        response = Response(_file_chunks(answer), answer.status)
    response.headers["Content-Type"] = answer.content_type
    if answer.status not in (204, 304):
        response.headers["Content-Length"] = str(length)
    response.headers["X-Content-Type-Options"] = "nosniff"
    for name, value in answer.headers.items():
        response.headers[name] = value.replace("\r", "").replace("\n", "")
    return response


async def _file_chunks(answer: Answer) -> AsyncIterator[bytes]:
    file = answer.file
    assert file is not None
    position, end = file.start, file.start + file.length
    try:
        while position < end:
            data = await trio.to_thread.run_sync(os.pread, file.descriptor, min(FILE_CHUNK, end - position), position)
            if not data:
                return
            position += len(data)
            yield data
    finally:
        file.close()
