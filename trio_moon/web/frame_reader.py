"""Websocket frames that come: plain ones are read here, all others by wsproto."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from trio_moon.web.frames import CLOSE, Piece, Violation

_FAREWELLS = (b"", b"\x03\xe8", b"\x03\xe9")
"""How clients leave: without a word, or with 1000 or 1001."""


class FrameReader:
    """Bytes of a client in, pieces of messages and control frames out.

    Short, whole, unfragmented texts are all that our clients send. Such frames are unmasked here, in a tenth of the
    time; the first frame that is anything else hands the connection to wsproto for good, which is loaded only then.
    """

    def __init__(self, check_size: Callable[[int], None]) -> None:
        """`check_size` refuses, by raising, what a large frame announces, before any of it comes."""
        self._check_size = check_size
        self._rest = b""
        self._read_thoroughly: Callable[[bytes], Iterator[Piece]] | None = None

    def whole_text(self, data: bytes) -> str | None:
        """The message, if `data` is exactly one plain text; else None, and `feed` has to look. Raises Violation."""
        size = len(data)
        if data[0] != 0x81 or self._rest or self._read_thoroughly is not None or _end_of_plain(data, 0, size) != size:
            return None
        text = _unmasked(data, 0, size)
        assert isinstance(text, str)
        return text

    def feed(self, data: bytes) -> Iterator[Piece]:
        """What has come; nothing follows a close. Raises Violation."""
        if self._read_thoroughly is None:
            if self._rest:
                data = self._rest + data
            at, size = 0, len(data)
            while at < size:
                end = _end_of_plain(data, at, size)
                if end == 0:
                    self._rest = data[at:]
                    return
                if end < 0:
                    from trio_moon.web.thorough_frames import ThoroughReader

                    self._read_thoroughly = ThoroughReader(self._check_size).feed
                    data = data[at:]
                    break
                payload = _unmasked(data, at, end)
                if data[at] == 0x88:
                    yield CLOSE, payload or b"\x03\xe8", True
                    return
                yield data[at] & 15, payload, True
                at = end
            self._rest = b""
        if self._read_thoroughly is not None and data:
            yield from self._read_thoroughly(data)


def _end_of_plain(data: bytes, at: int, size: int) -> int:
    """Where the plain frame at `at` ends; 0 while that isn't known, -1 if it is none."""
    if data[at] not in (0x81, 0x88, 0x89, 0x8A):
        return -1
    if size - at < 2:
        return 0
    length = data[at + 1] - 0x80
    if length < 126:
        end = at + 6 + length
        if length < 0 or (data[at] == 0x88 and end <= size and _unmasked(data, at, end) not in _FAREWELLS):
            return -1
        return end if end <= size else 0
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
