"""The same requests put to the real Moonraker and to us, on the same Klipper: a client notices no difference."""

from __future__ import annotations

import json
from contextlib import AbstractAsyncContextManager
from fnmatch import fnmatchcase

import pytest
import trio

from tests.peers.both_services import Both
from tests.peers.conformance_rows import CALLS, HTTP_ROWS, MESSAGES, SESSION_CALLS, Call
from tests.peers.side_by_side import Http, Seen, Side, Wire, differences, unlike, with_json

pytestmark = pytest.mark.peer

READY_TIMEOUT = 25.0
ALWAYS_MEANT = ("$*.warnings[] * items",)  # each complains of what it lacks itself


@pytest.fixture
async def both(both_services: Both) -> Both:
    """Both services with a Klipper that is ready."""
    for side in both_services:
        await ready(side)
    return both_services


async def ready(side: Side) -> None:
    with trio.fail_after(READY_TIMEOUT):
        while True:
            seen = await side.http(Http("GET", "/server/info"))
            if isinstance(seen.body, dict) and seen.body["result"]["klippy_state"] == "ready":
                return
            await trio.sleep(0.1)


def unmeant(found: list[str], meant: tuple[str, ...]) -> list[str]:
    """The differences that nobody has given a reason for."""
    return [
        difference
        for difference in found
        if not any(_matches(difference, pattern) for pattern in (*meant, *ALWAYS_MEANT))
    ]


def _matches(difference: str, pattern: str) -> bool:
    return fnmatchcase(difference.replace("[]", "()"), pattern.replace("[]", "()"))


def report(what: object, found: list[str], theirs: object, ours: object) -> str:
    return f"\n{what}: {'; '.join(found)}\n   Moonraker {theirs!s:.300}\n   ours      {ours!s:.300}"


def without_traceback(seen: Seen) -> Seen:
    """Moonraker shows its inside with every error; nobody needs that."""
    if isinstance(seen.body, dict) and isinstance(seen.body.get("error"), dict):
        seen.body["error"].pop("traceback", None)
    return seen


@pytest.mark.parametrize("chapter", HTTP_ROWS)
async def test_requests_over_http(both: Both, chapter: str) -> None:
    wrong = []
    for row in HTTP_ROWS[chapter]:
        theirs = without_traceback(await both.moonraker.http(row.ask))
        ours = await both.ours.http(row.ask)
        found = unmeant(sorted(differences(theirs, ours)), row.meant)
        if found:
            wrong.append(report(row.ask, found, theirs, ours))
    assert not wrong, "".join(wrong)


class HttpWire:
    """JSON-RPC over `POST /server/jsonrpc`."""

    def __init__(self, side: Side) -> None:
        self._side = side

    async def ask(self, method: str, params: object = None) -> object:
        call = {"jsonrpc": "2.0", "method": method, "id": 1}
        seen = await self._side.http(
            with_json("POST", "/server/jsonrpc", call if params is None else {**call, "params": params})
        )
        assert seen.status == 200
        return seen.body


def session(side: Side, transport: str) -> AbstractAsyncContextManager[Wire]:
    return side.websocket() if transport == "websocket" else side.unix()


@pytest.mark.parametrize("transport", ["websocket", "unix"])
async def test_calls_over_a_session(both: Both, transport: str) -> None:
    wrong = []
    async with session(both.moonraker, transport) as theirs, session(both.ours, transport) as ours:
        for call in [*CALLS, *SESSION_CALLS]:
            wrong += compared(
                call, await theirs.ask(call.method, call.params), await ours.ask(call.method, call.params)
            )
    assert not wrong, "".join(wrong)


async def test_calls_over_http(both: Both) -> None:
    wrong = []
    theirs, ours = HttpWire(both.moonraker), HttpWire(both.ours)
    for call in CALLS:
        wrong += compared(call, await theirs.ask(call.method, call.params), await ours.ask(call.method, call.params))
    assert not wrong, "".join(wrong)


def compared(call: Call, theirs: object, ours: object) -> list[str]:
    found = sorted(unlike(theirs, ours))
    assert isinstance(theirs, dict)
    assert isinstance(ours, dict)
    if "error" in theirs and "error" in ours and theirs["error"]["code"] != ours["error"]["code"]:
        found.append(f"code {theirs['error']['code']} -> {ours['error']['code']}")
    found = unmeant(found, call.meant)
    return [report(f"{call.method} {json.dumps(call.params)}", found, theirs, ours)] if found else []


@pytest.mark.parametrize("transport", ["websocket", "unix"])
async def test_messages_that_are_no_plain_calls(both: Both, transport: str) -> None:
    wrong = []
    for message, meant, _ in MESSAGES:
        async with session(both.moonraker, transport) as theirs, session(both.ours, transport) as ours:
            one, two = await theirs.exchange(message), await ours.exchange(message)
        found = unmeant(sorted([*unlike(one, two), *codes(one, two)]), meant)
        if found:
            wrong.append(report(message, found, one, two))
    assert not wrong, "".join(wrong)


def codes(theirs: list[object], ours: list[object]) -> list[str]:
    """How the codes of two lists of answers differ."""
    one, two = ([_code(answer) for answer in answers] for answers in (theirs, ours))
    return [] if one == two else [f"codes {one} -> {two}"]


def _code(answer: object) -> object:
    if isinstance(answer, list):
        return [_code(item) for item in answer]
    return answer.get("error", {}).get("code") if isinstance(answer, dict) else None
