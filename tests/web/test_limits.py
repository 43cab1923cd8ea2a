"""What connections may do, and for how long. The limits are shortened, real sockets know no virtual clock."""

from __future__ import annotations

import json
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from tests.until import until
from tests.web.world import (
    IMPATIENT,
    UPGRADE,
    HttpClient,
    Running,
    WsClient,
    client_frame,
    multipart,
    open_front,
    said_at_the_end,
)
from trio_moon.model.errors import TooMany
from trio_moon.rpc.caller import ClientInfo
from trio_moon.rpc.packet import Packet, notification
from trio_moon.web.budget import FREE, Budget
from trio_moon.web.connection import Connection
from trio_moon.web.door import CannotListen, Door, open_tcp
from trio_moon.web.frames import frame_close
from trio_moon.web.pieces import Pieces
from trio_moon.web.settings import FrontSettings


def limited(**limits: float) -> FrontSettings:
    """Settings that are impatient, but for these limits."""
    return FrontSettings(limits=replace(IMPATIENT, **limits))


@pytest.fixture
async def impatient(tmp_path: Path) -> AsyncIterator[Running]:
    async with open_front(tmp_path, limited()) as running:
        yield running


async def test_who_never_asks_is_sent_away(impatient: Running) -> None:
    assert await said_at_the_end(await impatient.connect()) == b""


@pytest.mark.parametrize(
    "begun",
    [
        b"GET /server/info HTTP/1.1\r\nHost: x\r\n",
        b"GET /server/info HTTP/1.1\r\nHost: x\r\n\r\nGET /server/info HTTP/1.1\r\n",
        b"POST /server/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nContent-Type: application/json\r\n\r\n{",
    ],
)
async def test_who_dawdles_over_a_request_is_told_and_sent_away(impatient: Running, begun: bytes) -> None:
    stream = await impatient.connect()
    await stream.send_all(begun)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:

            async def drip() -> None:
                try:
                    while True:
                        await trio.sleep(0.1)
                        await stream.send_all(b" ")
                except trio.BrokenResourceError:
                    pass

            nursery.start_soon(drip)
            heard = await said_at_the_end(stream)
            nursery.cancel_scope.cancel()
    assert b"HTTP/1.1 408 " in heard


async def test_an_idle_connection_is_ended_after_its_keep_alive(impatient: Running) -> None:
    http = HttpClient(await impatient.connect())
    assert (await http.ask("GET", "/server/info")).status == 200
    assert await http.closed()


async def begin_upload(front: Running, most: int) -> trio.abc.Stream:
    """A connection with the first `most` bytes of an upload."""
    body, content_type = multipart(("file", "x.gcode", b"x" * 100_000))
    stream = await front.connect()
    head = f"POST /server/files/upload HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n"
    await stream.send_all(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:most])
    return stream


async def first_upload_is_abandoned(front: Running) -> None:
    with trio.fail_after(5):
        await front.world.uploads[0].gone.wait()
    assert front.world.uploads[0].abandoned == 1


async def test_a_slow_upload_is_ended_and_leaves_nothing(impatient: Running) -> None:
    await said_at_the_end(await begin_upload(impatient, 5000))
    await first_upload_is_abandoned(impatient)


async def test_an_upload_that_drips_after_a_burst_is_ended_too(tmp_path: Path) -> None:
    async with open_front(tmp_path, limited(slowest_body=1_000_000)) as front, trio.open_nursery() as nursery:
        stream = await begin_upload(front, 80_000)

        async def drip() -> None:
            with suppress(trio.BrokenResourceError):
                while True:  # so that the thread never waits in vain
                    await trio.sleep(0.005)
                    await stream.send_all(b"x")

        nursery.start_soon(drip)
        with trio.fail_after(10):
            assert b"HTTP/1.1 408 " in await said_at_the_end(stream)
        await first_upload_is_abandoned(front)
        nursery.cancel_scope.cancel()


async def test_an_upload_whose_client_leaves_is_abandoned_once(live: Running) -> None:
    stream = await begin_upload(live, 50_000)
    await trio.sleep(0.1)
    await stream.aclose()
    await first_upload_is_abandoned(live)


