"""TLS and HTTP/2: the same answers, and the same containment."""

from __future__ import annotations

import json
import os
import ssl
from contextlib import suppress
from pathlib import Path

import h2.connection
import h2.settings
import httpx
import trio
from msgspec.structs import replace

from tests.until import until
from tests.web.world import (
    CERTIFICATES,
    IMPATIENT,
    UPGRADE,
    HttpClient,
    Running,
    WsClient,
    client_context,
    multipart,
    open_front,
    said_at_the_end,
)
from trio_moon.web.settings import FrontSettings, find_certificate


async def connect(tls: Running) -> HttpClient:
    return HttpClient(await tls.connect())


async def test_calls_websockets_and_uploads_work_over_tls(tls: Running) -> None:
    http = await connect(tls)
    assert (await http.ask("GET", "/server/info")).json() == {"result": {"state": "ready"}}
    body, content_type = multipart(("file", "x.gcode", b"G1\n" * 100_000))
    reply = await http.ask("POST", "/server/files/upload", body, content_type=content_type)
    assert reply.json()["sizes"] == {"x.gcode": 300_000}
    http = await connect(tls)
    assert (await http.ask("GET", "/websocket", more=UPGRADE)).status == 101
    assert (await WsClient(http).call("server.info"))["result"] == {"state": "ready"}


async def test_http2_is_spoken_to_those_who_ask(tls: Running) -> None:
    with trio.fail_after(10):
        async with httpx.AsyncClient(http2=True, verify=client_context()) as client:
            origin = f"https://127.0.0.1:{tls.tls_port}"
            replies: list[httpx.Response] = []

            async def ask(number: int) -> None:
                replies.append(await client.get(f"{origin}/server/number?number={number}"))

            async with trio.open_nursery() as nursery:
                for number in range(20):
                    nursery.start_soon(ask, number)
            assert {reply.json()["result"] for reply in replies} == set(range(20))
            assert {reply.http_version for reply in replies} == {"HTTP/2"}
            call = {"jsonrpc": "2.0", "method": "server.info", "id": 1}
            answer = await client.post(f"{origin}/server/jsonrpc", json=call)
            assert json.loads(answer.content)["result"] == {"state": "ready"}


async def test_rubbish_on_the_tls_port_hurts_nobody(tls: Running) -> None:
    for rubbish in (b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\x16\x03\x01\x00\x05hello", b""):
        stream = await tls.connect_tcp(tls.tls_port)
        await stream.send_all(rubbish)
        await stream.aclose()
    http = await connect(tls)
    assert (await http.ask("GET", "/server/info")).status == 200


async def test_who_speaks_http_to_the_tls_port_is_told(tls: Running) -> None:
    http = HttpClient(await tls.connect_tcp(tls.tls_port))
    assert (await http.ask("GET", "/server/info")).status == 400
    assert await http.closed()


async def test_a_handshake_has_a_limit_in_time_and_delays_nobody(tmp_path: Path) -> None:
    certificate, private_key = find_certificate(CERTIFICATES)
    limits = replace(IMPATIENT, first_request=30.0)
    settings = FrontSettings(certificate=certificate, private_key=private_key, limits=limits)
    async with open_front(tmp_path, settings) as front:
        front.secure = True
        hello = ssl.MemoryBIO()
        with suppress(ssl.SSLWantReadError):
            client_context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="127.0.0.1").do_handshake()
        begun = hello.read()
        for size in (0, 1, 5, 100, len(begun)):
            for _ in range(10):
                stream = await front.connect_tcp(front.tls_port)
                await stream.send_all(begun[:size])
        assert (await (await connect(front)).ask("GET", "/server/info")).status == 200
        front.front.close()
        with trio.fail_after(10):
            await front.ended.wait()


