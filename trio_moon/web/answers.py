"""From a request to its answer, the same for every lane: admit, route, permit, bind, call, encode. No sockets."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from msgspec import Struct, field

from trio_moon.kit.json_codec import encode
from trio_moon.kit.pending import Pending
from trio_moon.model.errors import BadParams, MoonError, TooLarge, Unauthorized, UnknownMethod, WrongVerb
from trio_moon.rpc.arguments import parse_body, parse_query
from trio_moon.rpc.caller import Caller, Transport
from trio_moon.rpc.endpoint import Method, upload_only
from trio_moon.rpc.error_codes import INTERNAL_ERROR, INTERNAL_MESSAGE, http_status
from trio_moon.rpc.jsonrpc import JSONRPC_PATH, JsonRpc
from trio_moon.rpc.registry import Registry, permit
from trio_moon.rpc.replies import Download, Incoming, Reply
from trio_moon.rpc.request_head import Doorkeeper, RequestHead
from trio_moon.web.downloads import FileSlice, open_download
from trio_moon.web.pages import Pages
from trio_moon.web.settings import Limits

logger = logging.getLogger(__name__)

JSON_TYPE = "application/json; charset=utf-8"
WEBSOCKET_PATH = "/websocket"
BRIDGE_PATH = "/klippysocket"


class Answer(Struct):
    """A complete answer, for a lane to write down. A lane that doesn't send `file` must close it."""

    status: int
    body: bytes = b""
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    file: FileSlice | None = None
    reason: str = ""
    """What HTTP/1.1 says beside the status instead of the usual words."""


Later = Callable[[], Awaitable[Answer]]


