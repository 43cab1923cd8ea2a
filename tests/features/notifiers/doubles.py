"""Stand-ins for a notifier's neighbours, for tests with a clock that jumps: no threads, no sockets, no disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import trio

from trio_moon.config.document import Document
from trio_moon.config.templates import Template
from trio_moon.features.notifiers.composer import Composer
from trio_moon.features.notifiers.courier import Answer
from trio_moon.features.notifiers.news import Letter, News, Picture
from trio_moon.features.notifiers.notifier import Notifier
from trio_moon.features.notifiers.settings import NotifierSettings, read_settings
from trio_moon.kit.notices import Notices

NOON = 1_800_000_000.0


def settings(more: str = "", events: str = "*") -> NotifierSettings:
    """A notifier's settings; `more` are further lines of its section."""
    document = Document.parse(f"[notifier phone]\nurl: json://127.0.0.1\nevents: {events}\n{more}\n")
    (read,) = read_settings(document)
    assert all(problem.severity == "warning" for problem in document.problems)
    return read


class PlainRenderer:
    """Renders here and now."""

    async def render(self, template: Template, context: Mapping[str, object]) -> str:
        return template.render(**context)


@dataclass
class Album:
    """Has a picture for each line, after `takes` seconds, except for lines that are called `missing`."""

    takes: float = 0.0
    broken_for: str = ""

    async def collect(self, attach: str) -> tuple[tuple[Picture, ...], tuple[str, ...]]:
        await trio.sleep(self.takes)
        lines = attach.split()
        if self.broken_for in lines:
            raise RuntimeError("a bug")
        pictures = tuple(Picture(line, "image/jpeg", line.encode()) for line in lines if line != "missing")
        return pictures, ("it is missing",) * lines.count("missing")


@dataclass
class Memory:
    """Remembers what is undelivered as long as it is kept itself."""

    rows: dict[int, tuple[str, News, Letter | None]] = field(default_factory=dict)
    last_row: int = 0

    async def add(self, notifier: str, news: News) -> int | None:
        await trio.lowlevel.checkpoint()
        self.last_row += 1
        self.rows[self.last_row] = (notifier, news, None)
        return self.last_row

    async def keep_letter(self, row: int | None, letter: Letter) -> None:
        await trio.lowlevel.checkpoint()
        assert row is not None
        self.rows[row] = (*self.rows[row][:2], letter)

    async def remove(self, row: int | None) -> None:
        await trio.lowlevel.checkpoint()
        assert row is not None
        self.rows.pop(row, None)

    async def waiting(self, notifier: str) -> list[tuple[int, News, Letter | None]]:
        await trio.lowlevel.checkpoint()
        return [(row, news, letter) for row, (name, news, letter) in self.rows.items() if name == notifier]


@dataclass
class Postman:
    """A courier whose service can be away, refuse, or hang; keeps what it delivered with the time."""

    online: bool = True
    hopeless: bool = False
    hangs_for: float = 0.0
    takes: float = 0.0
    delivered: list[tuple[float, Letter]] = field(default_factory=list)
    attempts: list[float] = field(default_factory=list)

    async def deliver(self, url: str, letter: Letter, body_format: str) -> Answer:
        self.attempts.append(trio.current_time())
        await trio.sleep(self.hangs_for or self.takes)
        if self.hopeless:
            return Answer(False, ("no such chat",), hopeless=True)
        if not self.online:
            return Answer(False, ("connection refused",))
        self.delivered.append((trio.current_time(), letter))
        return Answer(True)

    async def understands(self, url: str) -> bool:
        await trio.lowlevel.checkpoint()
        return not self.hopeless

    @property
    def bodies(self) -> list[str]:
        return [letter.body for _, letter in self.delivered]


@dataclass
class Household:
    """A notifier among its stand-ins. Its wall clock starts at noon and follows Trio's."""

    settings: NotifierSettings
    courier: Postman = field(default_factory=Postman)
    memory: Memory = field(default_factory=Memory)
    album: Album = field(default_factory=Album)
    notices: Notices = field(default_factory=Notices)
    starts_at: float = NOON

    def __post_init__(self) -> None:
        self._began = trio.current_time()
        composer = Composer(self.settings, PlainRenderer(), self.album)
        self.notifier = Notifier(self.settings, composer, self.courier, self.memory, self.notices, self.wall_clock)

    def wall_clock(self) -> float:
        return self.starts_at + trio.current_time() - self._began

    def hear(self, *event_names: str) -> None:
        for name in event_names:
            self.notifier.hear(News(name, ({}, {"filename": "a.gcode"}), at=self.wall_clock()))

    @property
    def status(self) -> dict[str, object]:
        return self.notifier.as_wire()
