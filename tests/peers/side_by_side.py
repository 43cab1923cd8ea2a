"""The same question put to the real Moonraker and to us, and what differs between the answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import trio
import trio_websocket

PATIENCE = 30.0
SETTLED_AFTER = 0.15

HEADERS = (
    "content-type",
    "location",
    "www-authenticate",
    "content-disposition",
    "content-range",
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-allow-private-network",
    "access-control-allow-credentials",
)
"""The headers that clients look at."""


@dataclass(frozen=True)
class Side:
    """One of the two services."""

    name: str
    url: str
    root: Path

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

    async def http(self, ask: Http) -> Seen:
        """Send one request on a connection of its own."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=PATIENCE) as client:
            answer = await client.request(ask.verb, ask.path, content=ask.body, headers=dict(ask.headers))
        headers = {name: answer.headers[name].replace(self.url, "") for name in HEADERS if name in answer.headers}
        try:
            body = answer.json() if answer.content else None
        except ValueError:
            body = answer.text
        return Seen(answer.status_code, headers, body)

    @asynccontextmanager
    async def websocket(self, path: str = "/websocket", headers: Mapping[str, str] = {}) -> AsyncIterator[Wire]:
        """A JSON-RPC websocket."""
        host, port = self.address
        stream = await trio.open_tcp_stream(host, port)
        async with stream, trio.open_nursery() as nursery:
            more = [(name.encode(), value.encode()) for name, value in headers.items()]
            socket = await trio_websocket.wrap_client_stream(
                nursery, stream, f"{host}:{port}", path, extra_headers=more
            )
            yield Wire(socket.send_message, socket.get_message)
            with trio.move_on_after(2):
                await socket.aclose()
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def unix(self) -> AsyncIterator[Wire]:
        """JSON-RPC over the unix socket."""
        async with await trio.open_unix_socket(str(self.root / "comms" / "moonraker.sock")) as stream:
            frames: list[bytes] = []
            partial = b""

            async def send(text: str | bytes) -> None:
                await stream.send_all((text.encode() if isinstance(text, str) else text) + b"\x03")

            async def receive() -> str:
                nonlocal partial
                while not frames:
                    data = await stream.receive_some(65536)
                    if not data:
                        raise trio.EndOfChannel
                    *whole, partial = (partial + data).split(b"\x03")
                    frames.extend(whole)
                return frames.pop(0).decode()

            yield Wire(send, receive)


class Wire:
    """JSON-RPC messages over whatever carries them."""

    def __init__(self, send: Any, receive: Any) -> None:
        self._send = send
        self._receive = receive
        self._last_id = 1000
        self.news: list[dict[str, Any]] = []

    async def say(self, message: object) -> None:
        """Send a message as it is: text, bytes, or something to be made JSON."""
        await self._send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def receive(self) -> Any:
        """The next message."""
        with trio.fail_after(PATIENCE):
            return json.loads(await self._receive())

    async def ask(self, method: str, params: object = None) -> dict[str, Any]:
        """The answer to a call; what comes before it is kept in `news`."""
        self._last_id += 1
        call = {"jsonrpc": "2.0", "method": method, "id": self._last_id}
        await self.say(call if params is None else {**call, "params": params})
        while True:
            message = await self.receive()
            if isinstance(message, dict) and message.get("id") == self._last_id:
                return message
            self.news.append(message)

    async def exchange(self, message: object) -> list[Any]:
        """What comes back for a raw message, up to the answer of a call that is sent behind it."""
        await self.say(message)
        if isinstance(message, list):
            await trio.sleep(SETTLED_AFTER)  # its calls are answered side by side, the next one may be quicker
        self._last_id += 1
        await self.say({"jsonrpc": "2.0", "method": "server.info", "id": self._last_id})
        told: list[Any] = []
        while True:
            answer = await self.receive()
            if isinstance(answer, dict) and answer.get("id") == self._last_id:
                return told
            if not (isinstance(answer, dict) and str(answer.get("method", "")).startswith("notify_")):
                told.append(answer)


@dataclass(frozen=True)
class Http:
    """A request over HTTP."""

    verb: str
    path: str
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.verb} {self.path}" + (f" {self.body[:60]!r}" if self.body else "")


def with_json(verb: str, path: str, value: object, *headers: tuple[str, str]) -> Http:
    """A request with a JSON body."""
    return Http(verb, path, json.dumps(value).encode(), (("content-type", "application/json"), *headers))


@dataclass(frozen=True)
class Seen:
    """An answer, as far as clients look."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None


def differences(theirs: Seen, ours: Seen) -> Iterator[str]:
    """What a client could notice."""
    if theirs.status != ours.status:
        yield f"status {theirs.status} -> {ours.status}"
    for name in HEADERS:
        if theirs.headers.get(name, "").lower() != ours.headers.get(name, "").lower():
            yield f"{name}: {theirs.headers.get(name)} -> {ours.headers.get(name)}"
    yield from unlike(theirs.body, ours.body)


def unlike(theirs: object, ours: object, where: str = "$") -> Iterator[str]:
    """Where two JSON values differ in shape: keys, and types of what they hold."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in theirs.keys() | ours.keys():
            if key not in ours:
                yield f"{where}.{key} missing"
            elif key not in theirs:
                yield f"{where}.{key} new"
            else:
                yield from unlike(theirs[key], ours[key], f"{where}.{key}")
    elif isinstance(theirs, list) and isinstance(ours, list):
        if bool(theirs) != bool(ours):
            yield f"{where}[] {len(theirs)} -> {len(ours)} items"
        elif theirs:
            yield from unlike(_merged(theirs), _merged(ours), f"{where}[]")
    elif _kind(theirs) != _kind(ours):
        yield f"{where} {_kind(theirs)} -> {_kind(ours)}"


def _merged(items: list[object]) -> object:
    """One item that has all the keys of a list's items."""
    if all(isinstance(item, dict) for item in items):
        merged: dict[str, object] = {}
        for item in items:
            assert isinstance(item, dict)
            merged |= {key: value for key, value in item.items() if value is not None or key not in merged}
        return merged
    return items[0]


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case _:
            return {"str": "string", "list": "array", "dict": "object"}[type(value).__name__]