def error_answer(status: int, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    """What a client is told when its request can't be fulfilled; many show no more than the reason."""
    message = message.encode("utf-8", "replace").decode()
    body = encode({"error": {"code": status, "message": message}})
    return Answer(status, body, headers=headers or {}, reason=message)


def answer_of(error: Exception, what: str) -> Answer:
    """The answer that an exception means; a bug of ours goes to the log."""
    if isinstance(error, WrongVerb):
        return error_answer(405, error.message, {"Allow": ", ".join(error.allowed)} if error.allowed else None)
    if isinstance(error, MoonError):
        return error_answer(http_status(error), error.message)
    logger.error("%s failed", what, exc_info=error)
    return error_answer(INTERNAL_ERROR, INTERNAL_MESSAGE)


class Call:
    """A request that was admitted and routed; its body is still to come."""

    __slots__ = ("_answers", "_held", "_method", "caller", "head")

    def __init__(
        self, answers: Answers, head: RequestHead, caller: Caller, method: Method | None, held: dict[str, object]
    ) -> None:
        self._answers = answers
        self._method = method
        self._held = held
        self.head = head
        self.caller = caller

    @property
    def is_upload(self) -> bool:
        """Whether the body is to be streamed to `receive()`."""
        return (
            self._method is not None
            and self._method.endpoint.upload is not None
            and self.head.headers.get("content-type", "")[:20].lower().startswith("multipart/form-data")
        )

    def check_size(self, size: int, limits: Limits) -> None:
        """Raise TooLarge if the body of this call may not be so big."""
        if size > (limits.body_bytes if self.caller.authorized else limits.unknown_body_bytes):
            raise TooLarge(f"a body of {size} bytes is too big for this call")

    def check_upload(self, size: int) -> None:
        """Raise TooLarge if an upload may not be so big."""
        limit = self._answers.max_upload_size
        if size > limit:
            raise TooLarge(f"an upload may have {limit // (1 << 20)} MiB (max_upload_size)")

    def receive(self, size: int | None) -> Incoming:
        """Open the place where the upload goes. Raises what the client should be told."""
        assert self._method is not None
        assert self._method.endpoint.upload is not None
        self.check_upload(size or 0)
        return self._method.endpoint.upload(self.caller, size)

    def refusal(self, error: Exception) -> Answer:
        """The answer to a call that failed."""
        return self._answers.dressed(self.head, answer_of(error, f"{self.head.verb} {self.head.path}"))

    def success(self, value: object) -> Answer:
        """The answer that carries what the handler returned."""
        assert self._method is not None
        return self._answers.dressed(self.head, self._answers.written(self.head, self._method, value))

    def begin(self, body: bytes) -> Answer | Later:
        """The answer, at once if the handler needn't wait; else the function that waits for it."""
        try:
            if self._method is None:
                return self._begin_jsonrpc(body)
            arguments = self._arguments(body)
            if not self._method.waits:
                value = self._method.handler(self._method.bind(arguments), self.caller)
                if isinstance(value, Pending):
                    if not value.settled:
                        return partial(self._finish, value.wait)
                    value = value.result()
                elif callable(value):
                    return partial(self._finish, value)
                return self.success(value)
        except Exception as error:
            return self.refusal(error)
        return partial(self._finish, partial(self._method, arguments, self.caller))

    async def _finish(self, rest: Callable[[], Awaitable[object]]) -> Answer:
        try:
            return self.success(await rest())
        except Exception as error:
            return self.refusal(error)

    def _arguments(self, body: bytes) -> dict[str, object]:
        head = self.head
        arguments = parse_query(head.query) if head.query else {}
        assert self._method is not None
        if self._method.handler is upload_only and not self.is_upload:
            raise BadParams("an upload must be sent as multipart/form-data")
        if body:
            content_type = head.headers.get("content-type", "")
            if content_type[:20].lower().startswith("multipart/form-data"):
                from trio_moon.web.multipart import parse_fields  # seldom sent to calls that are no uploads

                arguments.update(parse_fields(content_type, body))
            else:
                arguments.update(parse_body(content_type, body))
        if self._held:
            arguments.update(self._held)
        return arguments

    def _begin_jsonrpc(self, body: bytes) -> Answer | Later:
        content_type = self.head.headers.get("content-type", "")
        if content_type.partition(";")[0].strip().lower() != "application/json":
            raise BadParams("JSON-RPC needs the content type application/json")
        outcome = self._answers.jsonrpc.begin(body, self.caller)
        if not callable(outcome):
            return self._jsonrpc_answer(outcome)

        async def rest() -> Answer:
            return self._jsonrpc_answer(await outcome())

        return rest

    def _jsonrpc_answer(self, body: bytes | None) -> Answer:
        return self._answers.dressed(self.head, Answer(204) if body is None else Answer(200, body))


class Answers:
    """Everything that HTTP can ask of the service."""

    def __init__(
        self,
        registry: Registry,
        jsonrpc: JsonRpc,
        doorkeeper: Doorkeeper,
        *,
        pages: Pages,
        max_upload_size: int,
        prefix: str,
    ) -> None:
        self._registry = registry
        self._doorkeeper = doorkeeper
        self._pages = pages
        self._prefix = prefix
        self.jsonrpc = jsonrpc
        self.max_upload_size = max_upload_size

    def open(self, head: RequestHead) -> Call | Answer:
        """Judge a head. An Answer is final, whatever body may follow."""
        try:
            return self._open(head)
        except Exception as error:
            return self.dressed(head, answer_of(error, f"{head.verb} {head.path}"))

    def _open(self, head: RequestHead) -> Call | Answer:
        verb = head.verb
        if verb == "OPTIONS":
            return self._preflight(head)
        if verb in ("GET", "HEAD") and (page := self._pages.find(head)) is not None:
            return _file_answer(head, page, self._pages.headers)
        if head.path in (WEBSOCKET_PATH, BRIDGE_PATH):
            raise BadParams("a websocket is opened with the headers 'Connection: Upgrade' and 'Upgrade: websocket'")
        caller = self._doorkeeper.admit(head)
        if head.transport is Transport.JSONRPC_HTTP:
            if verb != "POST":
                raise WrongVerb(f"{verb:.20} is not possible on {JSONRPC_PATH}: use POST", ("POST",))
            return Call(self, head, caller, None, {})
        try:
            method, held = self._registry.route("GET" if verb == "HEAD" else verb, head.path)
        except (UnknownMethod, WrongVerb):
            if not caller.authorized:
                raise Unauthorized from None
            raise
        permit(method, caller)
        if method.endpoint.acts_by_get and method.verb == "GET":
            _refuse_pages(head, caller)
        return Call(self, head, caller, method, held)

    def _preflight(self, head: RequestHead) -> Answer:
        headers = self._doorkeeper.preflight_headers(head)
        if headers is not None:
            return Answer(204, headers=headers)
        return error_answer(
            405, "OPTIONS is answered only to origins in [authorization] cors_domains", {"Allow": "GET"}
        )

    def written(self, head: RequestHead, method: Method, value: object) -> Answer:
        """What a handler returned, as HTTP shows it."""
        status, headers = 200, None
        if isinstance(value, Download):
            return _file_answer(head, value, {})
        if isinstance(value, Reply):
            status, headers, value = value.status, value.headers, value.value
            if headers.get("Location", "").startswith("/") and "host" in head.headers:  # slicers want whole addresses
                base = f"{'https' if head.secure else 'http'}://{head.headers['host']}{self._prefix}"
                headers = {**headers, "Location": base + headers["Location"]}
        if status == 204:
            return Answer(204, headers=headers or {})
        return Answer(status, encode({"result": value} if method.endpoint.wrapped else value), headers=headers or {})

    def dressed(self, head: RequestHead, answer: Answer) -> Answer:
        """`answer` with what a browser of another origin needs to read it."""
        if "origin" in head.headers:
            cors = self._doorkeeper.cors_headers(head)
            if cors:
                answer.headers = {**cors, **answer.headers}
        return answer


def _refuse_pages(head: RequestHead, caller: Caller) -> None:
    """A picture on any page could send this GET, but it couldn't show a key."""
    if head.verb != "GET" or not caller.has_shown_credentials:
        raise WrongVerb(f"{head.verb} on {head.path} takes an API key or a login: use POST", ("POST",))


def _file_answer(head: RequestHead, download: Download, headers: Mapping[str, str]) -> Answer:
    opened = open_download(head, download)
    answer = Answer(opened.status, b"", opened.content_type, {**headers, **opened.headers}, opened.file)
    if opened.error is not None:
        refused = error_answer(opened.status, opened.error)
        answer.body, answer.content_type = refused.body, JSON_TYPE
    return answer
