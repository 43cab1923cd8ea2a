"""MockSpoolman keeps its promises: an exact ledger, Spoolman's answers, its websockets."""

import json
import math
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import httpx
import pytest
import trio
import trustme
from trio_websocket import WebSocketConnection, open_websocket_url

from tests.testing.websocket_bytes import HANDSHAKE
from trio_moon.testing.spoolman import MockSpoolman
from trio_moon.testing.spoolman_faults import HangAfterApply, HangBeforeApply

NESTED = b"[" * 100_000 + b"]" * 100_000


@pytest.fixture
async def client(mock_spoolman: MockSpoolman) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=mock_spoolman.api_url, timeout=10) as client:
        yield client


def live_url(spoolman: MockSpoolman, path: str = "/spool") -> str:
    return spoolman.api_url.replace("http", "ws", 1) + path


async def test_a_use_changes_the_ledger_the_answer_and_the_list_of_uses(
    mock_spoolman: MockSpoolman, client: httpx.AsyncClient
) -> None:
    answer = await client.put("/spool/1/use", json={"use_length": 10.5})
    assert answer.json()["used_length"] == mock_spoolman.spools[1].used_length == 10.500000000000002
    (use,) = mock_spoolman.uses
    assert (use.spool_id, use.used_mm) == (1, 10.5)
    assert use.request is not None
    assert use.request.json() == {"use_length": 10.5}


async def test_another_writer_is_heard_on_the_websocket(
    mock_spoolman: MockSpoolman,
) -> None:
    async with open_websocket_url(live_url(mock_spoolman)) as live:
        mock_spoolman.other_writer_uses(1, 3.0)
        event = json.loads(await live.get_message())
    assert (event["type"], event["resource"]) == ("updated", "spool")
    assert event["payload"]["used_length"] == pytest.approx(3.0)
    assert mock_spoolman.uses[0].request is None


async def test_hanging_after_apply_has_changed_the_ledger(
    mock_spoolman: MockSpoolman, client: httpx.AsyncClient
) -> None:
    with mock_spoolman.fault("PUT", "/spool/*/use", HangAfterApply(times=1)) as fault:
        with pytest.raises(httpx.ReadTimeout):
            await client.put("/spool/1/use", json={"use_length": 1}, timeout=0.25)
        with trio.fail_after(10):
            await fault.wait_struck()
        assert (await client.put("/spool/1/use", json={"use_length": 1})).status_code == 200
    assert fault.struck == 1
    assert mock_spoolman.used_mm(1) == 2.0


async def test_it_goes_away_and_comes_back_on_the_same_port(
    mock_spoolman: MockSpoolman, client: httpx.AsyncClient
) -> None:
    address = mock_spoolman.url
    await mock_spoolman.go_away()
    with pytest.raises(httpx.ConnectError):
        await client.get("/health")
    await mock_spoolman.come_back()
    assert mock_spoolman.url == address
    assert (await client.get("/health")).json() == {"status": "healthy"}
    await mock_spoolman.come_back()


