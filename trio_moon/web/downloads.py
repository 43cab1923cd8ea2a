"""Files over HTTP: validators, ranges, content types. Opens files, sends nothing."""

from __future__ import annotations

import os
import re
import stat
from urllib.parse import quote

from msgspec import Struct

from trio_moon.kit.http_date import http_date, seconds_of
from trio_moon.model.errors import NotFound
from trio_moon.rpc.replies import Download
from trio_moon.rpc.request_head import RequestHead

TYPES = {
    ".gcode": "application/octet-stream",
    ".log": "text/plain; charset=utf-8",
    ".cfg": "text/plain; charset=utf-8",
    ".conf": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}


class FileSlice:
    """Bytes `start` to `start + length` of an open file."""

    __slots__ = ("descriptor", "length", "start")

    def __init__(self, descriptor: int, start: int, length: int) -> None:
        self.descriptor = descriptor
        self.start = start
        self.length = length

    def close(self) -> None:
        """Let go of the file; a second time does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __del__(self) -> None:
        self.close()  # an answer may be dropped on its way, by a client that leaves


class Opened(Struct):
    """A file as it was asked for."""

    status: int
    headers: dict[str, str]
    content_type: str = "application/octet-stream"
    file: FileSlice | None = None
    error: str | None = None


def open_download(head: RequestHead, download: Download) -> Opened:
    """Open the file and decide between 200, 206, 304, 412 and 416; NotFound if there is no such file."""
    try:
        descriptor = os.open(download.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError):
        raise NotFound(f"File not found: {download.filename}") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise NotFound(f"File not found: {download.filename}")
        opened = _decide(head, download, descriptor, found)
    except BaseException:
        os.close(descriptor)
        raise
    if opened.file is None:
        os.close(descriptor)
    return opened


def _decide(head: RequestHead, download: Download, descriptor: int, found: os.stat_result) -> Opened:
    etag = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
    modified = int(found.st_mtime)
    headers = {
        "ETag": etag,
        "Last-Modified": http_date(modified),
        "Accept-Ranges": "bytes",
        "Cache-Control": "no-cache",
    }
    wanted = head.headers
    if "if-match" in wanted and not _matches(wanted["if-match"], etag):
        return Opened(412, headers, error="the file has changed")
    if "if-none-match" in wanted:
        unchanged = _matches(wanted["if-none-match"], etag)
    else:
        unchanged = _not_after(modified, wanted.get("if-modified-since"))
    if unchanged:
        return Opened(304, headers)
    content_type = download.content_type or content_type_of(download.filename or download.path.name)
    if download.attachment:
        headers["Content-Disposition"] = _disposition(download.filename)
    start, length, status = 0, found.st_size, 200
    if "range" in wanted and head.verb == "GET" and _range_holds(wanted.get("if-range"), etag, modified):
        chosen = parse_range(wanted["range"], found.st_size)
        if chosen is not None:
            start, length = chosen
            if length <= 0:
                headers["Content-Range"] = f"bytes */{found.st_size}"
                return Opened(416, headers, error="the file is shorter than the range that was asked for")
            status = 206
            headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{found.st_size}"
    return Opened(status, headers, content_type, FileSlice(descriptor, start, length))


def parse_range(text: str, size: int) -> tuple[int, int] | None:
    """Start and length of a single byte range; length 0 if it lies outside, None if it is to be ignored."""
    match = re.fullmatch(r"bytes=\s*(\d*)-(\d*)\s*", text.strip(), re.ASCII)
    if match is None or match.groups() == ("", ""):
        return None
    first, last = ((digits.lstrip("0") or digits[:1])[:20] for digits in match.groups())
    if not first:
        length = min(int(last), size)
        return size - length, length
    start = int(first)
    end = min(int(last), size - 1) if last else size - 1
    if last and int(last) < start:
        return None
    return start, max(0, end - start + 1)


def content_type_of(filename: str) -> str:
    """The type that a file's ending stands for."""
    ending = os.path.splitext(filename)[1].lower()
    if ending in TYPES:
        return TYPES[ending]
    import mimetypes  # seldom needed

    return mimetypes.guess_type(filename)[0] or "application/octet-stream"


def _matches(header: str, etag: str) -> bool:
    return header.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in header.split(","))


def _not_after(modified: int, header: str | None) -> bool:
    if not header:
        return False
    try:
        return modified <= seconds_of(header)
    except (ValueError, OverflowError):
        return False


def _range_holds(condition: str | None, etag: str, modified: int) -> bool:
    if not condition:
        return True
    return condition == etag if condition.startswith(('"', "W/")) else _not_after(modified, condition)


def _disposition(filename: str) -> str:
    plain = re.sub(r"[^ !#-\[\]-~]", "_", filename)
    text = f'attachment; filename="{plain}"'
    return text if plain == filename else f"{text}; filename*=UTF-8''{quote(filename, safe='')}"
