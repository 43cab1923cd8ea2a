"""The guard: who is calling, and which pages may not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tests.features.access.conftest import head
from trio_moon.features.access import API_KEY_USER, Access
from trio_moon.model.errors import Forbidden, Unauthorized
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import TRUSTED_USER, Transport
from trio_moon.rpc.request_head import Doorkeeper

MakeAccess = Callable[..., Awaitable[Access]]


async def test_trusted_addresses_are_known_and_strangers_are_not(make_access: MakeAccess) -> None:
    guard: Doorkeeper = (await make_access()).guard
    assert guard.admit(head(peer="192.168.1.5")).user == TRUSTED_USER
    assert guard.admit(head(peer="::ffff:192.168.1.5")).user == TRUSTED_USER
    stranger = guard.admit(head(peer="203.0.113.9"))
    assert not stranger.authorized
    assert stranger.address == "203.0.113.9"
    assert guard.admit(head(peer=None, host=None)).user == TRUSTED_USER


async def test_a_proxy_speaks_for_its_client(make_access: MakeAccess) -> None:
    guard = (await make_access()).guard
    assert not guard.admit(head(peer="127.0.0.1", x_forwarded_for="203.0.113.9")).authorized
    assert guard.admit(head(peer="127.0.0.1", x_forwarded_for="203.0.113.9, 192.168.1.5")).authorized
    assert not guard.admit(head(peer="203.0.113.9", x_forwarded_for="192.168.1.5")).authorized


async def test_headers_that_contradict_each_other_speak_for_nobody(make_access: MakeAccess) -> None:
    guard = (await make_access()).guard
    for forwarded in ("192.168.1.5", "127.0.0.1", "8.8.8.8, 192.168.1.5"):  # a proxy that writes X-Real-IP alone
        spoofed = head(peer="127.0.0.1", x_forwarded_for=forwarded, x_real_ip="203.0.113.9")
        assert not guard.admit(spoofed).authorized
    for real in ("192.168.1.5", "127.0.0.1", ""):  # and one that writes X-Forwarded-For alone
        spoofed = head(peer="127.0.0.1", x_forwarded_for="203.0.113.9", x_real_ip=real)
        assert not guard.admit(spoofed).authorized
    for real in ("192.168.1.5", "127.0.0.1"):  # a second proxy of ours takes the first one for the client
        honest = head(peer="127.0.0.1", x_forwarded_for="192.168.1.5, 127.0.0.1", x_real_ip=real)
        assert guard.admit(honest).address == "192.168.1.5"
    assert guard.admit(head(peer="127.0.0.1", x_real_ip="192.168.1.5")).authorized


async def test_the_api_key_opens_from_anywhere_and_by_any_name(make_access: MakeAccess) -> None:
    access = await make_access()
    assert access.guard.admit(head(x_api_key=access.api_key)).user == API_KEY_USER
    assert access.guard.admit(head(authorization=f"Bearer {access.api_key}")).user == API_KEY_USER
    assert access.guard.admit(head(x_api_key=access.api_key, host="printer.example.com")).user == API_KEY_USER


async def test_a_wrong_key_is_refused_except_where_slicers_make_them_up(make_access: MakeAccess) -> None:
    guard = (await make_access()).guard
    with pytest.raises(Unauthorized, match="Invalid API key"):
        guard.admit(head(peer="192.168.1.5", x_api_key="88888888"))
    assert guard.admit(head("/api/version", peer="192.168.1.5", x_api_key="88888888")).user == TRUSTED_USER
    with pytest.raises(Unauthorized):
        guard.admit(head("/api/version", peer="203.0.113.9", x_api_key="88888888"))
    assert guard.admit(head(peer="192.168.1.5", x_api_key="")).user == TRUSTED_USER
    assert guard.admit(head(peer="192.168.1.5", x_api_key="", authorization="Basic eDp5")).user == TRUSTED_USER


async def test_the_key_can_be_switched_off(make_access: MakeAccess) -> None:
    access = await make_access("[authorization]\nenable_api_key: no\n")
    with pytest.raises(Unauthorized):
        access.guard.admit(head(x_api_key=access.api_key))


async def test_foreign_pages_may_neither_change_anything_nor_open_a_websocket(make_access: MakeAccess) -> None:
    guard = (await make_access()).guard
    origin = "http://evil.example"
    for verb in ("POST", "PUT", "DELETE", "PATCH"):
        with pytest.raises(Forbidden, match=r"evil\.example"):
            guard.admit(head(verb=verb, peer="192.168.1.5", origin=origin))
    with pytest.raises(Forbidden):
        guard.admit(head("/websocket", peer="192.168.1.5", transport=Transport.WEBSOCKET, origin=origin))
    with pytest.raises(Forbidden):
        guard.admit(head("/websocket", peer="192.168.1.5", transport=Transport.WEBSOCKET, origin="null"))
    assert guard.admit(head(peer="192.168.1.5", origin=origin)).authorized  # it can't read the answer
    assert guard.cors_headers(head(origin=origin)) == {}
    own = head("/websocket", peer="192.168.1.5", transport=Transport.WEBSOCKET, origin="http://printer.local")
    assert guard.admit(own).authorized


async def test_a_name_pointed_at_us_borrows_no_trust(make_access: MakeAccess) -> None:
    guard = (await make_access()).guard
    for rebound in (
        head(peer="192.168.1.5", host="evil.example"),
        head(peer="192.168.1.5", host="evil.example", verb="POST", origin="http://evil.example"),
        head("/websocket", peer="127.0.0.1", host="evil.example:7125", transport=Transport.WEBSOCKET),
    ):
        with pytest.raises(Forbidden, match="trusted_hosts"):
            guard.admit(rebound)
    assert guard.admit(head(peer="192.168.1.5", host=None)).authorized


async def test_allowed_origins_may_read_and_act(make_access: MakeAccess) -> None:
    guard = (await make_access("[authorization]\ncors_domains: *://app.fluidd.xyz\ntrusted_clients: 192.168.1.5")).guard
    origin = "http://app.fluidd.xyz"
    assert guard.admit(head(verb="POST", peer="192.168.1.5", origin=origin)).authorized
    assert guard.cors_headers(head(origin=origin)) == {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
    allowed = guard.preflight_headers(head(origin=origin, access_control_request_private_network="true"))
    assert allowed is not None
    assert "DELETE" in allowed["Access-Control-Allow-Methods"]
    assert "X-Api-Key" in allowed["Access-Control-Allow-Headers"]
    assert allowed["Access-Control-Allow-Private-Network"] == "true"
    assert guard.preflight_headers(head(origin="http://evil.example")) is None
    assert guard.preflight_headers(head()) is None


async def test_a_one_shot_token_works_once_and_from_where_it_was_asked_for(make_access: MakeAccess) -> None:
    access = await make_access()
    owner = access.guard.admit(head(x_api_key=access.api_key))
    token = access.one_shot_token(NoParams(), owner)
    assert access.guard.admit(head(query=f"a=b&token={token}")).user == API_KEY_USER
    assert access.guard.admit(head(query=f"token={token}")).user is None
    token = access.one_shot_token(NoParams(), owner)
    assert access.guard.admit(head(query=f"token={token}", peer="203.0.113.10")).user is None
    assert access.guard.admit(head(query="token=stale", peer="192.168.1.5")).user == TRUSTED_USER
