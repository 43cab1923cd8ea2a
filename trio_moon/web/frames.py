"""Websocket frames. What is sent is built here; what comes is read here if it is plain, else by wsproto."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import cast

from wsproto.frame_protocol import CloseReason, FrameProtocol, Opcode, ParseFailed

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA


def frame_text(payload: bytes) -> bytes:
    """One unmasked text message."""
    size = len(payload)
    if size < 126:
        return b"\x81" + bytes((size,)) + payload
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def frame_control(opcode: int, payload: bytes = b"") -> bytes:
    """A close, ping or pong."""
    return bytes((0x80 | opcode, len(payload))) + payload


def frame_close(code: int, reason: str) -> bytes:
    """The frame that says why; the reason is cut to what fits."""
    text = reason.encode()[:120].decode("utf-8", "ignore").encode()
    return frame_control(CLOSE, struct.pack("!H", code) + text)


class Violation(Exception):
    """The client doesn't keep to the protocol; `code` is what to close with."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class FrameReader:
    """Bytes of a client in, pieces of messages and control frames out.

    Short, whole, unfragmented texts are all that our clients send. Such frames are unmasked here, in a tenth of the
    time; the first frame that is anything else hands the connection to wsproto for good.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._protocol: FrameProtocol | None = None

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes | str, bool]]:
        """`(opcode, payload, ended)` for each frame or piece; a close has its code in two bytes. Raises Violation."""
        if self._protocol is None:
            if self._rest:
                data = self._rest + data
            at, size = 0, len(data)
            while at < size:
                end = _end_of_plain(data, at, size)
                if end == 0:
                    self._rest = data[at:]
                    return
                if end < 0:
                    self._protocol = FrameProtocol(client=False, extensions=[])
                    data = data[at:]
                    break
                yield data[at] & 15, _unmasked(data, at, end), True
                at = end
            self._rest = b""
        if self._protocol is not None and data:
            yield from _read_thoroughly(self._protocol, data)


def _end_of_plain(data: bytes, at: int, size: int) -> int:
    """Where the plain frame at `at` ends; 0 while that isn't known, -1 if it is none."""
    if data[at] not in (0x81, 0x89, 0x8A):
        return -1
    if size - at < 2:
        return 0
    length = data[at + 1] - 0x80
    if length < 126:
        end = at + 6 + length
        return -1 if length < 0 else end if end <= size else 0
    if length == 127 or data[at] != 0x81:
        return -1
    if size - at < 4:
        return 0
    length = data[at + 2] << 8 | data[at + 3]
    end = at + 8 + length
    return -1 if length < 126 else end if end <= size else 0


def _unmasked(data: bytes, at: int, end: int) -> bytes | str:
    start = at + (6 if data[at + 1] < 0xFE else 8)
    size = end - start
    mask = data[start - 4 : start] * (size // 4 + 1)
    plain = int.from_bytes(data[start:end], "little") ^ int.from_bytes(mask[:size], "little")
    payload = plain.to_bytes(size, "little")
    if data[at] != 0x81:
        return payload
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise Violation(1007, "the text is not valid UTF-8") from None


def _read_thoroughly(protocol: FrameProtocol, data: bytes) -> Iterator[tuple[int, bytes | str, bool]]:
    try:
        protocol.receive_bytes(data)
        for frame in protocol.received_frames():
            if frame.opcode is Opcode.CLOSE:
                code = int(cast("tuple[int, str]", frame.payload)[0])
                code = 1000 if code == CloseReason.NO_STATUS_RCVD else code
                yield CLOSE, struct.pack("!H", code), True
                return
            opcode = TEXT if not frame.opcode.iscontrol() else int(frame.opcode)
            yield opcode, cast("bytes | str", frame.payload), frame.frame_finished and frame.message_finished
    except ParseFailed as error:
        raise Violation(int(error.code), str(error)) from None
