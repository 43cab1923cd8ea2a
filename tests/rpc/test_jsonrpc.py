from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from trio_moon.kit.json_codec import MAX_CONTAINERS, Raw
from trio_moon.kit.pending import Pending
from trio_moon.model.errors import Conflict, KlippyAway, NotFound
from trio_moon.rpc.binding import AnyParams, NoParams
from trio_moon.rpc.caller import Caller, Transport
from trio_moon.rpc.endpoint import Endpoint
from trio_moon.rpc.jsonrpc import JsonRpc
from trio_moon.rpc.registry import Registry
from trio_moon.rpc.replies import Reply

KNOWN = Caller(Transport.WEBSOCKET, user="_TRUSTED_USER_")


class Sleep(Struct, frozen=True):
    seconds: float


async def sleep(params: Sleep, caller: Caller) -> object:
    await trio.sleep(params.seconds)
    return params.seconds


def fail(error: Exception) -> Any:
    def handler(params: NoParams, caller: Caller) -> object:
        raise error

    return handler


async def fail_later(params: NoParams, caller: Caller) -> object:
    raise Conflict("printing")


def seldom_sleep(params: Sleep, caller: Caller) -> object:
    return partial(sleep, params, caller) if params.seconds else "at once"


def promise(params: Sleep, caller: Caller) -> object:
    pending: Pending[object] = Pending()
    if params.seconds:
        trio.lowlevel.spawn_system_task(settle_later, pending, params.seconds)
    else:
        pending.settle("at once")
    return pending


async def settle_later(pending: Pending[object], seconds: float) -> None:
    await trio.sleep(seconds)
    pending.settle(seconds)


ENDPOINTS = (
    Endpoint("/t/seldom", Sleep, POST=seldom_sleep),
    Endpoint("/t/promise", Sleep, POST=promise),
    Endpoint("/t/echo", AnyParams, POST=lambda params, caller: params.arguments),
    Endpoint("/t/sleep", Sleep, POST=sleep),
    Endpoint("/t/raw", NoParams, GET=lambda params, caller: Raw(b'{"from":"klipper"}')),
    Endpoint("/t/reply", NoParams, GET=lambda params, caller: Reply({"made": True}, 201)),
    Endpoint("/t/lost", NoParams, GET=fail(NotFound("No such thing"))),
    Endpoint("/t/away", NoParams, GET=fail(KlippyAway("Klipper is away"))),
    Endpoint("/t/busy", NoParams, GET=fail_later),
    Endpoint("/t/bug", NoParams, GET=fail(RuntimeError("secret detail"))),
)


def make() -> JsonRpc:
    registry = Registry()
    registry.add(ENDPOINTS)
    return JsonRpc(registry)


async def ask(message: object, caller: Caller = KNOWN) -> Any:
    text = message if isinstance(message, bytes) else json.dumps(message)
    answer = await make().answer(text, caller)
    return None if answer is None else json.loads(answer)


def call(method: str, call_id: object = 1, **params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "method": method, "params": params, "id": call_id}


async def test_a_success_has_no_error_key() -> None:
    assert await ask(call("t.echo", a=1)) == {"jsonrpc": "2.0", "result": {"a": 1}, "id": 1}


@pytest.mark.parametrize("call_id", [7, "seven", 1.5, 0, ""])
async def test_ids_come_back_as_they_came(call_id: object) -> None:
    assert (await ask(call("t.echo", call_id)))["id"] == call_id


async def test_a_call_is_never_nested_so_deeply_that_its_answer_can_not_be_written() -> None:
    for levels in (90, 150, *range(900, 1000, 2)):
        for method in ("t.echo", "t.sleep"):
            params = b'{"seconds":%b1%b}' % (b"[" * levels, b"]" * levels)
            answer = await ask(b'{"jsonrpc":"2.0","method":"%b","params":%b,"id":1}' % (method.encode(), params))
            if levels == 90:
                assert "result" in answer or answer["error"]["code"] == 400
            else:
                assert answer["error"]["code"] == -32700


async def test_a_call_of_millions_of_lists_is_refused_before_they_are_made() -> None:
    params = b'{"seconds":[%b1]}' % (b"[]," * MAX_CONTAINERS)
    answer = await ask(b'{"jsonrpc":"2.0","method":"t.echo","params":%b,"id":1}' % params)
    assert answer["error"]["code"] == -32700


async def test_params_may_be_left_out_and_raw_results_pass_through() -> None:
    answer = await ask({"jsonrpc": "2.0", "method": "t.raw", "id": 1})
    assert answer["result"] == {"from": "klipper"}
    assert (await ask(call("t.reply")))["result"] == {"made": True}