async def test_websockets_over_tls_decline_compression_and_tell_why_they_end(tls: Running) -> None:
    http = await connect(tls)
    offer = {**UPGRADE, "sec-websocket-extensions": "permessage-deflate; client_max_window_bits"}
    reply = await http.ask("GET", "/websocket", more=offer)
    assert reply.status == 101
    assert "sec-websocket-extensions" not in reply.headers
    client = WsClient(http)
    await client.call("server.info")
    tls.front.close()
    assert await client.close_code() == 1001
    assert await http.closed()


async def test_both_protocols_know_where_a_client_comes_from_and_that_it_is_safe(tls: Running) -> None:
    assert (await (await connect(tls)).ask("GET", "/server/whence")).json()["result"] == ["127.0.0.1", True]
    async with httpx.AsyncClient(http2=True, verify=client_context()) as client:
        answer = await client.get(f"https://127.0.0.1:{tls.tls_port}/server/whence")
        assert answer.json()["result"] == ["127.0.0.1", True]
    assert (await HttpClient(await tls.connect_tcp(tls.port)).ask("GET", "/server/whence")).json()["result"] == [
        "127.0.0.1",
        False,
    ]


async def test_the_last_words_of_a_slow_request_come_through(tmp_path: Path) -> None:
    certificate, private_key = find_certificate(CERTIFICATES)
    settings = FrontSettings(certificate=certificate, private_key=private_key, limits=IMPATIENT)
    async with open_front(tmp_path, settings) as front:
        stream = await front.connect_tls()
        await stream.send_all(b"POST /server/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert b"HTTP/1.1 408 " in await said_at_the_end(stream)


async def test_who_takes_leave_of_tls_properly_harms_nobody(tls: Running) -> None:
    for request in (b"", b"GET /server/info HTTP/1.1\r\n", b"GET /server/slow?a=1 HTTP/1.1\r\nHost: x\r\n\r\n"):
        stream = await tls.connect_tls()
        secured = trio.SSLStream(
            await tls.connect_tcp(tls.tls_port), client_context(), server_hostname="127.0.0.1", https_compatible=False
        )
        await secured.send_all(request)
        with trio.move_on_after(0.2), suppress(trio.BrokenResourceError):
            await secured.unwrap()  # sends close_notify, and waits for ours
        assert (await HttpClient(stream).ask("GET", "/server/info")).status == 200


async def test_big_answers_and_files_come_through_whole(tls: Running) -> None:
    http = await connect(tls)
    assert (await http.ask("GET", "/server/big?number=3000000")).json()["result"] == "x" * 3_000_000
    (tls.world.folder / "big").write_bytes(bytes(range(256)) * 30_000)
    assert (await http.ask("GET", "/server/files/big")).body == bytes(range(256)) * 30_000
    assert (await http.ask("GET", "/server/big?number=1000000", connection="close")).json()["result"] == "x" * 1_000_000
    assert await http.closed()


async def test_sockets_of_tls_connections_are_given_back(tls: Running) -> None:
    http = await connect(tls)
    assert (await http.ask("GET", "/server/info")).status == 200  # what is opened once is open
    before = len(os.listdir("/proc/self/fd"))
    for number in range(20):
        stream = await tls.connect_tls(*(["h2"] if number % 2 else []))
        if number % 4 < 2:
            await stream.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" if number % 2 else b"GET / HTTP/1.1\r\n")
        await stream.transport_stream.aclose()
    await until(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def test_a_client_of_http2_that_leaves_no_window_is_sent_away(tmp_path: Path) -> None:
    certificate, private_key = find_certificate(CERTIFICATES)
    settings = FrontSettings(certificate=certificate, private_key=private_key, limits=IMPATIENT)
    async with open_front(tmp_path, settings) as front:
        client = h2.connection.H2Connection()
        client.initiate_connection()
        client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
        for number in (1, 3):
            target = [(":path", "/server/big?number=100000"), (":authority", "127.0.0.1")]
            client.send_headers(number, [(":method", "GET"), (":scheme", "https"), *target], end_stream=True)
        stream = await front.connect_tls("h2")
        await stream.send_all(client.data_to_send())
        assert b"x" * 100 not in await said_at_the_end(stream)
