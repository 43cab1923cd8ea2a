"""A small world for the front's tests: a registry with one endpoint of each kind, and plain clients on real sockets."""

from __future__ import annotations

import base64
import json
import ssl
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import trio
from msgspec import Struct
from msgspec.structs import replace

from trio_moon.model.errors import BadParams, Forbidden, KlippyAway, Unauthorized
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.binding import AnyParams, NoParams
from trio_moon.rpc.caller import Caller, Session, Transport
from trio_moon.rpc.endpoint import Endpoint
from trio_moon.rpc.jsonrpc import JsonRpc
from trio_moon.rpc.registry import Registry
from trio_moon.rpc.replies import Download, Reply
from trio_moon.rpc.request_head import RequestHead
from trio_moon.web.front import Front
from trio_moon.web.settings import FrontSettings, Limits

CERTIFICATES = Path(__file__).parent / "certificates"


def client_context() -> ssl.SSLContext:
    """TLS as clients speak it that know our certificate."""
    return ssl.create_default_context(cafile=CERTIFICATES / "moonraker.cert")


QUICK = Limits(grace=0.05)
IMPATIENT = Limits(
    first_request=0.5,
    head_time=0.5,
    keep_alive=0.5,
    no_progress=0.5,
    half_closed=1.0,
    ping_after=0.3,
    dead_after=1.0,
    unknown_session=0.5,
    waiting_events=100_000,
    sweep_every=0.1,
    grace=0.1,
)
"""Tests don't wait for clients that they have forgotten."""

NONE: Mapping[str, str] = MappingProxyType({})


class OpenDoorkeeper:
    """Lets everybody in, except for one key, one origin, and one header that tests use."""

    last: RequestHead
    closed = False

    def admit(self, head: RequestHead) -> Caller:
        self.last = head
        if self.closed or head.headers.get("x-api-key") == "wrong":
            raise Unauthorized("the API key is wrong")
        if head.headers.get("origin") == "http://evil.example":
            raise Forbidden("this origin is not allowed")
        user = None if head.headers.get("x-stranger") else "_TRUSTED_USER_"
        return Caller(head.transport, head.peer, user)

    def admit_session(self, caller: Caller, session: Session) -> None:
        pass

    def cors_headers(self, head: RequestHead) -> dict[str, str]:
        if head.headers.get("origin") == "http://good.example":
            return {"Access-Control-Allow-Origin": "http://good.example"}
        return {}

    def preflight_headers(self, head: RequestHead) -> dict[str, str] | None:
        return {**self.cors_headers(head), "Access-Control-Allow-Methods": "GET"} if self.cors_headers(head) else None


@dataclass
class Upload:
    """An Incoming that keeps everything in memory."""

    world: World
    length: int | None
    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytearray] = field(default_factory=dict)
    open_file: str | None = None
    abandoned: int = 0
    gone: trio.Event = field(default_factory=trio.Event)

    def add_field(self, name: str, value: str) -> None:
        self.fields[name] = value

    def start_file(self, name: str, filename: str) -> None:
        if filename == "forbidden.gcode":
            raise Forbidden("this file can't be overwritten")
        self.open_file = filename
        self.files[filename] = bytearray()

    def write(self, data: bytes | memoryview) -> None:
        assert self.open_file is not None
        self.files[self.open_file] += data

    def end_file(self) -> None:
        self.open_file = None

    async def complete(self) -> object:
        await trio.lowlevel.checkpoint()
        if not self.files:
            raise BadParams("there is no file in the upload")
        sizes = {name: len(data) for name, data in self.files.items()}
        return Reply({"fields": self.fields, "sizes": sizes}, 201, {"Location": "/server/files/x"})

    def abandon(self) -> None:
        self.abandoned += 1
        trio.from_thread.run_sync(self.gone.set)


class Text(Struct, frozen=True):
    text: str


class Number(Struct, frozen=True):
    number: int = 7


