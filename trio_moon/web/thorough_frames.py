"""Websocket frames of any kind, read by wsproto: fragments, binary, large or wrong ones, closes with a reason."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import cast

from wsproto.frame_protocol import CloseReason, FrameProtocol, Opcode, ParseFailed

from trio_moon.web.frames import CLOSE, TEXT, Piece, Violation


class ThoroughReader:
    """Bytes of a client in, pieces of messages and control frames out."""

    def __init__(self) -> None:
        self._protocol = FrameProtocol(client=False, extensions=[])

    def feed(self, data: bytes) -> Iterator[Piece]:
        """What has come; nothing follows a close. Raises Violation."""
        try:
            self._protocol.receive_bytes(data)
            for frame in self._protocol.received_frames():
                if frame.opcode is Opcode.CLOSE:
                    code = int(cast("tuple[int, str]", frame.payload)[0])
                    code = 1000 if code == CloseReason.NO_STATUS_RCVD else code
                    yield CLOSE, struct.pack("!H", code), True
                    return
                opcode = TEXT if not frame.opcode.iscontrol() else int(frame.opcode)
                yield opcode, cast("bytes | str", frame.payload), frame.frame_finished and frame.message_finished
        except ParseFailed as error:
            raise Violation(int(error.code), str(error)) from None
