"""Where the body of a request ends: counted by its head, or in chunks. Bytes of a connection in, of the body out."""

from __future__ import annotations

import re

from trio_moon.web.request_parser import BadRequest, ParsedHead

MOST_CHUNK_LINE = 1024
"""The size of a chunk with its extensions, or one line of the trailers."""
MOST_TRAILERS = 8 * 1024
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")


class CountedBody:
    """As many bytes as Content-Length says."""

    __slots__ = ("announced", "rest", "size")

    def __init__(self, length: int) -> None:
        self.announced = length
        self.size = 0
        self.rest = b""
        """What came behind the body: the next request."""

    @property
    def length(self) -> int:
        """How big it is, if that is known."""
        return self.announced

    @property
    def ended(self) -> bool:
        """Whether all of it has come."""
        return self.size == self.announced

    def feed(self, data: bytes) -> bytes:
        """The bytes of the body that `data` holds."""
        left = self.announced - self.size
        if len(data) > left:
            self.rest += data[left:]
            data = data[:left]
        self.size += len(data)
        return data


class ChunkedBody:
    """Chunks, then trailers, which are thrown away. Stricter than it could be: nobody may read it differently."""

    __slots__ = ("_behind_chunk", "_chunk_left", "_held", "_trailers", "ended", "rest", "size")

    def __init__(self) -> None:
        self.size = 0
        self.ended = False
        self.rest = b""
        """What came behind the body: the next request."""
        self._held = b""
        self._chunk_left = 0
        self._behind_chunk = False
        self._trailers = -1

    @property
    def length(self) -> None:
        """How big it is, if that is known."""

    @property
    def announced(self) -> int:
        """How big it will be at least."""
        return self.size + self._chunk_left

    def feed(self, data: bytes) -> bytes:
        """The bytes of the body that `data` holds. Raises BadRequest for what isn't chunked properly."""
        if self.ended:
            self.rest += data
            return b""
        if self._held:
            data, self._held = self._held + data, b""
        found: list[bytes] = []
        at, end = 0, len(data)
        while at < end:
            if self._chunk_left:
                piece = data[at : at + self._chunk_left]
                found.append(piece)
                at += len(piece)
                self.size += len(piece)
                self._chunk_left -= len(piece)
                self._behind_chunk = self._chunk_left == 0
                continue
            if self._behind_chunk and data[at] != 13:
                raise BadRequest(400, "Malformed request: a chunk is longer than it says")
            line_end = data.find(b"\r\n", at, at + MOST_CHUNK_LINE)
            if line_end < 0:
                if end - at >= MOST_CHUNK_LINE or b"\n" in data[at:] or b"\r" in data[at : end - 1]:
                    raise BadRequest(400, "Malformed request: the chunks of the body can't be read")
                self._held = data[at:]
                break
            self.ended = self._is_last(data[at:line_end])
            at = line_end + 2
            if self.ended:
                self.rest = data[at:]
                break
        return found[0] if len(found) == 1 else b"".join(found)

    def _is_last(self, line: bytes) -> bool:
        """Read what stands between the bytes of the body: the end of a chunk, the size of one, a trailer."""
        if self._behind_chunk:
            if line:
                raise BadRequest(400, "Malformed request: a chunk is longer than it says")
            self._behind_chunk = False
        elif self._trailers < 0:
            size = _CHUNK_LINE.fullmatch(line)
            if size is None:
                raise BadRequest(400, "Malformed request: a chunk has no proper size")
            self._chunk_left = int(size[1], 16)
            if not self._chunk_left:
                self._trailers = 0
        else:
            self._trailers += len(line)
            if self._trailers > MOST_TRAILERS:
                raise BadRequest(431, f"the trailers of a request may have {MOST_TRAILERS} bytes")
            if line and _TRAILER.fullmatch(line) is None:
                raise BadRequest(400, "Malformed request: a trailer can't be read")
            return not line
        return False


Body = CountedBody | ChunkedBody


def body_of(parsed: ParsedHead) -> Body:
    """The body that this head announces; none is one of no bytes."""
    return ChunkedBody() if parsed.chunked else CountedBody(parsed.body_length)
