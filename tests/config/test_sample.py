"""The sample configuration is one that works, whether its examples are in use or not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trio_moon.config import Document
from trio_moon.config.moonraker_names import MOONRAKER_OPTIONS

SAMPLE = Path(__file__).parents[2] / "deploy" / "moonraker.conf.sample"


def sample() -> str:
    return SAMPLE.read_text(encoding="utf-8")


def with_examples_in_use() -> str:
    return re.sub(r"^#(?=[a-z\[]|    \S)", "", sample(), flags=re.MULTILINE).replace("[include", "#[include")


OURS = {
    "spoolman": {"check_before_print", "low_filament", "low_filament_action"},
    "notifier": {"pause_debounce", "quiet_hours"},
    "limits": {"connections", "connections_per_address"},
}


@pytest.mark.parametrize("text", [sample(), with_examples_in_use()], ids=["as it is", "examples in use"])
def test_the_sample_has_no_problem_and_options_of_moonrakers_and_ours_alone(text: str) -> None:
    document = Document.parse(text)
    assert document.problems == []
    for name, options in document.as_wire()["orig"].items():  # type: ignore[attr-defined]
        kind = name.partition(" ")[0]
        assert name == "DEFAULT" or options.keys() <= MOONRAKER_OPTIONS.get(kind, set()) | OURS.get(kind, set()), name


def test_the_examples_are_the_seed_features() -> None:
    document = Document.parse(with_examples_in_use())
    for name in ("server", "authorization", "spoolman", "notifier my_phone", "octoprint_compat", "webcam bed"):
        assert document.has(name)
    [phone] = document.sections("notifier")
    assert phone.words("attach") == ["http://127.0.0.1/webcam/?action=snapshot"]
    body = phone.template("body")
    state = {"filename": "a.gcode", "message": "done"}
    assert body.render(event_name="complete", event_args=[{}, state]) == "a.gcode: complete done"
