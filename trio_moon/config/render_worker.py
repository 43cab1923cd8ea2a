"""The process in which users' templates are rendered: it may be killed at any moment without harm to anybody.

Frames in both directions are a length of four bytes and that many bytes. In: a pickled `(Template, context)`.
Out: JSON, `{"text": …}` or `{"failed": …}`, because what a template has touched is never unpickled.
"""

from __future__ import annotations

import os
import pickle
import resource
import sys
from typing import BinaryIO

import msgspec

from trio_moon.config.problems import TemplateFailed

HEADROOM_BYTES = 128 << 20
"""Memory that a template may use on top of what the interpreter has at the start."""
CPU_SECONDS = 20
"""A worker that nobody kills, because the service itself has died, ends after using this much."""
LARGEST_TEXT = 1 << 16


def main() -> None:
    """Answer requests until the input ends."""
    os.nice(10)
    _limit(resource.RLIMIT_AS, _size_bytes() + HEADROOM_BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    inward, outward = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # nothing that a template prints may disturb the frames
    _send(outward, {"text": "ready"})
    while (request := _receive(inward)) is not None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + CPU_SECONDS)
        _send(outward, _answer(request))


def _answer(request: bytes) -> dict[str, str]:
    template, context = pickle.loads(request)  # our own service wrote it
    try:
        text = template.render(**context)
    except TemplateFailed as error:
        return {"failed": str(error)}
    except (MemoryError, RecursionError) as error:
        return {"failed": f"template failed: {type(error).__name__}"}
    if len(text) > LARGEST_TEXT:
        return {"failed": f"template failed: its text is longer than {LARGEST_TEXT} characters"}
    return {"text": text}


def _receive(inward: BinaryIO) -> bytes | None:
    head = inward.read(4)
    return inward.read(int.from_bytes(head)) if len(head) == 4 else None


def _send(outward: BinaryIO, answer: dict[str, str]) -> None:
    data = msgspec.json.encode(answer)
    outward.write(len(data).to_bytes(4) + data)
    outward.flush()


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _size_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    main()
