"""The work that servers are measured at. Each load returns rows of (what, cost)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import trio

from tests.benchmarks.crowd import Crowd, Heard
from tests.benchmarks.printer import OBJECTS, BusyPrinter
from tests.benchmarks.server import Server
from tests.web.world import UPGRADE, HttpClient, WsClient, client_frame, multipart

C = TypeVar("C")

Rows = dict[str, float]
"""What was measured: microseconds of CPU (or milliseconds, seconds, MiB, where the name says so)."""

PATHS = ("/server/info", "/printer/info", "/api/printer", "/server/spoolman/status")
METHODS = ("server.info", "printer.info")
FANOUT = ((10, 50, False), (50, 20, False), (200, 5, False), (50, 20, True), (50, 500, False))
"""Clients, updates a second, and whether the clients offer to compress."""
SETTLED = 1.0
"""Seconds in which the last updates arrive, unless the server is far behind."""


async def http(server: Server, printer: BusyPrinter, seconds: float) -> Rows:
    """Keep-alive GETs on 1 and on 16 connections."""
    rows: Rows = {}
    for path in PATHS:
        if (await (await server.connect()).ask("GET", path)).status != 200:
            continue
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n".encode()
        for connections in (1, 16):

            async def ask(client: HttpClient, request: bytes = request) -> int:
                await client.send(request)
                await client.reply()
                return 1

            clients = [await server.connect() for _ in range(connections)]
            rows[f"GET {path}, {connections} at once"] = await _each_costs(server, clients, ask, seconds)
            for client in clients:
                await client.stream.aclose()
    return rows


async def rpc(server: Server, printer: BusyPrinter, seconds: float) -> Rows:
    """JSON-RPC over one websocket, one call after the other and 32 in flight."""
    rows: Rows = {}
    for method in METHODS:
        for window in (1, 32):
            call = json.dumps({"jsonrpc": "2.0", "method": method, "id": 1})
            calls = client_frame(call) * window

            async def ask(client: WsClient, calls: bytes = calls, window: int = window) -> int:
                await client.http.send(calls)
                answers = 0
                while answers < window:
                    opcode, payload = await client.frame()
                    answers += opcode == 1 and b'"id"' in payload
                return window

            async with _websockets(server, 1) as clients:
                rows[f"{method}, {window} in flight"] = await _each_costs(server, clients, ask, seconds)
    return rows


async def fanout(server: Server, printer: BusyPrinter, seconds: float) -> Rows:
    """Status updates to many subscribers: the cost of one delivered message; of the fastest, what is lost or late."""
    rows: Rows = {}
    for count, rate, deflate in FANOUT:
        join = partial(Crowd, server.port, count, dict.fromkeys(OBJECTS), deflate=deflate)
        crowd = await trio.to_thread.run_sync(join)
        heard = Heard()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, crowd.listen, heard, seconds + SETTLED)
            before, cpu, printer.rate = printer.sent, server.cpu(), rate
            await trio.sleep(seconds)
            printer.rate = 0
            cost = server.cpu() - cpu
        crowd.close()
        what = f"{count} clients at {rate} Hz{' that offer deflate' if deflate else ''}"
        rows[f"status to {what}"] = cost / max(heard.updates, 1) * 1e6
        rows[f"lost of {what}"] = float((printer.sent - before) * count - heard.updates)
        rows[f"slowest 1 % of {what}, ms"] = heard.slowest_percent * 1e3
    return rows


async def upload(server: Server, printer: BusyPrinter, seconds: float) -> Rows:
    """One multipart upload of 64 MiB; milliseconds of CPU per MiB."""
    lines = b"".join(b"G1 X%d.125 Y%d.875 E0.04175 F3000\n" % (n % 200, n % 190) for n in range(32000))
    size = 64
    body, content_type = multipart(("root", None, b"gcodes"), ("file", "b.gcode", (lines * 2)[: 1 << 20] * size))
    client = await server.connect()
    cpu = server.cpu()
    reply = await client.ask("POST", "/server/files/upload", body, content_type=content_type)
    assert reply.status == 201, reply
    return {"upload, ms per MiB": (server.cpu() - cpu) / size * 1e3}


async def idle(server: Server, printer: BusyPrinter, seconds: float) -> Rows:
    """Two clients at 4 Hz; milliseconds of CPU per second, and memory."""
    async with _websockets(server, 2) as clients, trio.open_nursery() as nursery:
        for client in clients:
            await client.call("printer.objects.subscribe", objects=dict.fromkeys(OBJECTS))

        async def listen(client: WsClient) -> None:
            while True:
                await client.frame()

        for client in clients:
            nursery.start_soon(listen, client)
        printer.rate = 4
        await trio.sleep(1)
        cpu = server.cpu()
        await trio.sleep(max(seconds, 4))
        cost = (server.cpu() - cpu) / max(seconds, 4)
        printer.rate = 0
        nursery.cancel_scope.cancel()
    return {"idle, ms per s": cost * 1e3, "memory, MiB": server.memory_mib(), "ready after, s": server.ready_after}


Load = Callable[[Server, BusyPrinter, float], Awaitable[Rows]]
LOADS: dict[str, Load] = {"http": http, "rpc": rpc, "fanout": fanout, "upload": upload, "idle": idle}


async def _each_costs(
    server: Server, clients: Sequence[C], ask: Callable[[C], Awaitable[int]], seconds: float
) -> float:
    """Microseconds of the server's CPU for each answer, with all clients asking as fast as they can."""
    done = 0

    async def keep_asking(client: C) -> None:
        nonlocal done
        while True:
            answers = await ask(client)
            done += answers

    async with trio.open_nursery() as nursery:
        for client in clients:
            nursery.start_soon(keep_asking, client)
        await trio.sleep(seconds / 4)
        cpu, done = server.cpu(), 0
        await trio.sleep(seconds)
        cost = (server.cpu() - cpu) / max(done, 1) * 1e6
        nursery.cancel_scope.cancel()
    return cost


@asynccontextmanager
async def _websockets(server: Server, count: int) -> AsyncIterator[list[WsClient]]:
    clients = []
    for _ in range(count):
        client = await server.connect()
        assert (await client.ask("GET", "/websocket", more=UPGRADE)).status == 101
        clients.append(WsClient(client))
    yield clients
    for one in clients:
        await one.http.stream.aclose()
