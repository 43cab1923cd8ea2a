"""TLS and HTTP/2, served by Quart-Trio: the same answers, and the same containment."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trio

from tests.web.world import QUICK, UPGRADE, HttpClient, Running, WsClient, multipart, open_front
from trio_moon.web.settings import FrontSettings, find_certificate

CERTIFICATES = Path(__file__).parent / "certificates"


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Running]:
    certificate, private_key = find_certificate(CERTIFICATES)
    assert certificate is not None
    settings = FrontSettings(certificate=certificate, private_key=private_key, limits=QUICK)
    async with open_front(tmp_path, settings) as running:
        yield running


def client_context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=CERTIFICATES / "moonraker.cert")


async def connect(front: Running) -> HttpClient:
    stream = await front.connect(front.tls_port)
    secured: trio.SSLStream[trio.SocketStream] = trio.SSLStream(
        stream, client_context(), server_hostname="127.0.0.1", https_compatible=True
    )
    return HttpClient(secured)


async def test_calls_websockets_and_uploads_work_over_tls(front: Running) -> None:
    http = await connect(front)
    assert (await http.ask("GET", "/server/info")).json() == {"result": {"state": "ready"}}
    body, content_type = multipart(("file", "x.gcode", b"G1\n" * 100_000))
    reply = await http.ask("POST", "/server/files/upload", body, content_type=content_type)
    assert reply.json()["sizes"] == {"x.gcode": 300_000}
    http = await connect(front)
    assert (await http.ask("GET", "/websocket", more=UPGRADE)).status == 101
    assert (await WsClient(http).call("server.info"))["result"] == {"state": "ready"}


async def test_http2_is_spoken_to_those_who_ask(front: Running) -> None:
    with trio.fail_after(10):
        async with httpx.AsyncClient(http2=True, verify=client_context()) as client:
            origin = f"https://127.0.0.1:{front.tls_port}"
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


async def test_rubbish_on_the_tls_port_hurts_nobody(front: Running) -> None:
    for rubbish in (b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\x16\x03\x01\x00\x05hello", b""):
        stream = await front.connect(front.tls_port)
        await stream.send_all(rubbish)
        await stream.aclose()
    http = await connect(front)
    assert (await http.ask("GET", "/server/info")).status == 200
