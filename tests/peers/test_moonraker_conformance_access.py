"""Logins, tokens and keys towards strangers: the same on the real Moonraker and on ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.peers.both_services import Both
from tests.peers.conformance_rows import GOOD, IDENTITY, PREFLIGHT, Row, get, other, post
from tests.peers.side_by_side import Http, Side, differences, unlike, with_json
from tests.peers.test_moonraker_conformance import report, unmeant, without_traceback

pytestmark = pytest.mark.peer

UNAUTHORISED: list[Row] = [
    get("/server/info"),
    get("/printer/info"),
    get("/nonsense"),
    get("/access/info"),
    get("/access/user"),
    get("/access/api_key"),
    get("/access/oneshot_token"),
    get("/api/version"),
    get("/server/files/config/moonraker.conf"),
    get("/server/files/klippy.log"),
    get("/server/info", headers=(GOOD,)),
    get("/server/info", headers=(("x-api-key", "x"),)),
    get("/api/version", headers=(("x-api-key", "88888888"),)),
    get("/server/info", headers=(("authorization", "Bearer a.b.c"),)),
    get("/server/info?token=x"),
    get("/access/login", "status 405 -> 401", why="strangers learn nothing of verbs"),
    other("OPTIONS", "/server/info", *PREFLIGHT, headers=(GOOD,)),
    other("HEAD", "/server/info"),
    other("PUT", "/server/info"),
    post("/access/login", {"username": "nobody", "password": "x"}),
    post("/access/login"),
    post("/access/refresh_jwt", {"refresh_token": "x"}),
    post("/access/logout"),
    post("/server/files/upload"),
    post("/server/jsonrpc", {"jsonrpc": "2.0", "method": "server.info", "id": 1}),
    post("/server/jsonrpc", {"jsonrpc": "2.0", "method": "access.info", "id": 1}),
]


async def test_strangers_are_refused_alike(both_for_strangers: Both) -> None:
    wrong = []
    for row in UNAUTHORISED:
        theirs = without_traceback(await both_for_strangers.moonraker.http(row.ask))
        ours = await both_for_strangers.ours.http(row.ask)
        found = unmeant(sorted(differences(theirs, ours)), row.meant)
        if found:
            wrong.append(report(row.ask, found, theirs, ours))
    assert not wrong, "".join(wrong)


async def test_strangers_may_open_a_websocket_to_log_in_and_do_nothing_else(both_for_strangers: Both) -> None:
    wrong_token = {**IDENTITY, "access_token": "a.b.c"}
    asked: list[tuple[str, object]] = [
        ("server.info", None),
        ("access.info", None),
        ("nope", None),
        ("server.database.list", None),
        ("server.connection.identify", IDENTITY),
        ("server.connection.identify", wrong_token),
        ("server.connection.identify", {**IDENTITY, "api_key": "wrong"}),
        ("access.login", {"username": "a", "password": "b"}),
    ]
    async with both_for_strangers.moonraker.websocket() as theirs, both_for_strangers.ours.websocket() as ours:
        for method, params in asked:
            one, two = await theirs.ask(method, params), await ours.ask(method, params)
            assert not list(unlike(one, two)), report(method, [], one, two)
            assert one.get("error", {}).get("code") == two.get("error", {}).get("code"), report(method, [], one, two)


class Person:
    """A user of one side, and what they hold."""

    def __init__(self, side: Side, key: str, login: dict[str, Any]) -> None:
        self.side = side
        self.key = ("x-api-key", key)
        self.bearer = ("authorization", f"Bearer {login['token']}")
        self.token = login["token"]
        self.refresh_token = login["refresh_token"]


async def person(side: Side) -> Person:
    async with side.unix() as wire:
        key = (await wire.ask("access.get_api_key"))["result"]
        user = {"username": "zoe", "password": "secret"}
        await wire.ask("access.post_user", user)
        return Person(side, key, (await wire.ask("access.login", user))["result"])


async def test_a_user_has_the_same_life_on_both(both_for_strangers: Both) -> None:
    theirs, ours = [await person(side) for side in both_for_strangers]

    async def both(ask: Callable[[Person], Http], *meant: str) -> tuple[Any, Any]:
        one = without_traceback(await theirs.side.http(ask(theirs)))
        two = await ours.side.http(ask(ours))
        found = unmeant(sorted(differences(one, two)), meant)
        assert not found, report(ask(ours), found, one, two)
        return one.body, two.body

    await both(lambda p: Http("GET", "/server/info", None, (p.key,)))
    await both(lambda p: Http("GET", "/server/info", None, (p.bearer,)))
    await both(lambda p: Http("GET", f"/server/info?access_token={p.token}"))
    await both(lambda p: Http("GET", "/server/info", None, (("x-access-token", p.token),)))
    await both(lambda p: Http("GET", "/server/info", None, (("authorization", f"Bearer {p.refresh_token}"),)))
    for path in ("/access/user", "/access/users/list", "/access/info"):
        await both(lambda p, path=path: Http("GET", path, None, (p.bearer,)))  # type: ignore[misc]
        await both(lambda p, path=path: Http("GET", path, None, (p.key,)))  # type: ignore[misc]
    await both(lambda p: with_json("POST", "/access/refresh_jwt", {"refresh_token": p.refresh_token}))
    await both(lambda p: with_json("POST", "/access/login", {"username": "zoe", "password": "wrong"}))
    await both(lambda p: with_json("POST", "/access/login", {"username": "zoe", "password": "secret"}))
    change = {"password": "wrong", "new_password": "x"}
    await both(lambda p: with_json("POST", "/access/user/password", change, p.bearer))
    await both(lambda p: with_json("POST", "/access/user/password", {**change, "password": "secret"}, p.bearer))
    await both(lambda p: with_json("POST", "/access/user", {"username": "bob", "password": "pw"}, p.bearer))
    await both(lambda p: with_json("DELETE", "/access/user", {"username": "bob"}, p.bearer))
    await both(lambda p: with_json("DELETE", "/access/user", {"username": "bob"}, p.bearer))
    await both(lambda p: Http("DELETE", "/access/user?username=zoe", None, (p.bearer,)))
    one, two = await both(lambda p: Http("GET", "/access/oneshot_token", None, (p.bearer,)))
    once = {theirs: one["result"], ours: two["result"]}
    await both(lambda p: Http("GET", f"/server/info?token={once[p]}"))
    await both(lambda p: Http("GET", f"/server/info?token={once[p]}"))
    await both(lambda p: Http("POST", "/access/logout", None, (p.bearer,)))
    await both(lambda p: Http("GET", "/access/user", None, (p.bearer,)))
    await both(lambda p: Http("POST", "/access/api_key", None, (p.key,)))
    await both(lambda p: Http("GET", "/server/info", None, (p.key,)))


async def test_a_websocket_takes_each_kind_of_credential(both_for_strangers: Both) -> None:
    seen = []
    for side in both_for_strangers:
        async with side.unix() as wire:
            key = (await wire.ask("access.get_api_key"))["result"]
            kate = {"username": "kate", "password": "secret"}
            await wire.ask("access.post_user", kate)
            token = (await wire.ask("access.login", kate))["result"]["token"]
        once = (await side.http(Http("GET", "/access/oneshot_token", None, (("x-api-key", key),)))).body
        assert isinstance(once, dict)
        users = []
        for path, headers in (
            (f"/websocket?token={once['result']}", {}),
            (f"/websocket?access_token={token}", {}),
            ("/websocket", {"X-Api-Key": key}),
            ("/websocket", {"Authorization": f"Bearer {token}"}),
        ):
            async with side.websocket(path, headers) as wire:
                users.append((await wire.ask("access.get_user"))["result"]["username"])
        for credential in ({"access_token": token}, {"api_key": key}):
            async with side.websocket() as wire:
                await wire.ask("server.connection.identify", {**IDENTITY, **credential})
                users.append((await wire.ask("access.get_user"))["result"]["username"])
        async with side.websocket() as wire:
            await wire.ask("access.login", kate)
            users.append((await wire.ask("access.get_user"))["result"]["username"])
            await wire.ask("access.post_user", {"username": "carl", "password": "pw"})
            users.append((await wire.ask("access.get_user"))["result"]["username"])
            users.append((await wire.ask("access.delete_user", {"username": "carl"}))["result"]["username"])
        seen.append(users)
    assert seen[0] == seen[1]
    assert seen[1] == [
        "_API_KEY_USER_",
        "kate",
        "_API_KEY_USER_",
        "kate",
        "kate",
        "_API_KEY_USER_",
        "kate",
        "kate",
        "carl",
    ]
