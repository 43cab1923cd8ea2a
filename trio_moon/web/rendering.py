"""Answers as the bytes of HTTP/1.1."""

from __future__ import annotations

import time
from collections.abc import Mapping
from http import HTTPStatus

from trio_moon.kit.http_date import http_date
from trio_moon.web.answers import JSON_TYPE, Answer, error_answer

_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_JSON_HEAD = b"Content-Type: application/json; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"
_date: tuple[int, bytes] = (0, b"")

LONGEST_REASON = 200


def _date_line() -> bytes:
    global _date
    now = int(time.time())
    if now != _date[0]:
        _date = (now, f"Date: {http_date(now)}\r\n".encode())
    return _date[1]


def render(answer: Answer, *, keep_alive: bool, head_only: bool = False) -> bytes:
    """The bytes of an answer; of a file's answer only the head."""
    status, body = answer.status, answer.body
    line = _status_line(status, answer.reason)
    if status in (204, 304):
        about, body = b"", b""
    else:
        length = answer.file.length if answer.file is not None else len(body)
        about = b"Content-Length: %d\r\n%b" % (length, _type_lines(answer.content_type))
    if answer.headers or not keep_alive:
        about += _more_lines(answer.headers, keep_alive)
    return b"%b%b%b\r\n%b" % (line, _date_line(), about, b"" if head_only else body)


def _status_line(status: int, reason: str) -> bytes:
    if reason and len(reason) <= LONGEST_REASON and reason.isascii() and reason.isprintable():
        return f"HTTP/1.1 {status} {reason}\r\n".encode()
    return _LINES.get(status) or b"HTTP/1.1 %d Status %d\r\n" % (status, status)


def _type_lines(content_type: str) -> bytes:
    if content_type == JSON_TYPE:
        return _JSON_HEAD
    return f"Content-Type: {content_type}\r\nX-Content-Type-Options: nosniff\r\n".encode("latin-1", "replace")


def _more_lines(headers: Mapping[str, str], keep_alive: bool) -> bytes:
    text = "" if keep_alive else "Connection: close\r\n"
    for name, value in headers.items():
        text += f"{name}: {_clean(value)}\r\n"
    return text.encode("latin-1", "replace")


def _clean(value: str) -> str:
    return value.replace("\r", "").replace("\n", "")


TOO_SLOW = render(error_answer(408, "the request took too long"), keep_alive=False)
