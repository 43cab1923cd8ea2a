"""JSON-RPC 2.0 in full, the same over the websocket, the unix socket and HTTP. No sockets here."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Literal

import msgspec
import trio

from trio_moon.kit.json_codec import ALWAYS_SHALLOW, NotJson, decode_call, encode, refuse_depth, refuse_number
from trio_moon.kit.pending import Pending
from trio_moon.model.errors import AgentRefused, MoonError
from trio_moon.rpc import error_codes
from trio_moon.rpc.arguments import json_name
from trio_moon.rpc.caller import Caller
from trio_moon.rpc.registry import Registry, permit
from trio_moon.rpc.replies import Reply

logger = logging.getLogger(__name__)

JSONRPC_PATH = "/server/jsonrpc"
"""Where calls are posted."""

_NOTHING = object()

MAX_BATCH = 512
MAX_BATCH_ANSWER = 1 << 20
"""Once the answers to a batch are longer than this, its other calls aren't made."""

Answer = bytes | None
"""An encoded response, or None where JSON-RPC wants none (notifications, responses)."""

Later = Callable[[], Awaitable[Answer]]
"""The rest of a call that has to wait for something."""


class Promised:
    """A Later that needs no task: `then` hands the answer over when it comes."""

    __slots__ = ("_call_id", "_name", "_pending", "_tell", "_wanted")

    def __init__(self, pending: Pending[object], call_id: object, name: str, *, wanted: bool) -> None:
        self._pending = pending
        self._call_id = call_id
        self._name = name
        self._wanted = wanted
        self._tell: Callable[[Answer], None] | None = None

    async def __call__(self) -> Answer:
        with suppress(MoonError):
            await self._pending
        return self._answer()

    def then(self, tell: Callable[[Answer], None]) -> None:
        """Call `tell`, which doesn't wait, once."""
        self._tell = tell
        self._pending.then(self._on_settled)

    def _on_settled(self) -> None:
        assert self._tell is not None
        self._tell(self._answer())

    def _answer(self) -> Answer:
        try:
            value = self._pending.result()
            return _result(self._call_id, value) if self._wanted else None
        except Exception as error:
            return _failure(self._call_id, self._name, error)


class _Call(msgspec.Struct):
    """A call without a mistake in its form."""

    method: str
    id: int | float | str | None = None
    params: dict[str, object] = {}
    jsonrpc: Literal["2.0"] = "2.0"


_decode_call = msgspec.json.Decoder(_Call).decode


class Batch:
    """A Later that answers one call after the other, and those that have to wait beside each other."""

    def __init__(self, requests: list[object], begin: Callable[[object], Answer | Later]) -> None:
        self._requests = requests
        self._begin = begin

    async def __call__(self) -> Answer:
        answers: list[Answer] = [None] * len(self._requests)

        async def wait(index: int, later: Later) -> None:
            answers[index] = await later()

        async with trio.open_nursery() as nursery:
            size = 0
            for index, request in enumerate(self._requests):
                outcome = self._begin(request) if size <= MAX_BATCH_ANSWER else _too_much(request)
                if callable(outcome):
                    nursery.start_soon(wait, index, outcome)
                elif outcome is not None:
                    answers[index] = outcome
                    size += len(outcome)
                if index % 16 == 15:
                    await trio.lowlevel.checkpoint()
        told = [answer for answer in answers if answer is not None]
        return b"[" + b",".join(told) + b"]" if told else None


