"""Websocket frames: what is sent, and the words for what comes."""

from __future__ import annotations

import struct

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA

Piece = tuple[int, bytes | str, bool]
"""`(opcode, payload, ended)` of a frame, or of a piece of a message; a close has its code in two bytes."""


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
