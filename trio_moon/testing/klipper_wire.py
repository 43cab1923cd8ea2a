"""Frames on a stream: JSON ended by 0x03, sent in order by one task per client, with the faults of a wire."""

import json
from collections.abc import Callable

import trio

from trio_moon.testing.klipper_faults import Faults

END = b"\x03"
UNRESPONSIVE_AFTER = 5.0  # Klipper closes a client that does not read for so long


class Connection:
    """One client of the simulated Klipper."""

    def __init__(self, stream: trio.abc.Stream, faults: Faults) -> None:
        self._stream = stream
        self._faults = faults
        self._outgoing = bytearray()
        self._some = trio.Event()
        self._empty = trio.Event()
        self.closed = False

    def send(self, message: object) -> None:
        """Queue a frame; NaN is written as Python's json does, like Klipper."""
        self.send_bytes(json.dumps(message, separators=(",", ":")).encode() + END)

    def send_bytes(self, data: bytes) -> None:
        """Queue anything at all."""
        if not self.closed:
            self._outgoing += data
            self._some.set()

    async def run(self, receive: Callable[["Connection", bytes], None]) -> None:
        """Serve until either side closes; `receive` gets each frame without its end byte."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                await self._read(receive)
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client is gone, or we have cut it
        finally:
            self.closed = True
            await trio.aclose_forcefully(self._stream)

    async def _read(self, receive: Callable[["Connection", bytes], None]) -> None:
        partial = b""
        while True:
            data = await self._stream.receive_some(4096)
            await self._faults.pass_while("silent", "stop_reading")
            if not data:
                return
            *frames, partial = (partial + data).split(END)
            for frame in frames:
                receive(self, frame)

    async def _write(self) -> None:
        while True:
            await self._some.wait()
            await self._faults.pass_while("silent")
            if self._faults.hold_frames:
                await trio.sleep(self._faults.hold_frames)
            data = bytes(self._outgoing)
            with trio.move_on_after(UNRESPONSIVE_AFTER) as patience:
                await self._send(data)
            if patience.cancelled_caught:
                return await self.cut()
            del self._outgoing[: len(data)]
            if not self._outgoing:
                self._some = trio.Event()
                self._empty.set()
                self._empty = trio.Event()

    async def _send(self, data: bytes) -> None:
        if not self._faults.split_frames:
            return await self._stream.send_all(data)
        for index in range(len(data)):
            await self._stream.send_all(data[index : index + 1])

    async def flush(self) -> None:
        """Give what is queued a moment to leave."""
        with trio.move_on_after(1.0):
            if self._outgoing and not self.closed:
                await self._empty.wait()

    async def cut(self) -> None:
        """Close at once, whatever is queued."""
        self.closed = True
        await trio.aclose_forcefully(self._stream)
