"""The C library's memory: what a large message or a password took is given back to the system."""

from __future__ import annotations

import ctypes
from contextlib import suppress

LARGE = 1 << 20
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8


def give_back_what_is_large() -> None:
    """Keep glibc from raising these two by itself, up to 64 MiB that each of several heaps would hold for ever."""
    with suppress(AttributeError, OSError):  # another C library
        libc = ctypes.CDLL(None)
        libc.mallopt(_ARENA_MAX, 1)  # Python's lock leaves one thread at a time anyhow
        libc.mallopt(_MMAP_THRESHOLD, LARGE)
        libc.mallopt(_TRIM_THRESHOLD, 4 * LARGE)
