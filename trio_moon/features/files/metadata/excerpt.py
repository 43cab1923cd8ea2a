"""The head and the tail of a G-code file: all that slicers write about a print is there, however long it is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import cached_property

READ_BYTES = 1 << 20
"""Of each end. Configurations take up to some hundred kB, pictures the same."""

LONGEST_LINE = 1000
"""Characters of a line that patterns are searched in: a file that is one long line must not cost a minute."""

Said = dict[str, str]
"""What comments say: the first value of each key."""

_COMMAND = re.compile(rb"\n[MG]\d+\s.*\n")
_DNAMMOC = re.compile(rb"\n.*\s\d+[MG]\n")


class Excerpt:
    """Both ends as text. Of a short file both are the same and the whole."""

    def __init__(self, head: bytes, tail: bytes, size: int) -> None:
        self._head_bytes = head
        self._tail_bytes = tail
        self.size = size
        self.head, self.head_comments = _read(head)
        self.tail, self.tail_comments = (self.head, self.head_comments) if tail is head else _read(tail)
        """Comments are whole lines that begin with a semicolon, here without it."""

    @classmethod
    def read(cls, descriptor: int, size: int) -> Excerpt:
        """Read an open file of this size; where it is read to is left alone."""
        head = os.pread(descriptor, READ_BYTES, 0)
        tail = head if size <= READ_BYTES else os.pread(descriptor, READ_BYTES, size - READ_BYTES)
        return cls(head, tail, size)

    @cached_property
    def head_settings(self) -> Said:
        """`; key = value` in the head."""
        return said(self.head_comments, "=")

    @cached_property
    def tail_settings(self) -> Said:
        """`; key = value` in the tail."""
        return said(self.tail_comments, "=")

    @property
    def first_command_at(self) -> int | None:
        """The offset in bytes where the first command begins."""
        match = _COMMAND.search(self._head_bytes)
        return match.start() if match else None

    @property
    def last_command_until(self) -> int | None:
        """The offset in bytes where the last command has ended."""
        match = _DNAMMOC.search(self._tail_bytes[::-1])
        return self.size - match.start() if match else None


def _read(data: bytes) -> tuple[str, list[str]]:
    text = data.decode(errors="ignore").replace("\r\n", "\n")
    lines = text.split("\n")
    comments = [line[1:].strip() for line in lines if line.startswith(";")]
    if max(map(len, lines)) > LONGEST_LINE:
        text = "\n".join(line[:LONGEST_LINE] for line in lines)
    return text, comments


def said(comments: Iterable[str], separator: str) -> Said:
    """What comments of the form `key <separator> value` say; the first one counts."""
    found: Said = {}
    for comment in comments:
        key, separates, value = comment.partition(separator)
        if separates:
            found.setdefault(key.rstrip(), value.strip())
    return found