class World:
    """The endpoints, and what they have seen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = Registry()
        self.jsonrpc = JsonRpc(self.registry)
        self.audience = Audience()
        self.doorkeeper = OpenDoorkeeper()
        self.uploads: list[Upload] = []
        self.session_ended = trio.Event()
        self.calls = 0
        self.cancelled = trio.Event()
        self.hanging = trio.Event()
        self.go_on = trio.Event()
        self.registry.add(
            (
                Endpoint("/server/info", NoParams, GET=lambda params, caller: {"state": "ready"}, open_to_all=True),
                Endpoint("/server/echo", AnyParams, GET=self.echo, POST=self.echo),
                Endpoint("/server/number", Number, GET=lambda params, caller: params.number),
                Endpoint("/server/slow", AnyParams, GET=self.slow),
                Endpoint("/server/hang", NoParams, GET=self.hang),
                Endpoint("/server/bug", NoParams, GET=self.bug),
                Endpoint("/server/away", NoParams, GET=self.away),
                Endpoint("/server/whence", NoParams, GET=self.whence),
                Endpoint("/server/announce", Text, POST=self.announce),
                Endpoint("/server/websocket/id", NoParams, GET=self.connection_id, transports=Transport.SESSION),
                Endpoint("/server/big", Number, GET=lambda params, caller: "x" * params.number),
                Endpoint("/api/version", NoParams, GET=lambda params, caller: {"api": "0.1"}, wrapped=False),
                Endpoint("/server/files/upload", NoParams, upload=self.receive, wrapped=False),
                Endpoint("/server/files/{path...}", AnyParams, GET=self.download),
            )
        )

    def echo(self, params: AnyParams, caller: Caller) -> object:
        self.calls += 1
        return dict(params.arguments)

    async def slow(self, params: AnyParams, caller: Caller) -> object:
        await trio.sleep(0.02)
        return dict(params.arguments)

    async def hang(self, params: NoParams, caller: Caller) -> object:
        self.hanging.set()
        try:
            await self.go_on.wait()
            return "at last"
        finally:
            self.cancelled.set()

    def bug(self, params: NoParams, caller: Caller) -> object:
        raise ZeroDivisionError("a bug")

    async def away(self, params: NoParams, caller: Caller) -> object:
        raise KlippyAway("Klipper is away")

    def announce(self, params: Text, caller: Caller) -> object:
        self.audience.announce("notify_text", params.text)
        return "ok"

    def whence(self, params: NoParams, caller: Caller) -> object:
        return [self.doorkeeper.last.peer, self.doorkeeper.last.secure]

    def connection_id(self, params: NoParams, caller: Caller) -> object:
        assert caller.session is not None
        return {"websocket_id": caller.session.connection_id}

    def receive(self, caller: Caller, length: int | None) -> Upload:
        self.uploads.append(Upload(self, length))
        return self.uploads[-1]

    def download(self, params: AnyParams, caller: Caller) -> object:
        name = str(params.arguments["path"])
        return Download(self.folder / name, name)


@dataclass
class Running:
    """A front that listens."""

    world: World
    front: Front
    port: int
    unix_socket: Path

    ended: trio.Event = field(default_factory=trio.Event)
    streams: list[trio.SocketStream] = field(default_factory=list)

    tls_port: int = 0
    secure: bool = False
    """Whether `connect` speaks TLS."""

    async def connect(self) -> trio.SocketStream | trio.SSLStream[trio.SocketStream]:
        """A connection that is closed with the front at the latest."""
        return await self.connect_tls() if self.secure else await self.connect_tcp(self.port)

    async def connect_tcp(self, port: int) -> trio.SocketStream:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        self.streams.append(stream)
        return stream

    async def connect_tls(self, *protocols: str) -> trio.SSLStream[trio.SocketStream]:
        stream = await self.connect_tcp(self.tls_port)
        context = client_context()
        if protocols:
            context.set_alpn_protocols(protocols)
        secured = trio.SSLStream(stream, context, server_hostname="127.0.0.1", https_compatible=True)
        await secured.do_handshake()
        return secured

    async def connect_unix(self) -> trio.SocketStream:
        stream = await trio.open_unix_socket(str(self.unix_socket))
        self.streams.append(stream)
        return stream


@asynccontextmanager
async def open_front(
    folder: Path, settings: FrontSettings | None = None, unix_socket: Path | None = None
) -> AsyncIterator[Running]:
    """A front in front of a new world, until the block is left."""
    world = World(folder)
    settings = replace(settings or FrontSettings(limits=QUICK), host="127.0.0.1", port=0, ssl_port=0)
    unix_socket = unix_socket or folder / "moon.sock"
    front = Front(
        settings,
        world.registry,
        world.jsonrpc,
        world.audience,
        world.doorkeeper,
        unix_socket=unix_socket,
        session_ended=lambda session: world.session_ended.set(),
    )
    async with trio.open_nursery() as nursery:
        ended = trio.Event()

        async def run(*, task_status: trio.TaskStatus[list[str]]) -> None:
            await front.run(task_status=task_status)
            ended.set()

        addresses: list[str] = await nursery.start(run)
        ports = [int(address.rpartition(":")[2]) for address in addresses if not address.startswith("unix:")]
        running = Running(world, front, ports[0], unix_socket, ended, tls_port=ports[-1])
        yield running
        nursery.cancel_scope.cancel()
    for stream in running.streams:
        trio.lowlevel.notify_closing(stream.socket)
        stream.socket.close()


@dataclass
class HttpReply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class HttpClient:
    """One keep-alive connection, byte for byte."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.buffer = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def reply(self, verb: str = "GET") -> HttpReply:
        with trio.fail_after(10):
            while b"\r\n\r\n" not in self.buffer:
                await self._more()
            head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:])}
            status = int(lines[0].split()[1])
            if headers.get("transfer-encoding") == "chunked":
                raise AssertionError("no answer is chunked")
            size = 0 if verb == "HEAD" or status in (204, 304) or status < 200 else int(headers["content-length"])
            while len(self.buffer) < size:
                await self._more()
            body, self.buffer = self.buffer[:size], self.buffer[size:]
        return HttpReply(status, headers, body)

    async def ask(
        self, verb: str, target: str, body: bytes = b"", more: Mapping[str, str] = NONE, **headers: str
    ) -> HttpReply:
        lines = {"host": "127.0.0.1", **more, **{k.replace("_", "-"): v for k, v in headers.items()}}
        if body:
            lines["content-length"] = str(len(body))
        head = f"{verb} {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n"
        await self.send(head.encode("latin-1") + body)
        return await self.reply(verb)

    async def closed(self) -> bool:
        """Whether the server ends the connection (within ten seconds)."""
        with trio.move_on_after(10):
            try:
                while await self.stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass
            return True
        return False

    async def _more(self) -> None:
        data = await self.stream.receive_some(65536)
        if not data:
            raise EOFError("the server has closed the connection")
        self.buffer += data


