"""The lane of plain HTTP/1.1: keep-alive API calls, answered with one send for all that one read brought."""

from __future__ import annotations

import math
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from trio_moon.kit.readable import whenever_readable
from trio_moon.model.errors import RequestError, TooLarge
from trio_moon.rpc.caller import Transport
from trio_moon.web.answers import Answer, Answers, Call, Later, error_answer
from trio_moon.web.body_framing import body_of
from trio_moon.web.body_reader import SHORT, read_whole, skip
from trio_moon.web.budget import Budget
from trio_moon.web.connection import Connection, Gone
from trio_moon.web.rendering import TOO_SLOW, render
from trio_moon.web.request_parser import BadRequest, ParsedHead, parse_head, refuse_hopeless
from trio_moon.web.settings import Limits
from trio_moon.web.uploads import Uploads

READ_SIZE = 16384
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
REMEMBERED = 4096
"""A longer head is parsed anew each time: idle connections shouldn't hold much."""
BURST = 32
"""So many pipelined answers, then the others get their turn."""
LONG = 16384
"""A longer answer isn't kept for those behind it: who doesn't read must not have many."""

Lane = Callable[[Connection, ParsedHead, bytes], Awaitable[None]]
"""Takes over a whole connection: the parsed head of its next request, and the bytes from that head on."""


class LiveHttp:
    """Serves connections until they end or another lane takes them."""

    def __init__(
        self,
        answers: Answers,
        limits: Limits,
        *,
        budget: Budget,
        uploads: Uploads,
        websocket: Lane,
        prefix: str = "",
    ) -> None:
        self._answers = answers
        self._limits = limits
        self._uploads = uploads
        self._websocket = websocket
        self._prefix = prefix
        self.budget = budget
        self._downloads = trio.CapacityLimiter(limits.downloads)

    async def serve(self, connection: Connection) -> None:
        """Answer requests until the client or we have had enough."""
        with suppress(Gone):
            await _Exchange(self, connection).run()

    async def send_file(self, connection: Connection, answer: Answer) -> None:
        """Send the file of an answer from the page cache to the socket; the disk is read in a thread."""
        file = answer.file
        assert file is not None
        position, end = file.start, file.start + file.length
        try:
            while position < end:
                connection.deadline = trio.current_time() + self._limits.no_progress
                await trio.lowlevel.wait_writable(connection.sock)
                try:
                    sent = await trio.to_thread.run_sync(
                        os.sendfile,
                        connection.sock.fileno(),
                        file.descriptor,
                        position,
                        min(end - position, 1 << 20),
                        limiter=self._downloads,
                    )
                except BlockingIOError:
                    continue
                except OSError as error:
                    raise Gone(str(error)) from error
                if sent == 0:
                    raise Gone("the file has become shorter")
                position += sent
        finally:
            connection.deadline = math.inf


