"""`[notifier <name>]` sections, as they were written for Moonraker, and the options that are ours."""

from __future__ import annotations

import re
from datetime import time

from msgspec import Struct

from trio_moon.config.document import Document
from trio_moon.config.problems import Problem, suggestion
from trio_moon.config.section import Section
from trio_moon.config.templates import Template
from trio_moon.features.notifiers.news import REMOTE_ACTION
from trio_moon.features.notifiers.quiet_hours import QuietHours

JOB_EVENTS = ("started", "paused", "resumed", "complete", "error", "cancelled", "standby")
EXTRA_EVENTS = (
    "klippy_shutdown",
    "klippy_disconnected",
    "klippy_ready",
    "spoolman_lost",
    "spoolman_back",
    "filament_low",
    "filament_runs_out",
    "spool_gone",
    "print_check",
    "first_layer",
)
OTHER_WORDS = ("*", "gcode")
ADDRESSED = (REMOTE_ACTION, "progress", "layer")
BODY_FORMATS = ("text", "html", "markdown")
LISTED = ("url", "events", "body", "body_format", "title", "attach")

DEFAULT_TIMEOUT = 30.0
DEFAULT_MAX_AGE = 3600.0


class NotifierSettings(Struct, frozen=True):
    """One notifier. Durations in seconds."""

    name: str
    raw: dict[str, object]
    """The entry of `server.notifiers.list`: what was configured, word by word."""
    url: Template
    events: frozenset[str]
    title: Template | None = None
    body: Template | None = None
    body_format: str = "text"
    attach: Template | None = None
    progress_steps: frozenset[int] = frozenset()
    layers: frozenset[int] = frozenset()
    timeout: float = DEFAULT_TIMEOUT
    retries: int | None = None
    max_age: float = DEFAULT_MAX_AGE
    min_interval: float = 0.0
    pause_debounce: float = 0.0
    quiet_hours: QuietHours | None = None

    @classmethod
    def from_section(cls, section: Section) -> NotifierSettings:
        """The settings of a section; ConfigError names what can't be used."""
        if not section.title:
            raise section.refuse("", "needs a name, as in [notifier my_phone]")
        url = section.template("url")
        if not (url.source.startswith("{") or re.match(r"[\w+.-]+://", url.source)):
            raise section.refuse("url", "must look like service://…, see Apprise's list of services")
        words = section.words("events")
        progress_steps, layers = _numbers(section, words, "progress", 99), _numbers(section, words, "layer", 100_000)
        body_format = section.choice("body_format", BODY_FORMATS, "text")
        quiet_hours = section.text("quiet_hours", None)
        return cls(
            name=section.title,
            raw={
                "name": section.title,
                **{option: _stripped(section.raw(option)) for option in LISTED},
                "events": words,
            },
            url=url,
            events=frozenset(words),
            title=section.template("title", None),
            body=section.template("body", None),
            body_format=body_format,
            attach=section.template("attach", None),
            progress_steps=progress_steps,
            layers=layers,
            timeout=section.number("timeout", DEFAULT_TIMEOUT, minimum=1, maximum=300),
            retries=section.integer("retries", None, minimum=0),
            max_age=section.number("max_age", DEFAULT_MAX_AGE, minimum=0, maximum=7 * 86400),
            min_interval=section.number("min_interval", 0.0, minimum=0),
            pause_debounce=section.number("pause_debounce", 0.0, minimum=0, maximum=3600),
            quiet_hours=None if quiet_hours is None else _quiet_hours(section, quiet_hours),
        )

    def wants(self, event_name: str) -> bool:
        """Whether it should tell of this event. `*` means each step of a job; everything else must be named.

        Milestones and calls from macros are addressed to one notifier, and always wanted.
        """
        if event_name in self.events or event_name in ADDRESSED or event_name.partition(":")[0] in ADDRESSED:
            return True
        return "*" in self.events and event_name not in (*EXTRA_EVENTS, "standby")

    @property
    def example_event(self) -> str:
        """An event that it tells of, for tests."""
        named = [event for event in (*JOB_EVENTS, *EXTRA_EVENTS) if event in self.events]
        return named[0] if named else "started" if "*" in self.events else REMOTE_ACTION


def _stripped(text: str | None) -> str | None:
    return None if text is None else text.strip()


def read_settings(document: Document) -> list[NotifierSettings]:
    """The settings of every section that can be used; what is wrong with the others is a problem of the document."""
    found = []
    for section in document.sections("notifier"):
        with document.guard(section.name):
            settings = NotifierSettings.from_section(section)
            found.append(settings)
            document.problems += _unknown_events(section, settings)
    return found


def _unknown_events(section: Section, settings: NotifierSettings) -> list[Problem]:
    """Words that Klipper doesn't know as states; they stay, for forks of Klipper do know others."""
    known = {*JOB_EVENTS, *EXTRA_EVENTS, *OTHER_WORDS}
    words = sorted(word for word in settings.events - known if not re.fullmatch(r"(progress|layer):\d+", word))
    return [
        section.problem(
            "events",
            f"'{word}' is no event{suggestion(word, known)}; kept, for forks of Klipper know others",
            "warning",
        )
        for word in words
    ]


def _numbers(section: Section, words: list[str], kind: str, highest: int) -> frozenset[int]:
    """N of every `kind:N` among the events."""
    found = set()
    for word in words:
        if word.partition(":")[0] != kind:
            continue
        number = word.partition(":")[2]
        if not (number.isascii() and number.isdigit() and 1 <= int(number[:9]) <= highest):
            raise section.refuse("events", f"'{word}' must be {kind}:N with N from 1 to {highest}")
        found.add(int(number))
    return frozenset(found)


def _quiet_hours(section: Section, text: str) -> QuietHours:
    match = re.fullmatch(r"(\d\d?):(\d\d)\s*-\s*(\d\d?):(\d\d)", text.strip())
    try:
        if match is None:
            raise ValueError
        begin_hour, begin_minute, end_hour, end_minute = map(int, match.groups())
        return QuietHours(time(begin_hour, begin_minute), time(end_hour, end_minute))
    except ValueError:
        raise section.refuse("quiet_hours", f"'{text}' must look like 22:00-07:00") from None