@pytest.mark.parametrize(
    ("message", "code", "part"),
    [
        (b"{", -32700, "Parse error"),
        (b"\xff", -32700, "Parse error"),
        (b"", -32700, "Parse error"),
        (b"[" * 10_000, -32700, "Parse error"),
        ([], -32600, "empty batch"),
        ([{}] * 1000, -32600, "batch of more"),
        (1, -32600, "must be an object, got a number"),
        ("x", -32600, "got a string"),
        (None, -32600, "got null"),
        ({"id": 1}, -32600, "'method' must be a string"),
        ({"method": 1, "id": 1}, -32600, "'method' must be a string"),
        ({"jsonrpc": "1.0", "method": "t.echo", "id": 1}, -32600, "jsonrpc"),
        ({"jsonrpc": "2.0", "method": "t.echo", "id": {}}, -32600, "'id'"),
        (
            {"jsonrpc": "2.0", "method": "t.echo", "id": 1, "params": None},
            -32602,
            "'params' must be an object, got null",
        ),
        ({"jsonrpc": "2.0", "method": "t.echo", "id": 1, "params": [1]}, -32602, "got an array"),
        (call("no.such"), -32601, "Method not found: no.such"),
        (call("t.sleep"), 400, "argument 'seconds' is missing"),
        (call("t.lost"), -32601, "No such thing"),
        (call("t.away"), 503, "Klipper is away"),
        (call("t.busy"), 409, "printing"),
        (call("t.bug"), 500, "Internal server error"),
    ],
)
async def test_errors_have_their_codes_and_say_what_is_wrong(message: object, code: int, part: str) -> None:
    answer = await ask(message)
    assert answer["error"]["code"] == code
    assert part in answer["error"]["message"]
    assert "secret" not in json.dumps(answer)
    assert "result" not in answer


async def test_the_unknown_are_refused() -> None:
    answer = await ask(call("t.echo"), Caller(Transport.WEBSOCKET))
    assert answer["error"]["code"] == -32602
    assert "Unauthorized" in answer["error"]["message"]


async def test_notifications_get_no_answer_but_their_errors_do() -> None:
    assert await ask({"jsonrpc": "2.0", "method": "t.echo"}) is None
    assert await ask(call("t.echo", None)) is None
    answer = await ask({"jsonrpc": "2.0", "method": "t.lost"})
    assert answer["id"] is None
    assert answer["error"]["code"] == -32601


async def test_responses_are_nobodys_question() -> None:
    assert await ask({"jsonrpc": "2.0", "result": 1, "id": 1}) is None


async def test_batches_run_side_by_side_and_answer_in_order(autojump_clock: trio.testing.MockClock) -> None:
    start = trio.current_time()
    answers = await ask(
        [
            call("t.sleep", 1, seconds=5),
            call("t.echo", 2),
            {"jsonrpc": "2.0", "method": "t.echo"},
            3,
            call("t.sleep", 4, seconds=5),
        ]
    )
    assert [answer["id"] for answer in answers] == [1, 2, None, 4]
    assert trio.current_time() - start == pytest.approx(5)
    assert await ask([{"jsonrpc": "2.0", "method": "t.echo"}]) is None


async def test_calls_that_need_not_wait_are_answered_at_once() -> None:
    answer = make().begin(json.dumps(call("t.echo")), KNOWN)
    assert isinstance(answer, bytes)
    assert callable(make().begin(json.dumps(call("t.sleep", seconds=0)), KNOWN))


@pytest.mark.parametrize("method", ["t.seldom", "t.promise"])
async def test_a_call_waits_only_if_it_has_to(method: str, autojump_clock: trio.testing.MockClock) -> None:
    at_once = make().begin(json.dumps(call(method, seconds=0)), KNOWN)
    assert isinstance(at_once, bytes)
    assert json.loads(at_once)["result"] == "at once"
    start = trio.current_time()
    assert (await ask(call(method, seconds=5)))["result"] == 5
    assert trio.current_time() - start == pytest.approx(5)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
nearly_calls = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | anything,
        "method": st.just("t.echo") | anything,
        "id": anything,
        "params": anything,
    },
)


@given(st.binary() | (anything | nearly_calls | st.lists(nearly_calls)).map(lambda value: json.dumps(value).encode()))
def test_nothing_that_a_client_sends_raises(message: bytes) -> None:
    answer = make().begin(message, KNOWN)
    if isinstance(answer, bytes):
        json.loads(answer)
