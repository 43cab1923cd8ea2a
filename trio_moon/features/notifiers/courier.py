"""Apprise carries the letters: a library that blocks, in a thread of its own for each notifier."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any, Protocol

from msgspec import Struct

from trio_moon.features.notifiers.news import Letter
from trio_moon.kit.threads import Workers

LARGEST_ANSWER = 1 << 20


class Answer(Struct, frozen=True):
    """What came of one attempt. `lines` is what Apprise said of it; `hopeless` means that another can't do better."""

    delivered: bool
    lines: tuple[str, ...] = ()
    hopeless: bool = False

    @property
    def reason(self) -> str:
        """Why it failed, in one line."""
        return " ".join("; ".join(self.lines).split()) or "Apprise could not deliver it and doesn't say why"


class Courier(Protocol):
    """Delivers one letter at a time. A cancelled caller leaves at once, whatever hangs."""

    async def deliver(self, url: str, letter: Letter, body_format: str) -> Answer: ...
    async def understands(self, url: str) -> bool: ...


class AppriseCourier:
    """One notifier's thread: what still hangs in an abandoned attempt holds up nobody but itself."""

    def __init__(self, name: str) -> None:
        self._workers = Workers(f"notifier {name}")

    async def deliver(self, url: str, letter: Letter, body_format: str) -> Answer:
        """Send it through Apprise. Waits while an earlier, abandoned attempt has not ended."""
        return await self._workers.run_abandonable(_send, url, letter, body_format)

    async def understands(self, url: str) -> bool:
        """Whether Apprise knows what to do with an address; nothing is sent. Loads Apprise (0.5 s, 36 MiB)."""
        return await self._workers.run_abandonable(_understands, url)


_loading = threading.Lock()


def _load() -> ModuleType:
    """Apprise with its plugins; one thread at a time, for its own locks and Python's import locks could cross."""
    with _loading:
        _limit_answers()
        import apprise

        apprise.Apprise.instantiate("json://localhost")
    return apprise


@cache
def _limit_answers() -> None:
    """Let `requests`, by which Apprise reaches most services, take no more of an answer than a service has to say."""
    from requests.adapters import HTTPAdapter

    send = HTTPAdapter.send

    def limited(self: HTTPAdapter, request: Any, stream: bool = False, *options: Any, **more: Any) -> Any:
        answer: Any = send(self, request, True, *options, **more)
        if not stream:
            answer._content = answer.raw.read(LARGEST_ANSWER, decode_content=True)
            answer._content_consumed = True
            answer.close()
        return answer

    HTTPAdapter.send = limited  # type: ignore[method-assign]


def _understands(url: str) -> bool:
    apprise = _load()
    with _overheard():
        try:
            return apprise.Apprise.instantiate(url) is not None
        except Exception:  # plugins of many authors
            return False


def _send(url: str, letter: Letter, body_format: str) -> Answer:
    apprise = _load()
    from apprise.attachment.memory import AttachMemory

    asset = apprise.AppriseAsset(async_mode=False)
    asset._service_timeout = 0.0  # with one, Apprise 2 works in a pool of threads, which Python joins when it ends
    target = apprise.Apprise(asset=asset)
    with _overheard() as lines:
        attach = [
            AttachMemory(  # type: ignore[no-untyped-call]
                content=picture.content, name=picture.name, mimetype=picture.content_type
            )
            for picture in letter.pictures
        ]
        try:
            if not target.add(url):
                return Answer(False, ("Apprise can't use the url", *lines), hopeless=True)
            delivered = target.notify(
                body=letter.body, title=letter.title, body_format=body_format, attach=attach or None
            )
        except Exception as error:  # plugins of many authors: whatever they raise is this attempt's failure
            return Answer(False, (*lines, f"{type(error).__name__}: {error}"))
    return Answer(bool(delivered), tuple(lines))


_heard_by_thread = threading.local()


class _Listener(logging.Handler):
    """Hands each line that Apprise logs to whoever listens in the same thread."""

    def emit(self, record: logging.LogRecord) -> None:
        lines: list[str] | None = getattr(_heard_by_thread, "lines", None)
        if lines is not None and len(lines) < 20:
            lines.append(record.getMessage()[:500])


def _quiet_logger() -> logging.Logger:
    apprise_logger = logging.getLogger("apprise")
    apprise_logger.propagate = False  # a line for each retry would drown the log; we write one when we give up
    apprise_logger.addHandler(_Listener(logging.WARNING))
    return apprise_logger


_quiet_logger()


@contextmanager
def _overheard() -> Iterator[list[str]]:
    lines: list[str] = []
    _heard_by_thread.lines = lines
    try:
        yield lines
    finally:
        _heard_by_thread.lines = None