class WsClient:
    """A websocket, frame for frame."""

    def __init__(self, http: HttpClient) -> None:
        self.http = http

    @classmethod
    async def open(cls, running: Running, path: str = "/websocket", **headers: str) -> WsClient:
        http = HttpClient(await running.connect())
        reply = await http.ask("GET", path, more={**UPGRADE, **headers})
        assert reply.status == 101, reply
        return cls(http)

    async def send(self, payload: bytes | str, opcode: int = 1, *, fin: bool = True) -> None:
        await self.http.send(client_frame(payload, opcode, fin=fin))

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: its opcode and payload."""
        with trio.fail_after(10):
            head = await self._take(2)
            size = head[1] & 127
            if size == 126:
                size = int.from_bytes(await self._take(2), "big")
            elif size == 127:
                size = int.from_bytes(await self._take(8), "big")
            return head[0] & 15, await self._take(size)

    async def message(self) -> Any:
        opcode = 9
        while opcode == 9:
            opcode, payload = await self.frame()
        assert opcode == 1, (opcode, payload)
        return json.loads(payload)

    async def call(self, method: str, call_id: int = 1, **params: object) -> Any:
        await self.send(json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": call_id}))
        while True:
            message = await self.message()
            if message.get("id") == call_id:
                return message

    async def close_code(self) -> int:
        """The code of the close frame that comes."""
        while True:
            opcode, payload = await self.frame()
            if opcode == 8:
                return int(struct.unpack("!H", payload[:2])[0])

    async def _take(self, size: int) -> bytes:
        while len(self.http.buffer) < size:
            await self.http._more()
        data, self.http.buffer = self.http.buffer[:size], self.http.buffer[size:]
        return data


UPGRADE = {
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": base64.b64encode(b"0123456789abcdef").decode(),
}


def client_frame(
    payload: bytes | str, opcode: int = 1, *, fin: bool = True, mask: bytes = b"\x11\x22\x33\x44"
) -> bytes:
    data = payload.encode() if isinstance(payload, str) else payload
    size = len(data)
    if size < 126:
        head = bytes((0x80 * fin | opcode, 0x80 | size))
    elif size < 65536:
        head = bytes((0x80 * fin | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 * fin | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    return head + mask + bytes(byte ^ mask[i & 3] for i, byte in enumerate(data))


def multipart(*parts: tuple[str, str | None, bytes], boundary: str = "moonboundary") -> tuple[bytes, str]:
    """A body and its content type; parts are (name, filename or None, data)."""
    body = b""
    for name, filename, data in parts:
        extra = "" if filename is None else f'; filename="{filename}"'
        body += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'.encode() + data + b"\r\n"
        )
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


async def all_that_comes(stream: trio.abc.Stream) -> bytes:
    """What the server says until it ends the connection or falls silent."""
    return await _heard(stream, trio.move_on_after(0.4))


async def said_at_the_end(stream: trio.abc.Stream) -> bytes:
    """Everything up to the end, which must come."""
    return await _heard(stream, trio.fail_after(10))


async def _heard(stream: trio.abc.Stream, within: AbstractContextManager[trio.CancelScope]) -> bytes:
    heard = b""
    with within, suppress(trio.BrokenResourceError):
        while data := await stream.receive_some():
            heard += data
    return heard


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` in pieces, cut at these places (modulo its length)."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(places)]
