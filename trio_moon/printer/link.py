"""One connection to Klipper's unix socket: bytes in, messages out. It never waits for anybody downstream."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import trio

from trio_moon.kit.connect import PeerLost
from trio_moon.kit.framing import FrameSplitter
from trio_moon.model.errors import KlippyAway
from trio_moon.printer.codec import MAX_FRAME_BYTES, BadFrame, Message, parse

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT = 5.0
MAX_UNSENT = 2048
READ_BYTES = 256 * 1024


class KlippyLink:
    """A connected socket with its outgoing queue."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        # bounded by MAX_UNSENT: beyond it Klipper doesn't read, and callers are told so
        self._send_out, self._receive_out = trio.open_memory_channel[bytes](MAX_UNSENT)

    @property
    def unsent(self) -> int:
        """Requests that Klipper hasn't read yet."""
        return self._send_out.statistics().current_buffer_used

    def send(self, frame: bytes) -> None:
        """Queue a frame; KlippyAway when Klipper has stopped reading."""
        try:
            self._send_out.send_nowait(frame)
        except trio.WouldBlock:
            raise KlippyAway("Klipper is not reading its socket") from None
        except trio.ClosedResourceError:
            raise KlippyAway("the connection to Klipper has ended") from None

    async def write_all(self) -> None:
        """Write what is queued until cancelled."""
        async for frame in self._receive_out:
            try:
                await self._stream.send_all(frame)
            except trio.BrokenResourceError:
                return  # the reader sees the end too, and says why

    async def read_all(self, handle: Callable[[Message], None]) -> None:
        """Hand every message to `handle` until the connection ends, which raises PeerLost.

        Bad frames are skipped; the log gets one line for the first of a connection.
        """
        splitter = FrameSplitter(MAX_FRAME_BYTES)
        skipped = False
        while True:
            try:
                data = await self._stream.receive_some(READ_BYTES)
            except trio.BrokenResourceError as error:
                raise PeerLost(f"the connection broke: {error.__cause__ or error}") from None
            if not data:
                raise PeerLost("Klipper closed the connection")
            for frame in splitter.feed(bytes(data)):
                try:
                    message = parse(frame)
                except BadFrame as error:
                    if not skipped:
                        logger.warning("skipped a frame from Klipper: %s", error)
                    skipped = True
                    continue
                handle(message)

    async def close(self) -> None:
        self._send_out.close()
        with trio.CancelScope(shield=True):  # closing a unix socket doesn't wait
            await self._stream.aclose()


async def open_link(path: Path) -> KlippyLink:
    """Connect to Klipper's socket; PeerLost with the reason if that fails."""
    try:
        with trio.fail_after(CONNECT_TIMEOUT):
            return KlippyLink(await trio.open_unix_socket(path))
    except FileNotFoundError:
        raise PeerLost(f"there is no socket at {path}: is Klipper running?") from None
    except trio.TooSlowError:
        raise PeerLost(f"{path} doesn't accept connections") from None
    except OSError as error:
        raise PeerLost(f"{path}: {error.strerror or error}") from None