class _Exchange:
    """The requests and answers of one connection."""

    def __init__(self, lane: LiveHttp, connection: Connection) -> None:
        self._lane = lane
        self._answers = lane._answers
        self._limits = lane._limits
        self._connection = connection
        self._buffer = b""
        self._out: list[bytes] = []
        self._left = False
        self._begun: Call | Answer | Later | None = None
        """What became of the next request already, for a task to go on with."""
        self._known_head = b""
        self._known: ParsedHead | None = None
        """What the last head was parsed to: who keeps a connection asks the same again and again."""

    async def run(self) -> None:
        connection = self._connection
        connection.deadline = connection.opened_at + self._limits.first_request
        while True:
            try:
                if not await self._serve_one(*await self._next_head()):
                    return
            except BadRequest as error:
                await self._last_answer(error_answer(error.status, error.message))
                return
            if len(self._out) >= BURST:
                await self._flush()
                await trio.lowlevel.checkpoint()

    async def _next_head(self) -> tuple[ParsedHead, int]:
        """The next head and its size; it is still in the buffer. Raises BadRequest, and Gone at the end."""
        connection, limits = self._connection, self._limits
        while True:
            if self._buffer:
                if self._buffer[0] in b"\r\n":
                    self._buffer = self._buffer.lstrip(b"\r\n")
                    continue
                end = self._buffer.find(b"\r\n\r\n")
                if end >= 0 and end <= limits.head_bytes:
                    return self._parsed(end + 4), end + 4
                refuse_hopeless(self._buffer, limits.head_bytes)
            await self._flush()
            self._expect_more()
            await whenever_readable(connection.sock, self._read)
            if self._left:
                raise Gone("between two requests")

    def _expect_more(self) -> None:
        """How long the client may take to send more, and what it is told when it takes longer."""
        connection, limits = self._connection, self._limits
        if self._buffer:
            if connection.deadline == math.inf:
                connection.deadline = trio.current_time() + limits.head_time
            connection.last_words = TOO_SLOW
        elif connection.proven:
            connection.deadline = trio.current_time() + limits.keep_alive
        connection.busy = bool(self._buffer)

    def _read(self) -> bool:
        """Read what has come, and answer it if that needs no task; True if it does."""
        connection = self._connection
        data = connection.receive_now(READ_SIZE)
        if data is None:
            return False
        connection.busy = True
        connection.last_words = b""
        if connection.proven and not self._buffer:
            connection.deadline = math.inf
        self._left = not data
        self._buffer = self._buffer + data if self._buffer else data
        return self._left or not self._answer_now()

    def _answer_now(self) -> bool:
        """Answer a request that is all there is, has no body, and whose answer is there at once.

        False if a task must do it, or what remains of it: see `_begun`.
        """
        connection, buffer = self._connection, self._buffer
        if buffer.find(b"\r\n\r\n") != len(buffer) - 4 or not 4 < len(buffer) <= self._limits.head_bytes:
            return False
        try:
            parsed = self._parsed(len(buffer))
        except BadRequest:
            return False  # again, where it is answered
        if (
            parsed.body_length
            or parsed.chunked
            or not parsed.keep_alive
            or parsed.head.transport is Transport.WEBSOCKET
        ):
            return False
        connection.deadline = math.inf
        connection.proven = True
        call = self._answers.open(parsed.head)
        begun = call.begin(b"") if isinstance(call, Call) and not call.is_upload else call
        if not isinstance(begun, Answer) or begun.file is not None or connection.ending:
            self._begun = begun
            return False
        self._buffer = b""
        data = render(begun, keep_alive=True, head_only=parsed.head.verb == "HEAD")
        try:
            sent = connection.send_now(data)
        except Gone:
            self._left = True
            return False
        if sent < len(data):
            self._out.append(data[sent:])
            return False
        self._expect_more()
        return True

    def _parsed(self, size: int) -> ParsedHead:
        """The head in the first `size` bytes of the buffer."""
        head = self._buffer if size == len(self._buffer) else self._buffer[:size]
        if self._known is not None and head == self._known_head:
            return self._known
        parsed = parse_head(
            head,
            self._connection.address,
            max_lines=self._limits.header_lines,
            strip=self._lane._prefix,
            secure=self._connection.secure,
        )
        if size <= REMEMBERED:
            self._known, self._known_head = parsed, head
        return parsed

    async def _serve_one(self, parsed: ParsedHead, size: int) -> bool:
        """Answer one request; False when the connection has ended or is in other hands."""
        connection = self._connection
        connection.deadline = math.inf
        connection.proven = True
        if parsed.head.transport is Transport.WEBSOCKET:
            await self._flush()
            await self._lane._websocket(connection, parsed, self._take_all())
            return False
        begun, self._begun = self._begun, None
        if begun is not None and not isinstance(begun, Call):
            self._buffer = self._buffer[size:]
            return await self._give(parsed, begun if isinstance(begun, Answer) else await self._outcome_of(begun))
        call = begun or self._answers.open(parsed.head)
        if isinstance(call, Answer):
            return await self._answer_early(parsed, size, call)
        if call.is_upload:
            return await self._upload(parsed, size, call)
        if parsed.body_length or parsed.chunked:
            try:
                body = await self._body(parsed, size, call)
            except RequestError as error:
                parsed.keep_alive = False
                return await self._give(parsed, call.refusal(error))
        else:
            body, self._buffer = b"", self._buffer[size:]
        outcome = call.begin(body)
        return await self._give(parsed, outcome if isinstance(outcome, Answer) else await self._outcome_of(outcome))

    async def _outcome_of(self, later: Later) -> Answer:
        connection = self._connection
        await self._flush()
        connection.waiting_since = trio.current_time()
        try:
            return await later()
        finally:
            connection.waiting_since = math.inf

    async def _body(self, parsed: ParsedHead, size: int, call: Call) -> bytes:
        """The body behind a head of `size` bytes. Raises TooLarge, TooMany, BadRequest and Gone."""
        call.check_size(parsed.body_length, self._limits)
        begun, self._buffer = self._buffer[size:], b""
        body = body_of(parsed)
        if len(begun) < parsed.body_length or parsed.chunked:
            if parsed.expects_continue:
                self._out.append(CONTINUE)
            await self._flush()
            self._connection.last_words = TOO_SLOW
        data = await read_whole(self._connection, body, begun, call, self._limits, self._lane.budget)
        self._connection.last_words = b""
        self._buffer = body.rest
        return data

    async def _answer_early(self, parsed: ParsedHead, size: int, answer: Answer) -> bool:
        """Answer before the body was read, and skip it if it is short; else close."""
        begun, self._buffer = self._buffer[size:], b""
        body = body_of(parsed)
        try:
            body.feed(begun)
            if not body.ended and (body.announced > SHORT or parsed.expects_continue):
                parsed.keep_alive = False
        except BadRequest:
            parsed.keep_alive = False
        if not await self._give(parsed, answer):
            return False
        if not body.ended:
            await self._flush()
            try:
                await skip(self._connection, body, self._limits)
            except (TooLarge, BadRequest):
                await self._connection.linger()
                return False
        self._buffer = body.rest
        return True

    async def _upload(self, parsed: ParsedHead, size: int, call: Call) -> bool:
        begun, self._buffer = self._buffer[size:], b""
        await self._flush()
        connection = self._connection
        if parsed.expects_continue:
            await connection.send(CONTINUE, self._limits.no_progress)
        body = body_of(parsed)
        connection.last_words = TOO_SLOW
        answer, complete = await self._lane._uploads.receive(connection, call, body, begun)
        connection.last_words = b""
        parsed.keep_alive = parsed.keep_alive and complete
        self._buffer = body.rest
        return await self._give(parsed, answer)

    async def _give(self, parsed: ParsedHead, answer: Answer) -> bool:
        """Queue an answer; True if the connection goes on."""
        head_only = parsed.head.verb == "HEAD"
        if self._connection.ending:
            parsed.keep_alive = False
        file = answer.file
        try:
            self._out.append(rendered := render(answer, keep_alive=parsed.keep_alive, head_only=head_only))
            if len(rendered) > LONG:
                await self._flush()
            if file is not None and not head_only:
                await self._flush()
                await self._lane.send_file(self._connection, answer)
        finally:
            if file is not None:
                file.close()
        if not parsed.keep_alive:
            await self._flush()
            await self._connection.linger()
        return parsed.keep_alive

    async def _last_answer(self, answer: Answer) -> None:
        self._out.append(render(answer, keep_alive=False))
        await self._flush()
        await self._connection.linger()

    async def _flush(self) -> None:
        if self._out:
            data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
            self._out.clear()
            await self._connection.send(data, self._limits.no_progress)

    def _take_all(self) -> bytes:
        data, self._buffer = self._buffer, b""
        return data
