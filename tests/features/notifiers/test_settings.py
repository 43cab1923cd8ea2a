"""What may stand in a `[notifier]` section, and what its owner is told of the rest."""

from __future__ import annotations

from datetime import datetime, time

import pytest

from trio_moon.config.document import Document
from trio_moon.features.notifiers.milestones import Milestones
from trio_moon.features.notifiers.quiet_hours import QuietHours
from trio_moon.features.notifiers.settings import NotifierSettings, read_settings


def read(text: str) -> tuple[list[NotifierSettings], list[str]]:
    document = Document.parse(text)
    return read_settings(document), [problem.as_line() for problem in [*document.problems, *document.unused()]]


def test_a_section_written_for_moonraker_is_taken_as_it_is() -> None:
    (settings,), problems = read(
        """
[notifier print_complete]
url: tgram://bottoken/ChatID
events: complete, error
body: Your printer completed printing '{event_args[1].filename}'
attach:
    http://192.168.1.100/webcam/?action=snapshot
    ~/a.jpg
"""
    )
    assert problems == []
    assert settings.raw == {
        "name": "print_complete",
        "url": "tgram://bottoken/ChatID",
        "events": ["complete", "error"],
        "body": "Your printer completed printing '{event_args[1].filename}'",
        "body_format": None,
        "title": None,
        "attach": "http://192.168.1.100/webcam/?action=snapshot\n~/a.jpg",
    }
    assert (settings.timeout, settings.retries, settings.max_age) == (30, None, 3600)


def test_our_own_options_are_read() -> None:
    (settings,), problems = read(
        "[notifier x]\nurl: json://h\nevents: progress:25, layer:2, layer:10, first_layer\nretries: 3\ntimeout: 5\n"
        "max_age: 60\nmin_interval: 10\npause_debounce: 5\nquiet_hours: 22:00 - 6:30\nbody_format: Markdown\n"
    )
    assert problems == []
    assert (set(settings.progress_steps), set(settings.layers)) == ({25}, {2, 10})
    assert settings.quiet_hours == QuietHours(time(22, 0), time(6, 30))
    assert settings.body_format == "markdown"


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("events: *", "[notifier x], option 'url': is missing"),
        ("url: json://h", "[notifier x], option 'events': is missing"),
        ("url: nonsense\nevents: *", "option 'url': must look like service://"),
        ("url: json://h\nevents: *\nbody: {% if %}", "option 'body': template cannot be read"),
        (
            "url: json://h\nevents: *\nbody_format: pdf",
            "option 'body_format': 'pdf' is not one of text, html, markdown",
        ),
        ("url: json://h\nevents: progress:0", "option 'events': 'progress:0' must be progress:N with N from 1 to 99"),
        ("url: json://h\nevents: layer", "option 'events': 'layer' must be layer:N"),
        ("url: json://h\nevents: *\nquiet_hours: 25:00-7:00", "option 'quiet_hours': '25:00-7:00' must look like"),
        ("url: json://h\nevents: *\nquiet_hours: night", "option 'quiet_hours': 'night' must look like"),
        ("url: json://h\nevents: *\ntimeout: 0", "option 'timeout': 0.0 is too small"),
    ],
)
def test_a_broken_section_is_a_problem_and_the_others_live(lines: str, problem: str) -> None:
    settings, problems = read(
        f"[notifier x]\n{lines}\n[notifier y]\nurl: json://h\nevents: *\n[notifier]\nurl: json://h\n"
    )
    assert [entry.name for entry in settings] == ["y"]
    assert problem in problems[0]
    assert "needs a name" in problems[1]


def test_a_misspelt_event_is_told_but_kept_for_forks() -> None:
    (settings,), (problem,) = read("[notifier x]\nurl: json://h\nevents: canceled, complete\n")
    assert settings.wants("canceled")
    assert problem.endswith(
        "'canceled' is no event (did you mean 'cancelled'?); kept, for forks of Klipper know others"
    )


def at(day: int, hour: int, minute: int = 0) -> float:
    return datetime(2026, 6, day, hour, minute).timestamp()


def test_quiet_hours_go_over_midnight_or_not() -> None:
    night, noon = QuietHours(time(22), time(7)), QuietHours(time(12), time(13, 30))
    assert night.until(at(1, 21, 59)) is None
    assert night.until(at(1, 22)) == at(2, 7)
    assert night.until(at(2, 6, 59)) == at(2, 7)
    assert night.until(at(2, 7)) is None
    assert noon.until(at(1, 12)) == at(1, 13, 30)
    assert noon.until(at(1, 14)) is None


def test_progress_is_told_in_steps_once_and_again_in_the_next_print() -> None:
    milestones = Milestones(frozenset({25}), frozenset(), first_layer=False)
    assert milestones.reached(60, None) == []  # we came in the middle
    assert milestones.reached(74.9, None) == []
    assert milestones.reached(75.1, None) == [("progress:75", "75 % printed")]
    assert milestones.reached(99, None) == []
    assert milestones.reached(100, None) == []  # that is what `complete` is for
    assert milestones.reached(0, None) == []
    assert milestones.reached(80, None) == [("progress:75", "75 % printed")]


def test_layers_are_told_when_they_are_reached_or_passed() -> None:
    milestones = Milestones(frozenset(), frozenset({1, 10}), first_layer=True)
    assert milestones.reached(0, None) == []
    assert milestones.reached(0, 1, 200) == [("layer:1", "layer 1 of 200")]
    assert milestones.reached(0, 1, 200) == []
    assert milestones.reached(1, 2, 200) == [("first_layer", "the first layer is done")]
    assert milestones.reached(9, 12, 200) == [("layer:10", "layer 10 of 200")]
    assert milestones.reached(0, None) == []
    assert milestones.reached(9, 2) == [("first_layer", "the first layer is done"), ("layer:1", "layer 1")]
