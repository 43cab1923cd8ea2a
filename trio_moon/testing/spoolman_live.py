"""One open websocket of MockSpoolman: events out, pings both ways, and the ways it can go wrong."""

import json
import os

import trio
import wsproto
import wsproto.events
from wsproto.frame_protocol import CloseReason

from trio_moon.testing.spoolman_wire import ClientLeft, Wire

OUTGOING_FRAMES = 10_000
LAST_FRAMES_WITHIN = 1.0
HEALTHY_AFTER = 0.5
"""The real one looks at what clients say twice a second."""
HEALTHY = json.dumps({"status": "healthy"}, separators=(",", ":"))
PING_FRAME = b"\x89\x04moon"


class LiveSocket:
    """An accepted websocket; every method acts at once and may be called by tests and faults."""

    def __init__(self, wire: Wire, protocol: wsproto.WSConnection, topic: tuple[str, ...]) -> None:
        self.topic = topic
        """What it listens to: (), ("spool",) or ("spool", "1")."""
        self.pings_while_closing = 0
        """So many pings are sent between the client's close and the answer to it."""
        self.received: list[str] = []
        """Every text that the client sent."""
        self._wire = wire
        self._protocol = protocol
        self._muted = False
        self._closing = False
        self._send_frames, self._receive_frames = trio.open_memory_channel[bytes](OUTGOING_FRAMES)
        self._send_asked, self._receive_asked = trio.open_memory_channel[None](OUTGOING_FRAMES)
        self._ponged = trio.Event()

    # what tests and faults may do

    def send_text(self, text: str) -> None:
        """Send a text message."""
        if not (self._muted or self._closing):
            self._put(self._protocol.send(wsproto.events.TextMessage(data=text)))

    def send_raw(self, data: bytes) -> None:
        """Send bytes past the websocket protocol."""
        self._put(data)

    def ping(self) -> None:
        """Send a ping now."""
        if not (self._muted or self._closing):
            self._put(self._protocol.send(wsproto.events.Ping(payload=os.urandom(4))))

    def mute(self) -> None:
        """From now on say nothing: no events, no pings, no pongs, no close. The connection stays."""
        self._muted = True

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin closing; the connection ends when the client answers."""
        if not (self._muted or self._closing):
            self._closing = True
            self._put(self._protocol.send(wsproto.events.CloseConnection(code=code, reason=reason)))

    def reset(self) -> None:
        """Drop the connection with a TCP reset."""
        self._closing = True
        self._wire.reset()

    # its life

    async def run(self, first: bytes, ping_every: float, pong_within: float) -> None:
        """Serve this websocket until either side has left."""
        async with trio.open_nursery() as writer:
            writer.start_soon(self._write)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._answer_texts)
                nursery.start_soon(self._keep_pinging, ping_every, pong_within)
                await self._read(first)
                nursery.cancel_scope.cancel()
            self._closing = True
            self._send_frames.close()
            writer.cancel_scope.deadline = trio.current_time() + LAST_FRAMES_WITHIN

    async def _read(self, data: bytes) -> None:
        while True:
            if data:
                try:
                    self._protocol.receive_data(data)
                    if any([self._handle(event) for event in self._protocol.events()]):
                        return
                except wsproto.utilities.RemoteProtocolError:
                    return
            if not (data := await self._wire.receive()):
                return

    def _handle(self, event: wsproto.events.Event) -> bool:
        """Handle what the client said; true when it was the last thing."""
        if isinstance(event, wsproto.events.TextMessage):
            self.received.append(event.data)
            if event.data and event.message_finished:
                self._send_asked.send_nowait(None)
        elif isinstance(event, wsproto.events.Pong):
            self._ponged.set()
        elif isinstance(event, wsproto.events.Ping) and not self._muted:
            self._put(self._protocol.send(event.response()))
        elif isinstance(event, wsproto.events.CloseConnection) and not self._muted:
            self._answer_close(event)
            return True
        return False

    def _answer_close(self, event: wsproto.events.CloseConnection) -> None:
        self._put(PING_FRAME * self.pings_while_closing)
        if not self._closing:
            self._put(self._protocol.send(event.response()))
        self._closing = True

    async def _write(self) -> None:
        async for data in self._receive_frames:
            try:
                await self._wire.send(data)
            except ClientLeft:
                return

    async def _answer_texts(self) -> None:
        async for _ in self._receive_asked:
            await trio.sleep(HEALTHY_AFTER)
            self.send_text(HEALTHY)

    async def _keep_pinging(self, ping_every: float, pong_within: float) -> None:
        while True:
            await trio.sleep(ping_every)
            self._ponged = trio.Event()
            self.ping()
            with trio.move_on_after(pong_within) as wait:
                await self._ponged.wait()
            if wait.cancelled_caught:
                self.close(CloseReason.INTERNAL_ERROR, "keepalive ping timeout")
                return

    def _put(self, data: bytes) -> None:
        try:
            self._send_frames.send_nowait(data)
        except trio.WouldBlock:
            self.reset()
        except trio.ClosedResourceError:
            return