async def test_going_away_ends_websockets_and_requests_in_flight(mock_spoolman: MockSpoolman) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", mock_spoolman.port) as hanging:
        with mock_spoolman.fault("GET", "/health", HangBeforeApply()) as fault, trio.fail_after(10):
            await hanging.send_all(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
            await fault.wait_struck()
            async with await trio.open_tcp_stream("127.0.0.1", mock_spoolman.port) as live:
                await live.send_all(HANDSHAKE)
                await mock_spoolman.wait_until(lambda: len(mock_spoolman.live) == 1)
                await mock_spoolman.go_away()
                assert (b"".join([bytes(data) async for data in live])).startswith(b"HTTP/1.1 101")
            assert await hanging.receive_some() == b""
    assert mock_spoolman.live == []


async def test_the_port_is_kept_while_away(mock_spoolman: MockSpoolman) -> None:
    await mock_spoolman.go_away()
    await mock_spoolman.go_away()
    with socket.socket() as thief, pytest.raises(OSError, match="in use"):
        thief.bind(("127.0.0.1", mock_spoolman.port))


async def test_events_go_to_those_who_listen_to_their_kind_or_their_item(mock_spoolman: MockSpoolman) -> None:
    mock_spoolman.add_spool()
    wanted = {"/": 3, "/spool": 2, "/spool/1": 1, "/spool/2": 1, "/filament": 1, "/vendor": 0}
    async with AsyncExitStack() as stack:
        lives = {}
        for path in wanted:
            lives[path] = await stack.enter_async_context(open_websocket_url(live_url(mock_spoolman, path)))
        mock_spoolman.other_writer_uses(1, 1)
        mock_spoolman.other_writer_uses(2, 1)
        mock_spoolman.add_filament()
        for live in lives.values():
            await live.send_message("are you there?")
        with trio.fail_after(10):
            heard = {path: await count_events(live) for path, live in lives.items()}
    assert heard == wanted


async def count_events(live: WebSocketConnection) -> int:
    count = 0
    while await live.get_message() != '{"status":"healthy"}':
        count += 1
    return count


async def test_it_pings_and_gives_up_a_client_that_never_pongs(nursery: trio.Nursery) -> None:
    spoolman = MockSpoolman(ping_every=0.05, pong_within=0.1)
    await nursery.start(spoolman.run)
    async with await trio.open_tcp_stream("127.0.0.1", spoolman.port) as stream:
        await stream.send_all(HANDSHAKE)
        received = b""
        with trio.fail_after(10):
            while b"keepalive ping timeout" not in received:
                received += await stream.receive_some()
    frames = received.partition(b"\r\n\r\n")[2]
    assert frames[:2] == b"\x89\x04"
    assert frames[6:10] == b"\x88\x18\x03\xf3"


async def test_an_idle_connection_is_closed(nursery: trio.Nursery) -> None:
    spoolman = MockSpoolman(keep_alive=0.05)
    await nursery.start(spoolman.run)
    with trio.fail_after(10):
        async with await trio.open_tcp_stream("127.0.0.1", spoolman.port) as stream:
            assert await stream.receive_some() == b""


async def test_it_serves_below_a_path_behind_a_password_and_a_token(nursery: trio.Nursery) -> None:
    spoolman = MockSpoolman(base_path="/filament", basic_auth=("moon", "s:cret"), required_headers={"X-Token": "t1"})
    await nursery.start(spoolman.run)
    assert spoolman.url.endswith("/filament")
    async with httpx.AsyncClient() as client:
        url = f"{spoolman.api_url}/health"
        refused = [await client.get(url), await client.get(url, auth=("moon", "s:cret"))]
        client.auth, client.headers["X-Token"] = ("moon", "s:cret"), "t1"
        let_in, elsewhere = await client.get(url), await client.get(url.replace("/filament", ""))
    assert [answer.status_code for answer in refused] == [401, 403]
    assert refused[0].headers["www-authenticate"].startswith("Basic ")
    assert (let_in.status_code, elsewhere.status_code) == (200, 404)


async def test_a_handshake_needs_the_password_too(nursery: trio.Nursery) -> None:
    spoolman = MockSpoolman(basic_auth=("moon", "secret"))
    await nursery.start(spoolman.run)
    credentials = [(b"Authorization", b"Basic bW9vbjpzZWNyZXQ=")]
    with trio.fail_after(10):
        async with open_websocket_url(live_url(spoolman), extra_headers=credentials):
            await spoolman.wait_until(lambda: len(spoolman.live) == 1)


async def test_it_speaks_tls_with_a_certificate_of_a_private_authority(nursery: trio.Nursery) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    spoolman = MockSpoolman(tls=context)
    spoolman.add_spool()
    await nursery.start(spoolman.run)
    assert spoolman.url.startswith("https://")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with httpx.AsyncClient(verify=trusting) as client:
        assert (await client.get(f"{spoolman.api_url}/spool/1")).json()["id"] == 1
    with trio.fail_after(10):
        async with open_websocket_url(live_url(spoolman), ssl_context=trusting) as live:
            spoolman.other_writer_uses(1, 2)
            assert json.loads(await live.get_message())["type"] == "updated"
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(spoolman.url)


@pytest.mark.parametrize("rubbish", [b"\x00" * 100, b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"x" * 70000])
async def test_rubbish_ends_only_its_own_connection(
    mock_spoolman: MockSpoolman, client: httpx.AsyncClient, rubbish: bytes
) -> None:
    with trio.fail_after(10):
        async with await trio.open_tcp_stream("127.0.0.1", mock_spoolman.port) as stream:
            with suppress(trio.BrokenResourceError):
                await stream.send_all(rubbish)
                assert await stream.receive_some() == b""
    assert (await client.get("/health")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/spool/1/use", NESTED, 400),
        ("POST", "/vendor", b'{"name": ' + NESTED + b"}", 400),
        ("PATCH", "/spool/1", b'{"a":' * 100_000, 400),
        ("POST", "/setting/currency", NESTED, 400),
        ("POST", "/setting/currency", b'"\xff"', 400),
        ("POST", "/setting/currency", b'"' + NESTED + b'"', 500),
        ("PUT", "/spool/1/use", b"[" * 200 + b"]" * 200, 422),
    ],
)
async def test_bodies_nested_too_deeply_are_refused_and_harm_nobody_else(
    client: httpx.AsyncClient, method: str, path: str, body: bytes, status: int
) -> None:
    async with httpx.AsyncClient(base_url=client.base_url, timeout=10) as other:
        answer = await other.request(method, path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == status
        if status == 400:
            assert answer.json() == {"detail": "There was an error parsing the body"}
    assert (await client.put("/spool/1/use", json={"use_length": 1})).status_code == 200


async def test_what_it_does_not_play_it_says(client: httpx.AsyncClient) -> None:
    for path in ("/backup", "/external/filament", "/spool/group", "/spool?first_used=|2024-01-01"):
        answer = await client.get(path)
        assert answer.status_code == 501
        assert "MockSpoolman does not play" in answer.json()["message"]


async def test_a_deleted_spool_is_told_and_gone(mock_spoolman: MockSpoolman, client: httpx.AsyncClient) -> None:
    async with open_websocket_url(live_url(mock_spoolman)) as live:
        mock_spoolman.delete_spool(1)
        assert json.loads(await live.get_message())["type"] == "deleted"
    answer = await client.get("/spool/1")
    assert (answer.status_code, answer.json()) == (404, {"message": "No spool with ID 1 found."})


async def test_a_thousand_uses_read_back_to_a_millionth(mock_spoolman: MockSpoolman) -> None:
    steps = [0.1 + number / 7 for number in range(1000)]
    for used_mm in steps:
        mock_spoolman.other_writer_uses(1, used_mm)
    assert mock_spoolman.spools[1].used_length == pytest.approx(math.fsum(steps), abs=1e-6)
    assert mock_spoolman.used_mm(1) == pytest.approx(math.fsum(steps), abs=1e-9)
