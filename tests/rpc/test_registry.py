from __future__ import annotations

import time

import pytest
from msgspec import Struct

from trio_moon.model.errors import Unauthorized, UnknownMethod, WrongVerb
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller, Transport
from trio_moon.rpc.endpoint import Endpoint
from trio_moon.rpc.registry import Registry


class Named(Struct, frozen=True):
    name: str


def greet(params: Named, caller: Caller) -> object:
    return f"hello {params.name}"


async def greet_later(params: Named, caller: Caller) -> object:
    return f"later, {params.name}"


def nothing(params: NoParams, caller: Caller) -> object:
    return {}


TABLE = (
    Endpoint("/server/greeting", Named, GET=greet),
    Endpoint("/server/item", Named, GET=greet, POST=greet_later, DELETE=greet),
    Endpoint(
        "/server/files/{name...}", Named, GET=greet, DELETE=greet, rpc_names={"DELETE": "server.files.delete_file"}
    ),
    Endpoint("/server/files/list", NoParams, GET=nothing),
    Endpoint("/api/version", NoParams, GET=nothing, transports=Transport.HTTP, wrapped=False),
    Endpoint("/access/info", NoParams, GET=nothing, open_to_all=True),
    Endpoint("", NoParams, CALL=nothing, rpc_names={"CALL": "server.websocket.id"}, transports=Transport.SESSION),
)

KNOWN = Caller(Transport.HTTP, user="_TRUSTED_USER_")


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.add(TABLE)
    return registry


def test_names_follow_from_paths(registry: Registry) -> None:
    assert sorted(method.name for method in registry if method.name) == [
        "access.info",
        "server.delete_item",
        "server.files.delete_file",
        "server.files.list",
        "server.get_item",
        "server.greeting",
        "server.post_item",
        "server.websocket.id",
    ]


@pytest.mark.parametrize(
    ("verb", "path", "arguments"),
    [
        ("GET", "/server/greeting", {}),
        ("DELETE", "/server/item", {}),
        ("GET", "/server/files/gcodes/a b.gcode", {"name": "gcodes/a b.gcode"}),
        ("GET", "/server/files/list", {}),
    ],
)
def test_paths_lead_to_methods(registry: Registry, verb: str, path: str, arguments: dict[str, object]) -> None:
    method, held = registry.route(verb, path)
    assert method.verb == verb
    assert held == arguments


@pytest.mark.parametrize("path", ["/", "/server", "/server/greeting/", "/server/files/", "/nothing", "server/greeting"])
def test_unknown_paths(registry: Registry, path: str) -> None:
    with pytest.raises(UnknownMethod):
        registry.route("GET", path)


def test_the_longest_beginning_of_a_path_counts_and_is_found_at_once(registry: Registry) -> None:
    registry.add(
        (Endpoint("/server/{name...}", Named, GET=greet), Endpoint("/server/files/a/{name...}", Named, GET=greet))
    )
    for path, rest in (
        ("/server/files/a/b", "b"),
        ("/server/files/b/a", "b/a"),
        ("/server/x", "x"),
        ("/server/files/a", "a"),
    ):
        assert registry.route("GET", path)[1] == {"name": rest}
    took = []
    for _ in range(3):  # the garbage of all tests before may be collected during one
        began = time.process_time()
        for path in ("/" * 30_000, "/a" * 15_000):
            with pytest.raises(UnknownMethod):
                registry.route("GET", path)
        took.append(time.process_time() - began)
    assert min(took) < 0.1  # looking for each folder took three times as long


def test_a_wrong_verb_says_which_are_right(registry: Registry) -> None:
    with pytest.raises(WrongVerb, match="use GET or POST or DELETE") as refused:
        registry.route("PUT", "/server/item")
    assert refused.value.allowed == ("GET", "POST", "DELETE")


def test_unknown_names(registry: Registry) -> None:
    with pytest.raises(UnknownMethod, match=r"server\.nothing"):
        registry.named("server.nothing")


async def test_calls_bind_and_answer(registry: Registry) -> None:
    for name, expected in (("server.get_item", "hello you"), ("server.post_item", "later, you")):
        assert await registry.call(registry.named(name), {"name": "you"}, KNOWN) == expected


async def test_who_is_unknown_may_only_call_what_is_open(registry: Registry) -> None:
    nobody = Caller(Transport.HTTP)
    assert await registry.call(registry.named("access.info"), {}, nobody) == {}
    with pytest.raises(Unauthorized):
        await registry.call(registry.named("server.greeting"), {"name": "x"}, nobody)


async def test_methods_keep_to_their_transports(registry: Registry) -> None:
    with pytest.raises(UnknownMethod):
        await registry.call(registry.named("server.websocket.id"), {}, KNOWN)


def test_the_same_method_twice_is_a_bug(registry: Registry) -> None:
    with pytest.raises(ValueError, match="twice"):
        registry.add([Endpoint("/server/greeting", Named, GET=greet)])
