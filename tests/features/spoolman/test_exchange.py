"""One request, one connection: what surely never left is told apart from what may have arrived."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import pytest
import trio

from trio_moon.features.spoolman.exchange import Answer, HttpPeer, NeverSent, NoAnswer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
Serve = Callable[[trio.SocketStream, bytes], Awaitable[None]]


class Peer:
    """Reads a head, remembers it, and does what it is told to."""

    def __init__(self, serve: Serve) -> None:
        self.heads: list[str] = []
        self._serve = serve

    async def handle(self, stream: trio.SocketStream) -> None:
        async with stream:
            received = b""
            while b"\r\n\r\n" not in received:
                received += await stream.receive_some()
            self.heads.append(received.decode())
            await self._serve(stream, received)


async def open_peer(nursery: trio.Nursery, serve: Serve, path: str = "") -> tuple[Peer, HttpPeer]:
    peer = Peer(serve)
    listeners = await nursery.start(partial(trio.serve_tcp, peer.handle, 0, host="127.0.0.1"))
    port = listeners[0].socket.getsockname()[1]
    return peer, HttpPeer(f"http://127.0.0.1:{port}{path}", {"Authorization": "Bearer x"}, None)


def saying(answer: bytes) -> Serve:
    async def serve(stream: trio.SocketStream, head: bytes) -> None:
        await stream.send_all(answer)

    return serve


async def ask(http: HttpPeer, path: str = "/api/v1/spool/1", **more: object) -> Answer:
    arguments: dict[str, object] = {"deadline": 20.0, "limit": 1000} | more
    return await http.ask("GET", path, **arguments)  # type: ignore[arg-type]


async def test_every_request_has_its_own_connection_and_says_so(nursery: trio.Nursery) -> None:
    peer, http = await open_peer(nursery, saying(OK))
    for _ in range(2):
        assert (await ask(http)).json() == {}
    assert len(peer.heads) == 2
    lines = peer.heads[0].lower().splitlines()
    assert lines[0] == "get /api/v1/spool/1 http/1.1"
    assert {"connection: close", "accept-encoding: identity", "authorization: bearer x"} <= set(lines)
    assert sum(line.startswith("host: 127.0.0.1:") for line in lines) == 1


async def test_a_target_is_encoded_where_it_must_be_and_only_once(nursery: trio.Nursery) -> None:
    peer, http = await open_peer(nursery, saying(OK), path="/my päth")
    await ask(http, "/api/v1/a b%20c/50%", query="name=ä#1&x=[1]?")
    assert peer.heads[0].split(" ")[1] == "/my%20p%C3%A4th/api/v1/a%20b%20c/50%25?name=%C3%A4%231&x=[1]?"


async def test_where_nobody_listens_nothing_was_sent() -> None:
    with trio.socket.socket() as place:
        await place.bind(("127.0.0.1", 0))
        http = HttpPeer(f"http://127.0.0.1:{place.getsockname()[1]}", {}, None)
        with pytest.raises(NeverSent, match=r"^Spoolman can't be reached: Connection refused$"):
            await ask(http)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        OK[:-1],
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"a" * 10**6,
    ],
)
async def test_half_an_answer_is_none(nursery: trio.Nursery, answer: bytes) -> None:
    _, http = await open_peer(nursery, saying(answer))
    with pytest.raises(NoAnswer):
        await ask(http)


async def test_an_answer_without_a_length_ends_with_the_connection(nursery: trio.Nursery) -> None:
    _, http = await open_peer(
        nursery, saying(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 404 No\r\nA: 1\r\nA: 2\r\n\r\nno")
    )
    assert await ask(http) == Answer(404, {"a": "1, 2"}, b"no")


async def test_an_answer_that_is_too_long_is_not_read_to_its_end(nursery: trio.Nursery) -> None:
    async def serve(stream: trio.SocketStream, head: bytes) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        with suppress(trio.BrokenResourceError):
            while True:
                await stream.send_all(b"x" * 100_000)

    _, http = await open_peer(nursery, serve)
    with pytest.raises(NoAnswer, match="longer"):
        await ask(http)


async def test_silence_ends_at_the_deadline_and_is_no_answer(nursery: trio.Nursery) -> None:
    async def serve(stream: trio.SocketStream, head: bytes) -> None:
        await trio.sleep_forever()

    _, http = await open_peer(nursery, serve)
    with pytest.raises(NoAnswer, match="within"):
        await ask(http, deadline=0.5)


async def test_who_refuses_a_body_before_it_is_whole_is_still_heard(nursery: trio.Nursery) -> None:
    async def serve(stream: trio.SocketStream, head: bytes) -> None:
        await stream.send_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await stream.send_eof()
        with trio.move_on_after(10):
            while await stream.receive_some():
                pass

    _, http = await open_peer(nursery, serve)
    answer = await http.ask("POST", "/api/v1/spool", body=b"x" * 10**6, deadline=20, limit=1000)
    assert answer.status == 413


async def test_requests_beyond_the_tenth_wait_and_were_never_sent(nursery: trio.Nursery) -> None:
    async def serve(stream: trio.SocketStream, head: bytes) -> None:
        await trio.sleep_forever()

    peer, http = await open_peer(nursery, serve)
    async with trio.open_nursery() as asking:
        for _ in range(10):
            asking.start_soon(partial(ask, http, deadline=math.inf))
        while len(peer.heads) < 10:
            await trio.sleep(0.01)
        with pytest.raises(NeverSent):
            await ask(http, deadline=0.2)
        asking.cancel_scope.cancel()
    assert len(peer.heads) == 10