class JsonRpc:
    """Answers messages by means of the registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def answer(self, message: bytes | str, caller: Caller) -> Answer:
        """The response to one message or batch; never raises for anything that a client can send."""
        outcome = self.begin(message, caller)
        return await outcome() if callable(outcome) else outcome

    def begin(self, message: bytes | str, caller: Caller) -> Answer | Later:
        """Answer at once if that is possible without waiting; else the function that does the rest."""
        try:
            refuse_number(message)
            call = _decode_call(message)
            if len(message) > ALWAYS_SHALLOW:
                refuse_depth(message, call.params)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, NotJson):
            return self._begin_thoroughly(message, caller)
        return self._begin_call(call.method, call.params, call.id, caller, wanted=call.id is not None)

    def _begin_thoroughly(self, message: bytes | str, caller: Caller) -> Answer | Later:
        """Take a batch apart, and find out what is wrong with what is no plain call."""
        try:
            request = decode_call(message)
        except NotJson as error:
            return _error(None, error_codes.PARSE_ERROR, f"Parse error: {error}")
        if isinstance(request, list):
            return self._begin_batch(request, caller)
        return self._begin_one(request, caller)

    def _begin_batch(self, requests: list[object], caller: Caller) -> Answer | Later:
        if not requests:
            return _error(None, error_codes.INVALID_REQUEST, "Invalid request: an empty batch")
        if len(requests) > MAX_BATCH:
            return _error(None, error_codes.INVALID_REQUEST, f"Invalid request: a batch of more than {MAX_BATCH} calls")

        return Batch(requests, partial(self._begin_one, caller=caller))

    def _begin_one(self, request: object, caller: Caller) -> Answer | Later:
        if not isinstance(request, dict):
            return _invalid(None, f"a call must be an object, got {json_name(request)}")
        call_id = request.get("id")
        if not isinstance(call_id, str | int | float | None) or isinstance(call_id, bool):
            return _invalid(None, "'id' must be a string or a number")
        name = request.get("method")
        if name is None and ("result" in request or "error" in request):
            if caller.session is not None and caller.session.on_answer is not None:
                caller.session.on_answer(request)
            return None
        if request.get("jsonrpc", "2.0") != "2.0":
            return _invalid(call_id, "'jsonrpc' must be \"2.0\"")
        if not isinstance(name, str):
            return _invalid(call_id, "'method' must be a string")
        params = request.get("params", {})
        if not isinstance(params, dict):
            text = f"Invalid params: 'params' must be an object, got {json_name(params)}"
            return _error(call_id, error_codes.INVALID_PARAMS, text)
        wanted = "id" in request and call_id is not None
        return self._begin_call(name, params, call_id, caller, wanted=wanted)

    def _begin_call(
        self, name: str, params: dict[str, object], call_id: object, caller: Caller, *, wanted: bool
    ) -> Answer | Later:
        try:
            method = self._registry.named(name)
            permit(method, caller)
            rest: Callable[[], Awaitable[object]]
            if method.waits:
                rest = partial(method, params, caller)
            else:
                value = method.handler(method.bind(params), caller)
                if isinstance(value, Pending):
                    if not value.settled:
                        return Promised(value, call_id, name, wanted=wanted)
                    value = value.result()
                if not callable(value):
                    return _result(call_id, value) if wanted else None
                rest = value
        except Exception as error:
            return _failure(call_id, name, error)

        async def finish() -> Answer:
            try:
                value = await rest()
                return _result(call_id, value) if wanted else None
            except Exception as error:
                return _failure(call_id, name, error)

        return finish


def _result(call_id: object, value: object) -> bytes:
    if isinstance(value, Reply):
        value = value.value
    return encode({"jsonrpc": "2.0", "result": value, "id": call_id})


def _failure(call_id: object, name: str, error: Exception) -> bytes:
    """An error is told even to a notification (with id null), as Moonraker does."""
    if isinstance(error, MoonError):
        data = error.data if isinstance(error, AgentRefused) else _NOTHING
        return _error(call_id, error_codes.rpc_code(error), error.message, data)
    logger.error("%s failed", name, exc_info=error)
    return _error(call_id, error_codes.INTERNAL_ERROR, error_codes.INTERNAL_MESSAGE)


def _too_much(request: object) -> Answer:
    call_id = request.get("id") if isinstance(request, dict) else None
    if not isinstance(call_id, str | int | float):
        return None
    return _error(call_id, error_codes.INVALID_REQUEST, "this call was not made: the batch's answers are too long")


def _invalid(call_id: object, problem: str) -> bytes:
    return _error(call_id, error_codes.INVALID_REQUEST, f"Invalid request: {problem}")


def _error(call_id: object, code: int, message: str, data: object = _NOTHING) -> bytes:
    message = message.encode("utf-8", "replace").decode()  # names of files may hold what can't be encoded
    error: dict[str, object] = {"code": code, "message": message}
    if data is not _NOTHING:
        error["data"] = data
    return encode({"jsonrpc": "2.0", "error": error, "id": call_id})
