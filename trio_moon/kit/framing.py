"""Frames that end in one byte (0x03 on Klipper's and Moonraker's unix sockets), however the bytes are split."""

from __future__ import annotations

ETX = b"\x03"


class FrameSplitter:
    """Bytes in, whole frames out. A frame above `limit` bytes is dropped up to its end and counted in `oversized`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._dropping = False
        self.oversized = 0

    @property
    def pending_bytes(self) -> int:
        """Bytes of the frame that has begun but not ended."""
        return self._size

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that `data` completes, in order, without their end byte."""
        if not self._parts and not self._dropping and data.endswith(ETX):  # the usual case: whole frames
            frames = data[:-1].split(ETX)
            return frames if len(data) <= self._limit else self._within_limit(frames)
        *ended, rest = data.split(ETX)
        frames = []
        for piece in ended:
            frame = self._end_frame(piece)
            if frame is not None:
                frames.append(frame)
        if rest:
            self._hold(rest)
        return frames

    def _hold(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._limit:
            self._dropping = True
        if self._dropping:
            self._parts.clear()
        else:
            self._parts.append(piece)

    def _end_frame(self, piece: bytes) -> bytes | None:
        self._hold(piece)
        frame = None if self._dropping else b"".join(self._parts)
        self.oversized += self._dropping
        self._parts.clear()
        self._size, self._dropping = 0, False
        return frame

    def _within_limit(self, frames: list[bytes]) -> list[bytes]:
        kept = [frame for frame in frames if len(frame) <= self._limit]
        self.oversized += len(frames) - len(kept)
        return kept
