"""`server.spoolman.proxy`: a frontend's request to Spoolman's API, and to nothing else."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import ClassVar, Literal, get_args
from urllib.parse import unquote

import msgspec

from trio_moon.features.spoolman.client import SpoolmanClient
from trio_moon.features.spoolman.exchange import Answer, NeverSent, NoAnswer
from trio_moon.kit.json_codec import NotJson, Raw, decode, encode
from trio_moon.model.errors import BadParams, SpoolmanAway, SpoolmanRefused
from trio_moon.rpc.binding import Arguments

HttpMethod = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
METHODS = get_args(HttpMethod)
SAFE_PATH = re.compile(r"/v\d+/[A-Za-z0-9_.~!$&'()*+,;=:@%/-]*\Z")
SAFE_QUERY = re.compile(r"[A-Za-z0-9_.~!$&'()*+,;=:@%/?\[\]|-]*\Z")
AWAY = "Spoolman server not available"


class ProxyCallSent(msgspec.Struct, frozen=True):
    """`request_method` and `path` (`/v1/...`), with `query` and `body`, as Spoolman's API has them."""

    request_method: HttpMethod
    path: str
    query: str | None = None
    body: object = None
    use_v2_response: bool = False


class ProxyCall(msgspec.Struct, frozen=True):
    """The request: `body` is already JSON, None when there is none."""

    sent: ClassVar = ProxyCallSent
    method: str
    path: str
    query: str | None
    body: bytes | None
    use_v2: bool

    @classmethod
    def from_arguments(cls, arguments: Arguments) -> ProxyCall:
        method, path = _text(arguments, "request_method"), _text(arguments, "path")
        if method not in METHODS:
            raise BadParams(f"Invalid HTTP method: {method:.40}")
        body = arguments.get("body")
        if method == "GET" and body is not None:
            raise BadParams("GET requests cannot have a body")
        return cls(
            method=method,
            path=checked_path(path),
            query=_checked_query(arguments.get("query")),
            body=None if body is None else encode(body),
            use_v2=_flag(arguments.get("use_v2_response")),
        )


def _text(arguments: Arguments, name: str) -> str:
    if name not in arguments:
        raise BadParams(f"argument '{name}' is missing")
    value = arguments[name]
    if not isinstance(value, str):
        raise BadParams(f"argument '{name}' must be a string")
    return value


def _flag(value: object) -> bool:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if value is None or isinstance(value, bool):
        return value is True
    raise BadParams("argument 'use_v2_response' must be true or false")


def checked_path(path: str) -> str:
    """A path that can't lead out of Spoolman's API, however it is written; BadParams otherwise."""
    if not re.match(r"/v\d+/", path):
        raise BadParams("Invalid path, must start with the API version, e.g. /v1")
    quoted = "".join(char if char.isascii() else "".join(f"%{byte:02X}" for byte in char.encode()) for char in path)
    quoted = quoted.replace(" ", "%20")
    plain = quoted
    for _ in range(5):  # a gateway may decode more than once
        plain, before = unquote(plain), plain
        segments = re.split(r"[/\\]", plain)
        if {".", ".."} & {segment.partition(";")[0].strip() for segment in segments} or "" in segments[1:-1]:
            raise BadParams(f"Invalid path: {path!r:.100} leads out of Spoolman's API")
        if any(ord(char) < 32 or char in "\\?#\x7f" for char in plain):
            raise BadParams(f"Invalid path: {path!r:.100} holds characters that a path can't have")
        if plain == before:
            break
    else:
        raise BadParams(f"Invalid path: {path!r:.100} is encoded too often")
    if not SAFE_PATH.match(quoted):
        raise BadParams(f"Invalid path: {path!r:.100} holds characters that a path can't have")
    return quoted


def _checked_query(query: object) -> str | None:
    if query is None or query == "":
        return None
    if not isinstance(query, str):
        raise BadParams("argument 'query' must be a string or null")
    if any(ord(char) < 32 or char in "#\x7f" for char in query):
        raise BadParams("argument 'query' holds characters that a query can't have")
    return "".join(
        char if SAFE_QUERY.match(char) else "".join(f"%{byte:02X}" for byte in char.encode(errors="replace"))
        for char in query.removeprefix("?")
    )


async def forward(client: SpoolmanClient, call: ProxyCall) -> object:
    """Spoolman's answer in the form that was asked for. Version 1 raises Spoolman's errors, version 2 returns them."""
    try:
        answer = await client.request(call.method, call.path, call.query, call.body)
        status, message = answer.status, _problem(answer)
    except (NeverSent, NoAnswer) as error:
        answer, status, message = Answer(503), 503, f"{AWAY}: {error}"
    if message is None:
        value, message = _value(answer)
        status = 502
    if message is not None:
        return _failure(call, status, message)
    if not call.use_v2:
        return value
    headers = {_title(name): text for name, text in answer.headers.items()}
    return {"response": value, "response_headers": headers, "error": None}


def _failure(call: ProxyCall, status: int, message: str) -> object:
    if call.use_v2:
        return {"response": None, "error": {"status_code": status, "message": message}}
    if status == 503:
        raise SpoolmanAway(message)
    raise SpoolmanRefused(message, status)


def _problem(answer: Answer) -> str | None:
    if 200 <= answer.status < 300:
        return None
    if answer.status < 400:
        return f"Spoolman redirects to {answer.headers.get('location', 'somewhere')!r:.100}, which is not followed"
    message = answer.message
    if message.startswith("HTTP "):
        try:
            return f"HTTP {answer.status}: {HTTPStatus(answer.status).phrase}"
        except ValueError:
            return message
    return message


def _value(answer: Answer) -> tuple[object, str | None]:
    if not answer.body:
        return None, None
    try:
        return _passed_on(answer.body), None
    except NotJson:
        kind = answer.headers.get("content-type", "")
        if kind.startswith(("text/csv", "text/plain")):
            return answer.body.decode(errors="replace"), None
        return None, "Spoolman's answer is not JSON"


def _passed_on(body: bytes) -> object:
    """The value of a JSON text, if possible undecoded: that of a whole store of spools would stop us for a second."""
    try:
        body.decode()
        return msgspec.json.decode(body, type=Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return decode(body)


def _title(name: str) -> str:
    return "-".join(word.capitalize() for word in name.split("-"))
