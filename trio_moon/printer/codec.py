"""Klipper's messages: JSON objects in frames that end in 0x03."""

from __future__ import annotations

import msgspec

from trio_moon.kit.framing import ETX
from trio_moon.kit.json_codec import NotJson, Raw, decode, encode
from trio_moon.kit.status_box import Status

MAX_FRAME_BYTES = 64 * 2**20
ABSENT = Raw(b"")


class BadFrame(ValueError):
    """A frame that is no message of Klipper's."""


class Message(msgspec.Struct):
    """One frame from Klipper: an answer (`id` with `result` or `error`) or a notification (`method`)."""

    id: int | None = None
    method: str | None = None
    params: Raw = ABSENT
    result: Raw = ABSENT
    error: Raw = ABSENT


class StatusUpdate(msgspec.Struct):
    """Objects with their (changed) fields, at a moment of Klipper's clock."""

    status: Status
    eventtime: float = 0.0


class StatusMessage(msgspec.Struct):
    """The notification that comes many times a second."""

    params: StatusUpdate


STATUS_METHOD = "process_status_update"
"""What we have Klipper call its updates."""

_STATUS_MARK = f'"{STATUS_METHOD}"'.encode()
_decode = msgspec.json.Decoder(Message).decode
_decode_status = msgspec.json.Decoder(StatusMessage).decode


def parse(frame: bytes) -> Message | StatusMessage:
    """The message in a frame; BadFrame if there is none. NaN and Infinity, which Python writes, become null."""
    try:
        if _STATUS_MARK in frame[:64]:
            return _decode_status(frame)
        if not frame.isascii():
            frame.decode()  # parts of it go to browsers undecoded: they must be UTF-8
        return _decode(frame)
    except UnicodeDecodeError as error:
        raise BadFrame(f"not UTF-8: {error}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        return _parse_leniently(frame, error)


def _parse_leniently(frame: bytes, reason: Exception) -> Message:
    try:
        value = decode(frame)
    except NotJson as error:
        raise BadFrame(str(error)) from None
    try:
        return _decode(encode(value))
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
        raise BadFrame(str(reason)) from None


def render(method: str, params: object, call_id: int) -> bytes:
    """A request as one frame."""
    return encode({"id": call_id, "method": method, "params": params}) + ETX
