"""Websocket frames of any kind, read by wsproto: fragments, binary, large or wrong ones, closes with a reason."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import cast

from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, ParseFailed, RsvBits

from trio_moon.web.frames import CLOSE, TEXT, Piece, Violation


class ThoroughReader:
    """Bytes of a client in, pieces of messages and control frames out."""

    def __init__(self, check_size: Callable[[int], None]) -> None:
        self._protocol = FrameProtocol(client=False, extensions=[_SizeCheck(check_size)])

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


class _SizeCheck(Extension):
    """wsproto shows the headers of frames to extensions only."""

    def __init__(self, check_size: Callable[[int], None]) -> None:
        self._check_size = check_size

    def offer(self) -> bool:
        return False

    def enabled(self) -> bool:
        return True

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> RsvBits:
        if not opcode.iscontrol():
            self._check_size(payload_length)
        return RsvBits(False, False, False)