async def test_an_upload_above_the_limit_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    async with open_front(tmp_path, FrontSettings(max_upload_size=1000)) as front:
        http = HttpClient(await front.connect())
        body, content_type = multipart(("file", "x.gcode", b"x" * 2000))
        reply = await http.ask("POST", "/server/files/upload", body, content_type=content_type)
        assert reply.status == 413
        assert not front.world.uploads


async def test_a_body_above_the_limit_is_refused(tmp_path: Path) -> None:
    async with open_front(tmp_path, limited(body_bytes=100_000)) as front:
        http = HttpClient(await front.connect())
        reply = await http.ask("POST", "/server/echo", b"x" * 100_001, content_type="application/json")
        assert reply.status == 413
        http = HttpClient(await front.connect())
        reply = await http.ask("POST", "/server/info", b"x" * 1000, content_type="application/json")
        assert reply.status == 405
        assert (await http.ask("GET", "/server/info")).status == 200


async def test_bodies_that_are_still_coming_share_a_budget(tmp_path: Path) -> None:
    async with open_front(tmp_path, limited(incomplete_bytes=1_500_000, no_progress=5.0)) as front:
        head = b"POST /server/echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        head += b"Content-Length: 1000000\r\n\r\n"
        first = await front.connect()
        await first.send_all(head + b'{"a": "')
        await trio.sleep(0.2)
        second = HttpClient(await front.connect())
        await second.send(head)
        assert (await second.reply()).status == 429
        await first.send_all(b"x" * (1_000_000 - 9) + b'"}')
        assert (await HttpClient(first).reply()).status == 200


@pytest.mark.slow
async def test_who_leaves_while_waiting_is_not_waited_for_long(impatient: Running) -> None:
    http = HttpClient(await impatient.connect())
    await http.send(b"GET /server/hang HTTP/1.1\r\nHost: x\r\n\r\n")
    await impatient.world.hanging.wait()
    await http.stream.aclose()
    with trio.fail_after(8):
        await impatient.world.cancelled.wait()


@pytest.mark.slow
async def test_who_only_sends_no_more_is_waited_for(tmp_path: Path) -> None:
    async with open_front(tmp_path, limited(half_closed=60.0)) as front:
        stream = await front.connect_tcp(front.port)
        await stream.send_all(b"GET /server/hang HTTP/1.1\r\nHost: x\r\n\r\n")
        await stream.send_eof()
        await front.world.hanging.wait()
        await trio.sleep(2.5)
        assert not front.world.cancelled.is_set()
        front.world.go_on.set()
        assert (await HttpClient(stream).reply()).status == 200


async def test_idle_connections_make_room_for_new_ones(tmp_path: Path) -> None:
    async with open_front(tmp_path, limited(connections=20, first_request=30.0, keep_alive=30.0)) as front:
        proven = HttpClient(await front.connect())
        assert (await proven.ask("GET", "/server/info")).status == 200
        for _ in range(60):
            await front.connect()
        newcomer = HttpClient(await front.connect())
        assert (await newcomer.ask("GET", "/server/info")).status == 200
        assert (await proven.ask("GET", "/server/info")).status == 200
        assert front.front.vitals()["connections"] == 20


async def test_connections_that_ask_nothing_any_more_make_room_too(tmp_path: Path) -> None:
    async with open_front(tmp_path, limited(connections=20, first_request=30.0, keep_alive=30.0)) as front:
        session = await WsClient.open(front)
        asking = HttpClient(await front.connect())
        await asking.send(b"GET /server/hang HTTP/1.1\r\nHost: x\r\n\r\n")
        await front.world.hanging.wait()
        for _ in range(60):
            assert (await HttpClient(await front.connect()).ask("GET", "/server/info")).status == 200
        assert front.front.vitals()["connections"] == 20
        assert (await session.call("server.info"))["result"] == {"state": "ready"}
        front.world.go_on.set()
        assert (await asking.reply()).status == 200


