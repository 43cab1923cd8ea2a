"""MockSpoolman's side of one TCP connection: HTTP/1.1 requests, one of which may become a websocket."""

import re
from contextlib import AbstractContextManager
from ssl import SSLContext
from typing import Protocol

import h11
import trio
import wsproto
from wsproto.utilities import RemoteProtocolError

from trio_moon.testing.spoolman_faults import Fault, LiveFault
from trio_moon.testing.spoolman_live import LiveSocket
from trio_moon.testing.spoolman_messages import Answer, Request, split_target
from trio_moon.testing.spoolman_wire import ClientLeft, Exchange, Wire

LIVE_PATH = re.compile(r"/(?:(spool|filament|vendor|setting)(?:/([^/]+))?)?\Z")
PAGE = Answer(body=b"<!doctype html><title>Spoolman</title>", content_type="text/html; charset=utf-8")
NOT_FOUND = Answer.of_json({"detail": "Not Found"}, 404)
REFUSED_HANDSHAKE = Answer(status=403, content_type="text/plain; charset=utf-8")
LARGEST_HEAD_BYTES = 65536


class Server(Protocol):
    """What a connection needs of its server."""

    base_path: str
    tls: SSLContext | None
    ping_every: float
    pong_within: float
    keep_alive: float

    def note(self, request: Request) -> None: ...

    def listening(self, live: LiveSocket) -> AbstractContextManager[None]: ...

    def find_fault(self, request: Request) -> Fault | None: ...

    def refusal(self, request: Request) -> Answer | None: ...

    def answer(self, request: Request) -> Answer: ...


class Connection:
    """Serves one client until it leaves, a fault cuts it off, or it has been idle for too long."""

    def __init__(self, server: Server, stream: trio.SocketStream) -> None:
        self._server = server
        self._wire = Wire(stream, server.tls)
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_HEAD_BYTES)
        self._head: h11.Request | None = None
        self._broke = False
        """The real one's server hangs up, unannounced, after an answer of 500."""

    async def run(self) -> None:
        try:
            while (request := await self._next_request()) is not None and await self._serve(request):
                self._http.start_next_cycle()
        except (ClientLeft, h11.RemoteProtocolError):
            return
        finally:
            await self._wire.close()

    async def _next_request(self) -> Request | None:
        self._head, body = None, bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                await self._feed()
            elif isinstance(event, h11.Request):
                self._head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and self._head is not None:
                return self._request(self._head, bytes(body))
            else:
                return None

    async def _feed(self) -> None:
        if self._http.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[])
            await self._wire.send(self._http.send(go_on) or b"")
        data = b""
        with trio.move_on_after(self._server.keep_alive if self._head is None else float("inf")):
            data = await self._wire.receive()
        self._http.receive_data(data)

    def _request(self, head: h11.Request, body: bytes) -> Request:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        is_live = headers.get("upgrade", "").lower() == "websocket"
        target = head.target.decode("latin-1")
        path, _ = split_target(target, self._server.base_path)
        method = "WS" if is_live else head.method.decode("latin-1")
        return Request(method=method, path=path, target=target, headers=headers, body=body)

    async def _serve(self, request: Request) -> bool:
        """Answer one request; true when the connection may carry another."""
        live_side = None
        if request.method == "WS" and self._head is not None:
            live_side = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
            try:
                live_side.initiate_upgrade_connection(list(self._head.headers), self._head.target)
            except RemoteProtocolError:
                await self._wire.send(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                return False
        fault = self._server.find_fault(request) or Fault()
        self._server.note(request)
        exchange = Exchange(request, self._wire, self._apply, self._http, live_side)
        await fault.strike(exchange)
        if exchange.finished and exchange.accepted and live_side is not None:
            await self._live(request, live_side, fault)
            return False
        return exchange.finished and not self._broke and self._http.our_state is h11.DONE

    def _apply(self, request: Request) -> Answer:
        if (refusal := self._server.refusal(request)) is not None:
            return refusal
        _, in_api = split_target(request.target, self._server.base_path)
        if request.method == "WS":
            fits = in_api and LIVE_PATH.match(request.path) and "origin" not in request.headers
            return Answer(status=101) if fits else REFUSED_HANDSHAKE
        if in_api:
            answer = self._server.answer(request)
            self._broke = answer.status == 500
            return answer
        return PAGE if request.path.startswith(self._server.base_path or "/") else NOT_FOUND

    async def _live(self, request: Request, live_side: wsproto.WSConnection, fault: Fault) -> None:
        match = LIVE_PATH.match(request.path)
        topic = tuple(part for part in match.groups() if part is not None) if match else ()
        live = LiveSocket(self._wire, live_side, topic)
        if isinstance(fault, LiveFault):
            fault.begin(live)
        with self._server.listening(live):
            async with trio.open_nursery() as nursery:
                if isinstance(fault, LiveFault):
                    nursery.start_soon(fault.play, live)
                first, _ = self._http.trailing_data
                await live.run(first, self._server.ping_every, self._server.pong_within)
                nursery.cancel_scope.cancel()
