"""`/klippysocket`: a websocket put through to Klipper's own socket, each on a connection of its own.

For diagnostics that stream much (`dump_stepper`, `dump_adxl345`): messages pass as they are, without being read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import trio

from trio_moon.kit.framing import ETX, FrameSplitter
from trio_moon.model.errors import KlippyAway, Unauthorized
from trio_moon.rpc.caller import Caller
from trio_moon.web.frames import frame_text
from trio_moon.web.sessions import NoRoom
from trio_moon.web.settings import Limits
from trio_moon.web.talk import Talk

CONNECT_TIMEOUT = 2.0
READ_SIZE = 65536


class Bridge:
    """Connects to Klipper for those who may, a few at a time."""

    def __init__(self, klippy_socket: Path | None, limits: Limits) -> None:
        self._path = klippy_socket
        self._limits = limits
        self._taken = 0
        self._lines: set[Line] = set()

    @asynccontextmanager
    async def to_klipper(self, caller: Caller) -> AsyncIterator[trio.SocketStream]:
        """A connection to Klipper. Raises Unauthorized, NoRoom, and KlippyAway."""
        if not caller.authorized:
            raise Unauthorized("Unauthorized: the bridge to Klipper needs a key, a token, or a trusted network")
        if self._taken >= self._limits.bridges:
            raise NoRoom("all bridges to Klipper are taken")
        self._taken += 1
        try:
            async with await self._connect() as stream:
                yield stream
        finally:
            self._taken -= 1

    async def _connect(self) -> trio.SocketStream:
        try:
            with trio.fail_after(CONNECT_TIMEOUT):
                return await trio.open_unix_socket(str(self._path))
        except (OSError, trio.TooSlowError):
            raise KlippyAway("Klipper is not connected: there is nobody to put you through to") from None

    @contextmanager
    def line(self, talk: Talk, stream: trio.SocketStream) -> Iterator[Line]:
        """The line between a client and Klipper, until the block is left."""
        line = Line(talk, stream, self._limits)
        self._lines.add(line)
        try:
            yield line
        finally:
            self._lines.discard(line)

    def take_leave(self) -> None:
        """The service goes: tell everybody."""
        for line in tuple(self._lines):
            line.talk.take_leave(True)


class Line:
    """One client's messages to Klipper, and Klipper's to the client."""

    def __init__(self, talk: Talk, stream: trio.SocketStream, limits: Limits) -> None:
        self.talk = talk
        self._stream = stream
        self._limits = limits
        self._said = b""

    def hear(self, messages: list[bytes | str]) -> bool:
        """Keep what the client says, for `caught_up` to pass on."""
        self._said = b"".join(text.encode() + ETX if isinstance(text, str) else text + ETX for text in messages)
        return False

    async def caught_up(self) -> None:
        """Pass on what the client said; a Klipper that doesn't listen ends the line."""
        try:
            with trio.fail_after(self._limits.no_progress):
                await self._stream.send_all(self._said)
        except trio.TooSlowError:
            self.talk.end(1013, "Klipper doesn't listen")
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.talk.end(1001, "Klipper has gone")

    async def tell(self) -> None:
        """Pass on what Klipper says, as fast as the client reads."""
        splitter = FrameSplitter(self._limits.message_bytes)
        outlet = self.talk.outlet
        try:
            while data := await self._stream.receive_some(READ_SIZE):
                frames = splitter.feed(data)
                if frames:
                    outlet.write(b"".join(map(frame_text, frames)))
                if outlet.crowded:
                    await outlet.drained()
        except trio.BrokenResourceError:
            pass
        self.talk.end(1001, "Klipper has gone")