async def test_clients_that_ask_and_leave_make_room_too(tmp_path: Path) -> None:
    async with open_front(tmp_path, limited(connections=20, half_closed=60.0)) as front:
        for _ in range(20):
            stream = await front.connect()
            await stream.send_all(b"GET /server/hang HTTP/1.1\r\nHost: x\r\n\r\n")
            await stream.aclose()
        with trio.fail_after(10):
            while not (await said_at_the_end(await last_request(front))).startswith(b"HTTP/1.1 200 "):
                await trio.sleep(0.05)


async def test_requests_that_are_not_whole_make_room_too(tmp_path: Path) -> None:
    begun = b"POST /server/echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    async with open_front(tmp_path, limited(connections=20, first_request=30.0, no_progress=30.0)) as front:
        idle = HttpClient(await front.connect())
        assert (await idle.ask("GET", "/server/info")).status == 200
        for _ in range(60):
            stream = await front.connect()
            await stream.send_all(begun)
        assert await idle.closed()  # before all others
        with trio.fail_after(10):
            assert (await said_at_the_end(await last_request(front))).startswith(b"HTTP/1.1 200 ")
        await stream.send_all(b'"a": 12}')
        assert (await HttpClient(stream).reply()).status == 200


async def last_request(front: Running) -> trio.abc.Stream:
    stream = await front.connect()
    with suppress(trio.BrokenResourceError):
        await stream.send_all(b"GET /server/info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    return stream


class NamingListener(socket.socket):
    """A real listener, but the addresses of its clients are ours to choose."""

    name = "192.0.2.1"

    def accept(self) -> tuple[socket.socket, Any]:
        accepted, (_, port) = super().accept()
        return accepted, (self.name, port)


async def test_one_address_can_not_take_all_connections(nursery: trio.Nursery) -> None:
    listener = NamingListener()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    listener.setblocking(False)
    door = Door(replace(IMPATIENT, connections=20, connections_per_address=5))
    served: list[Connection] = []
    clients: list[trio.SocketStream] = []

    async def serve(connection: Connection) -> None:
        served.append(connection)
        connection.proven = connection.busy = True
        await connection.receive()

    nursery.start_soon(door.keep_open, listener, serve, nursery)

    async def come(name: str, times: int) -> None:
        """Clients from one address, each either served or sent away."""
        listener.name = name
        before = len(served)
        streams = [await trio.open_tcp_stream(*listener.getsockname()) for _ in range(times)]
        clients.extend(streams)
        refused = [await said_at_the_end(stream) for stream in streams[5:]] if name != "127.0.0.1" else []
        assert all(said.startswith(b"HTTP/1.1 503 ") for said in refused)
        await until(lambda: len(served) >= before + times - len(refused))

    await come("192.0.2.1", 8)
    await come("192.0.2.2", 7)
    await come("127.0.0.1", 6)  # a proxy on this machine speaks for many
    assert Counter(connection.address for connection in served) == {"192.0.2.1": 5, "192.0.2.2": 5, "127.0.0.1": 6}
    await clients[0].aclose()
    await until(lambda: len(door) != 16)
    await come("192.0.2.1", 1)
    for client in clients:
        await client.aclose()
    with trio.fail_after(10):
        await door.emptied()
    nursery.cancel_scope.cancel()
    listener.close()


async def test_who_reads_no_answers_has_no_many_made(live: Running) -> None:
    http = await narrow_client(live)
    big = b"GET /server/big?number=3000000 HTTP/1.1\r\nHost: x\r\n\r\n"
    await http.send(big * 3 + big.replace(b"big?number", b"echo?n"))
    await trio.sleep(0.3)
    assert live.world.calls == 0
    for _ in range(4):
        assert (await http.reply()).status == 200
    assert live.world.calls == 1


async def test_pipelined_requests_are_answered_in_order(live: Running) -> None:
    http = HttpClient(await live.connect())
    requests = [f"GET /server/number?number={n} HTTP/1.1\r\nHost: x\r\n\r\n" for n in range(100)]
    requests.insert(50, "GET /server/slow?a=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    await http.send("".join(requests).encode())
    results = [(await http.reply()).json()["result"] for _ in requests]
    assert results == [*range(50), {"a": "1"}, *range(50, 100)]


async def test_a_hundred_continue_is_given(live: Running) -> None:
    http = HttpClient(await live.connect())
    head = b"POST /server/echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
    await http.send(head + b"Expect: 100-continue\r\n\r\n")
    assert (await http.reply()).status == 100
    await http.send(b"{}")
    assert (await http.reply()).status == 200


# --- sessions


@pytest.mark.slow
async def test_a_session_that_is_dead_is_noticed(impatient: Running) -> None:
    client = await WsClient.open(impatient)
    opcode, payload = await client.frame()
    assert opcode == 9
    await client.send(payload, 10)
    opcode, payload = await client.frame()
    assert opcode == 9
    assert await client.close_code() == 1011


@pytest.mark.slow
async def test_a_session_whose_calls_wait_is_not_taken_for_dead(tmp_path: Path) -> None:
    async with open_front(tmp_path, limited(waiting_calls=2)) as front:
        client = await WsClient.open(front)
        for number in range(4):
            await client.send(json.dumps({"jsonrpc": "2.0", "method": "server.hang", "id": number}))
        for _ in range(25):  # answers to pings, which aren't read meanwhile
            await client.send(b"moon", 10)
            await trio.sleep(0.1)
        front.world.go_on.set()
        assert [(await client.message())["result"] for _ in range(4)] == ["at last"] * 4
        assert await client.close_code() == 1011  # silent from now on


async def test_a_message_that_only_drips_ends_its_session(impatient: Running) -> None:
    client = await WsClient.open(impatient)
    await client.http.send(client_frame(b"[", fin=False))

    async def drip() -> None:
        with suppress(trio.BrokenResourceError):
            while True:
                await client.http.send(client_frame(b" ", 0, fin=False))
                await trio.sleep(0.05)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drip)
        assert await client.close_code() == 1008
        nursery.cancel_scope.cancel()


@pytest.mark.slow
async def test_a_message_behind_calls_that_wait_is_not_taken_for_slow(tmp_path: Path) -> None:
    async with open_front(tmp_path, limited(waiting_calls=1, no_progress=2)) as front:
        client = await WsClient.open(front)
        hang = json.dumps({"jsonrpc": "2.0", "method": "server.hang", "id": 1})
        await client.http.send(client_frame(hang) + client_frame(" ", fin=False))
        for _ in range(30):
            await client.send(b"moon", 10)
            await trio.sleep(0.1)
        front.world.go_on.set()
        assert (await client.message())["result"] == "at last"
        await client.send('{"jsonrpc": "2.0", "method": "server.info", "id": 2}', 0)
        assert (await client.message())["id"] == 2


async def test_a_session_that_nobody_logs_in_to_is_ended(impatient: Running) -> None:
    client = await WsClient.open(impatient, **{"x-stranger": "1"})
    assert (await client.call("server.info"))["result"] == {"state": "ready"}
    assert await client.close_code() == 1008


async def test_websockets_have_a_limit_and_some_places_are_kept(tmp_path: Path) -> None:
    settings = FrontSettings(
        max_websocket_connections=10, limits=replace(IMPATIENT, unknown_session=30.0, ping_after=30)
    )
    async with open_front(tmp_path, settings) as front:
        strangers = [await WsClient.open(front, **{"x-stranger": "1"}) for _ in range(5)]
        http = HttpClient(await front.connect())
        assert (await http.ask("GET", "/websocket", more={**UPGRADE, "x-stranger": "1"})).status == 503
        known = [await WsClient.open(front) for _ in range(5)]
        http = HttpClient(await front.connect())
        assert (await http.ask("GET", "/websocket", more=UPGRADE)).status == 503
        await strangers[0].http.stream.aclose()
        await front.world.session_ended.wait()
        assert (await (await WsClient.open(front)).call("server.info"))["id"] == 1
        assert len(known) == 5


async def narrow_client(front: Running) -> HttpClient:
    """A client whose buffers are small, so that it is noticed that it doesn't read."""
    sock = trio.socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await sock.connect(("127.0.0.1", front.port))
    stream = trio.SocketStream(sock)
    front.streams.append(stream)
    return HttpClient(stream)


async def stuck_client(front: Running) -> WsClient:
    """A websocket whose client doesn't read."""
    http = await narrow_client(front)
    assert (await http.ask("GET", "/websocket", more=UPGRADE)).status == 101
    return WsClient(http)


def status_packet(number: int) -> tuple[dict[str, dict[str, object]], Packet]:
    news: dict[str, dict[str, object]] = {"toolhead": {"position": number, "rest": "x" * 1000}}
    return news, notification("notify_status_update", news, float(number))


async def test_status_merges_while_a_client_does_not_read(live: Running) -> None:
    client = await stuck_client(live)
    (session,) = live.world.audience
    for number in range(2000):
        news, packet = status_packet(number)
        session.outbox.status(news, float(number), packet)
    session.outbox.status({"extruder": {"target": 5}}, 2000.0, notification("notify_status_update", {}, 0.0))
    seen: list[int] = []
    merged: dict[str, object] = {}
    while "extruder" not in merged:
        merged, eventtime = (await client.message())["params"]
        seen.append(merged["toolhead"]["position"])  # type: ignore[index]
    assert seen == sorted(seen)
    assert (seen[-1], eventtime) == (1999, 2000.0)
    assert len(seen) < 1500
    assert (await client.call("server.info"))["result"] == {"state": "ready"}


@pytest.mark.slow
async def test_a_client_that_lets_too_many_events_wait_is_closed(impatient: Running) -> None:
    client = await stuck_client(impatient)
    for number in range(3000):
        impatient.world.audience.announce("notify_text", f"{number} " + "x" * 500)
    assert await client.close_code() == 1013
    with trio.fail_after(10):
        await impatient.world.session_ended.wait()
    assert len(impatient.world.audience) == 0


@pytest.mark.slow
async def test_a_client_without_progress_is_closed(impatient: Running) -> None:
    client = await stuck_client(impatient)
    for _ in range(100):
        impatient.world.audience.announce("notify_text", "x" * 4000)
    with trio.fail_after(10):
        await impatient.world.session_ended.wait()
    await said_at_the_end(client.http.stream)


async def test_a_big_answer_reaches_a_slow_reader_whole(live: Running) -> None:
    client = await stuck_client(live)
    answer = await client.call("server.big", 1, number=3_000_000)
    assert answer["result"] == "x" * 3_000_000


async def test_who_says_goodbye_before_reading_gets_whole_frames_and_a_goodbye(live: Running) -> None:
    client = await stuck_client(live)
    (connection,) = live.front._door.connections
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    params = {"number": 200_000}
    await client.send(json.dumps({"jsonrpc": "2.0", "method": "server.big", "params": params, "id": 1}))
    await client.send((1000).to_bytes(2, "big"), 8)
    await trio.sleep(0.1)
    assert (await client.message())["result"] == "x" * 200_000
    assert await client.close_code() == 1000


async def test_calls_of_a_client_that_does_not_read_are_not_piled_up(live: Running) -> None:
    client = await stuck_client(live)
    call = json.dumps({"jsonrpc": "2.0", "method": "server.big", "params": {"number": 100_000}, "id": 1})
    for _ in range(50):
        await client.send(call)
    await trio.sleep(0.2)
    await client.send(json.dumps({"jsonrpc": "2.0", "method": "server.get_echo", "id": 2}))
    await trio.sleep(0.2)
    assert live.world.calls == 0
    while (await client.message())["id"] != 2:
        pass
    assert live.world.calls == 1


def test_characters_that_take_four_bytes_are_paid_for() -> None:
    pieces = Pieces(Budget(4 * FREE))
    pieces.add("x" * 4 * FREE)
    pieces.drop()
    pieces.add("𝄞" * FREE)
    with pytest.raises(TooMany):
        pieces.add("𝄞" * FREE)


async def test_a_message_above_the_limit_is_refused(tmp_path: Path) -> None:
    async with open_front(tmp_path, limited(message_bytes=100_000, ping_after=30)) as front:
        client = await WsClient.open(front)
        await client.send(" " * 90_000 + '{"jsonrpc":"2.0","method":"server.info","id":1}')
        assert (await client.message())["id"] == 1
        await client.http.send(client_frame(b"x" * 100_001))
        assert await client.close_code() == 1009
        client = await WsClient.open(front)
        await client.http.send(client_frame(b"", fin=False) + client_frame(b"", 0, fin=False) * 3000)
        assert await client.close_code() == 1009


# --- the end


async def test_clients_are_told_that_the_service_stops(tmp_path: Path) -> None:
    async with open_front(tmp_path, limited()) as front:
        client = await WsClient.open(front)
        mainsail = await WsClient.open(front)
        (session,) = [one for one in front.world.audience if one.connection_id == await connection_id(mainsail)]
        session.client = ClientInfo("mainsail", "2", "web", "")
        idle = HttpClient(await front.connect())
        await idle.ask("GET", "/server/info")
        front.front.close()
        assert await client.close_code() == 1001
        assert await idle.closed()
        with pytest.raises((EOFError, trio.BrokenResourceError)):
            await mainsail.frame()  # it comes back only after a broken connection


async def connection_id(client: WsClient) -> int:
    answer = await client.call("server.websocket.id", 3)
    return int(answer["result"]["websocket_id"])


@pytest.mark.slow
async def test_what_is_being_answered_at_the_end_is_answered(tmp_path: Path) -> None:
    async with open_front(tmp_path, limited(grace=5.0)) as front:
        http = HttpClient(await front.connect())
        await http.send(b"GET /server/slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await trio.sleep(0.005)
        front.front.close()
        assert (await http.reply()).status == 200
        assert await http.closed()


async def test_nobody_can_hold_up_the_end(tmp_path: Path) -> None:
    async with open_front(tmp_path, limited()) as front:
        stuck = [await stuck_client(front) for _ in range(5)]
        for _ in range(300):
            front.world.audience.announce("notify_text", "x" * 1000)
        hanging = HttpClient(await front.connect())
        await hanging.send(b"GET /server/hang HTTP/1.1\r\nHost: x\r\n\r\n")
        upload = await begin_upload(front, 50_000)
        chunked = await front.connect()
        await chunked.send_all(b"POST /server/hang HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
        (front.world.folder / "big").write_bytes(bytes(30_000_000))
        download = await front.connect()
        await download.send_all(b"GET /server/files/big HTTP/1.1\r\nHost: x\r\n\r\n")
        await front.world.hanging.wait()
        await trio.sleep(0.1)
        began = trio.current_time()
        front.front.close()
        with trio.fail_after(10):
            await front.ended.wait()
        assert trio.current_time() - began < 5
        assert len(stuck) == 5
        await upload.aclose()


def test_the_reason_of_a_close_is_cut_to_what_a_frame_holds() -> None:
    frame = frame_close(1008, "ä" * 200)
    assert frame[1] == len(frame) - 2 <= 125
    assert struct.unpack("!H", frame[2:4]) == (1008,)
    assert set(frame[4:].decode()) == {"ä"}


async def test_a_front_without_its_unix_socket_or_certificate_serves_the_rest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("no certificate")
    settings = FrontSettings(certificate=nonsense, private_key=nonsense, limits=IMPATIENT)
    async with open_front(tmp_path, settings, unix_socket=tmp_path / ("x" * 200)) as front:
        http = HttpClient(await front.connect())
        assert (await http.ask("GET", "/server/info")).status == 200
    assert len([record for record in caplog.records if "can't be offered" in record.message]) == 2


async def test_every_address_of_both_families_is_listened_on(tmp_path: Path) -> None:
    listeners = open_tcp(None, 0)
    ports = {sock.getsockname()[1] for sock in listeners}
    for sock in listeners:
        sock.close()
    assert len(ports) == 1


async def test_a_taken_port_is_named(live: Running) -> None:
    with pytest.raises(CannotListen, match=f"127.0.0.1 port {live.port}"):
        open_tcp("127.0.0.1", live.port)
