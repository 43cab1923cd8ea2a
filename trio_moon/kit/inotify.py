"""Linux' inotify: the kernel tells what changes in folders. Nobody has to look, and no thread has to wait.

By ctypes, which Trio has loaded anyway: the libraries for it look up several times a second from a thread of theirs,
which was a tenth of what an idle service cost.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import NamedTuple

import trio

ATTRIBUTES, WRITTEN, MOVED_FROM, MOVED_TO, CREATED, DELETED = 0x4, 0x8, 0x40, 0x80, 0x100, 0x200
OVERFLOWED, FORGOTTEN, ONLY_FOLDERS = 0x4000, 0x8000, 0x0100_0000

WANTED = ATTRIBUTES | WRITTEN | MOVED_FROM | MOVED_TO | CREATED | DELETED | ONLY_FOLDERS
"""`WRITTEN` is said when the writer closes the file: one that grows doesn't wake us with every piece."""

_HEAD = struct.Struct("iIII")
_READ_BYTES = 64 * 1024


class Event(NamedTuple):
    """What happened to one entry of a watched folder."""

    watch: int
    flags: int
    name: bytes


class Inotify:
    """A queue of the kernel's; `close` it. OSError where there are too many of them or of watched folders."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._queue = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def add(self, folder: str) -> int:
        """Watch a folder (not what is below it); returns the number that its events bear."""
        return self._checked(self._libc.inotify_add_watch(self._queue, os.fsencode(folder), WANTED))

    def remove(self, watch: int) -> None:
        """Watch a folder no longer; it may be gone already."""
        self._libc.inotify_rm_watch(self._queue, watch)

    async def wait(self) -> None:
        """Return when something has happened."""
        await trio.lowlevel.wait_readable(self._queue)

    def read(self) -> list[Event]:
        """What has happened since the last time; empty if nothing has."""
        events = []
        while data := self._read():
            at = 0
            while at < len(data):
                watch, flags, _, length = _HEAD.unpack_from(data, at)
                at += _HEAD.size + length
                events.append(Event(watch, flags, data[at - length : at].rstrip(b"\0")))
        return events

    def _read(self) -> bytes:
        try:
            return os.read(self._queue, _READ_BYTES)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """Watch nothing any more; nobody may be waiting."""
        os.close(self._queue)

    @staticmethod
    def _checked(result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result
