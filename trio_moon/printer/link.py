"""One connection to Klipper's unix socket: bytes in, messages out. It never waits for anybody downstream."""

from __future__ import annotations

import logging
import socket
from collections import deque
from collections.abc import Callable
from pathlib import Path

import trio

from trio_moon.kit.connect import PeerLost
from trio_moon.kit.framing import FrameSplitter
from trio_moon.kit.periodic import beat_early
from trio_moon.kit.readable import whenever_readable
from trio_moon.model.errors import KlippyAway
from trio_moon.printer.codec import MAX_FRAME_BYTES, BadFrame, Message, StatusMessage, parse

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT = 5.0
MAX_UNSENT = 2048
READ_BYTES = 64 * 1024


class KlippyLink:
    """A connected socket. What Klipper doesn't read at once waits in a bounded queue."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._unsent: deque[bytes] = deque()
        self._some_unsent = trio.Event()
        self._ended = False

    @property
    def unsent(self) -> int:
        """Requests that Klipper hasn't read yet."""
        return len(self._unsent)

    def send(self, frame: bytes) -> None:
        """Send a frame, or queue it; KlippyAway when Klipper has stopped reading."""
        if self._ended:
            raise KlippyAway("the connection to Klipper has ended")
        if not self._unsent:
            sent = self._send_now(frame)
            if sent == len(frame):
                return
            frame = frame[sent:]
        elif len(self._unsent) >= MAX_UNSENT:
            raise KlippyAway("Klipper is not reading its socket")
        self._unsent.append(frame)
        self._some_unsent.set()

    def _send_now(self, frame: bytes) -> int:
        try:
            return self._sock.send(frame)
        except BlockingIOError:
            return 0
        except OSError:
            return len(frame)  # the reader sees the end too, and says why

    async def write_all(self) -> None:
        """Write what had to be queued, until cancelled."""
        while True:
            await self._some_unsent.wait()
            while self._unsent:
                await trio.lowlevel.wait_writable(self._sock)
                frame = self._unsent[0]
                sent = self._send_now(frame)
                if sent < len(frame):
                    self._unsent[0] = frame[sent:]
                else:
                    self._unsent.popleft()
            self._some_unsent = trio.Event()

    async def read_all(self, handle: Callable[[Message | StatusMessage], None]) -> None:
        """Hand every message to `handle` until the connection ends, which raises PeerLost.

        Bad frames are skipped; the log gets one line for the first of a connection.
        """
        splitter = FrameSplitter(MAX_FRAME_BYTES)
        skipped = ""

        def read() -> bool:
            nonlocal skipped
            for frame in splitter.feed(self._receive_now()):
                try:
                    message = parse(frame)
                except BadFrame as error:
                    skipped = skipped or _note_skipped(str(error))
                    continue
                handle(message)
            beat_early()
            if splitter.oversized:
                skipped = skipped or _note_skipped(f"it is longer than {MAX_FRAME_BYTES // 2**20} MiB")
            return False

        await whenever_readable(self._sock, read)

    def _receive_now(self) -> bytes:
        """What is there; b"" if it was a false alarm."""
        try:
            data = self._sock.recv(READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise PeerLost(f"the connection broke: {error.strerror or error}") from None
        if not data:
            raise PeerLost("Klipper closed the connection")
        return data

    def close(self) -> None:
        self._ended = True
        trio.lowlevel.notify_closing(self._sock)
        self._sock.close()


def _note_skipped(why: str) -> str:
    logger.warning("skipped a frame from Klipper: %s", why)
    return why


async def open_link(path: Path) -> KlippyLink:
    """Connect to Klipper's socket; PeerLost with the reason if that fails."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        with trio.fail_after(CONNECT_TIMEOUT):
            await _connect(sock, path)
    except BaseException as error:
        sock.close()
        if isinstance(error, FileNotFoundError):
            raise PeerLost(f"there is no socket at {path}: is Klipper running?") from None
        if isinstance(error, trio.TooSlowError):
            raise PeerLost(f"{path} doesn't accept connections") from None
        if isinstance(error, OSError):
            raise PeerLost(f"{path}: {error.strerror or error}") from None
        raise
    return KlippyLink(sock)


async def _connect(sock: socket.socket, path: Path) -> None:
    """A unix socket connects at once; one whose queue is full says EAGAIN, and wants to be asked again."""
    while True:
        try:
            sock.connect(str(path))
        except BlockingIOError:
            await trio.sleep(0.05)
        else:
            return
