"""The Quart-Trio application: the same answers as the live lanes, through the same functions."""

from __future__ import annotations

import math
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from typing import Any

import trio
from h11 import LocalProtocolError
from quart import Response, request, websocket
from quart_trio import QuartTrio

from trio_moon.model.errors import MoonError, RequestError
from trio_moon.rpc.caller import Transport
from trio_moon.rpc.jsonrpc import JSONRPC_PATH
from trio_moon.rpc.request_head import Doorkeeper, RequestHead
from trio_moon.web.answers import WEBSOCKET_PATH, Answer, Answers, Call, answer_of, error_answer
from trio_moon.web.multipart import MultipartReader
from trio_moon.web.pieces import Pieces
from trio_moon.web.queued_outbox import QueuedOutbox
from trio_moon.web.request_parser import BadRequest, add_header, split_target
from trio_moon.web.sessions import NoRoom, Sessions
from trio_moon.web.settings import FrontSettings

FILE_CHUNK = 1 << 15


def quart_app(answers: Answers, sessions: Sessions, doorkeeper: Doorkeeper, settings: FrontSettings) -> QuartTrio:
    """An application that answers everything before any routing."""
    app = QuartTrio(__name__, static_folder=None)
    app.logger.handlers.clear()
    app.logger.disabled = True  # what goes wrong in our code is logged by `answers`
    app.config.update(MAX_CONTENT_LENGTH=None, BODY_TIMEOUT=None, RESPONSE_TIMEOUT=None)
    served = _Served(answers, sessions, doorkeeper, settings)
    app.before_request(served.http)
    app.before_websocket(served.websocket)
    return app


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
        try:
            head = self._head(request)
        except BadRequest as error:
            return _written(error_answer(error.status, error.message))
        call = self._answers.open(head)
        if isinstance(call, Answer):
            return _written(call, head.verb)
        if call.is_upload:
            return _written(await self._upload(call), head.verb)
        pieces = Pieces(self._sessions.budget)

        async def keep(data: bytes, size: int) -> None:
            call.check_size(size, self._limits)
            pieces.add(data)

        try:
            await self._read_body(keep)
            body = pieces.take()
        except RequestError as error:
            return _written(call.refusal(error), head.verb)
        except trio.TooSlowError:
            return _written(error_answer(408, "the request took too long"))
        finally:
            pieces.drop()
        outcome = call.begin(body if isinstance(body, bytes) else b"")
        return _written(outcome if isinstance(outcome, Answer) else await outcome(), head.verb)

    def _head(self, source: Any, transport: Transport = Transport.HTTP) -> RequestHead:
        """What was asked for, by the same rules as on the live lane. Raises BadRequest."""
        scope = source.scope
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            add_header(headers, name, value)
        path, query = split_target(scope["raw_path"] + b"?" + scope["query_string"], headers, self._prefix)
        if path == JSONRPC_PATH and transport is Transport.HTTP:
            transport = Transport.JSONRPC_HTTP
        peer = scope["client"][0] if scope.get("client") else None
        verb = getattr(source, "method", "GET")
        return RequestHead(verb, path, query, headers, peer, transport, scope["scheme"] in ("https", "wss"))

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
            with closing(MultipartReader(call.head.headers["content-type"], incoming)) as reader:

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
        try:
            head = self._head(websocket, Transport.WEBSOCKET)
            if head.path != WEBSOCKET_PATH:
                return _written(error_answer(404, f"Not found: {head.path:.200}"))
            caller = self._doorkeeper.admit(head)
            self._sessions.check_room(caller)
        except BadRequest as error:
            return _written(error_answer(error.status, error.message))
        except NoRoom as error:
            return _written(error_answer(503, error.message))
        except MoonError as error:
            return _written(answer_of(error, "websocket"))
        try:
            await websocket.accept()
        except LocalProtocolError:  # an upgrade that h11 doesn't take for one, because of a body for example
            return _written(error_answer(400, "this is no proper upgrade"))
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


def _written(answer: Answer, verb: str = "GET") -> Response:
    file = answer.file
    if file is None or verb == "HEAD":
        length = len(answer.body) if file is None else file.length
        if file is not None:
            file.close()
        response = Response(b"" if verb == "HEAD" else answer.body, answer.status)
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
