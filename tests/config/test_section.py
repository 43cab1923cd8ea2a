"""Typed getters: what they take, what they refuse, and how they say it."""

from __future__ import annotations

import pickle
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_moon.config import ConfigProblem, Document, Section
from trio_moon.model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable


def section_with(*lines: str) -> Section:
    section = Document.parse("\n".join(["[room]", *lines]), Path("/data/config/moonraker.conf")).section("room")
    assert section is not None
    return section


def test_getters_read_what_users_write() -> None:
    room = section_with(
        "host: 0.0.0.0", "port: 7125", "ratio: -0.5", "enabled: Yes", "events: a, b,,c", "hosts:\n  x\n  y, z"
    )
    assert room.text("host") == "0.0.0.0"
    assert room.integer("PORT", 1) == 7125
    assert room.number("ratio", 1.0) == -0.5
    assert room.boolean("enabled", False) is True
    assert room.words("events") == ["a", "b", "c"]
    assert room.words("hosts") == ["x", "y", "z"]


def test_absent_options_have_their_defaults_of_any_type() -> None:
    room = section_with()
    assert room.text("a", None) is None
    assert room.integer("b", 5, minimum=9) == 5  # a default is not held to the limits
    assert room.words("c", ()) == ()
    assert room.template("d", None) is None
    assert room.path("e", None) is None
    assert room.size_mib("f", 2) == 2 << 20


def test_a_missing_option_without_default_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^moonraker.conf line 1, \[room\], option 'url': is missing"):
        section_with().text("url")


@pytest.mark.parametrize(
    ("written", "getter", "complaint"),
    [
        ("12.5", lambda room: room.integer("x", 1), "'12.5' is not a whole number"),
        ("", lambda room: room.integer("x", 1), "is empty; a whole number is expected"),
        ("9" * 5000, lambda room: room.integer("x", 1), "is not a whole number"),
        ("70000", lambda room: room.integer("x", 1, maximum=65535), "70000 is too large; it must be at most 65535"),
        ("0", lambda room: room.integer("x", 1, minimum=1), "0 is too small; it must be at least 1"),
        ("nan", lambda room: room.number("x", 1), "'nan' is not a number"),
        ("1e999", lambda room: room.number("x", 1), "'1e999' is not a number"),
        ("0", lambda room: room.number("x", 1, above=0), "must be more than 0"),
        ("maybe", lambda room: room.boolean("x", True), "'maybe' is not true or false"),
        ("blue", lambda room: room.choice("x", ["red", "green"], "red"), "'blue' is not one of red, green"),
        ("-1", lambda room: room.size_mib("x", 1), "must be at least 0"),
        ("1e300", lambda room: room.size_mib("x", 1), "'1e300' is not a size in MiB"),
        ("big", lambda room: room.size_mib("x", 1), "'big' is not a size in MiB"),
        ("", lambda room: room.path("x", None), "a path is expected"),
        ("~nobody-has-this-name/x", lambda room: room.path("x", None), "is no path"),
        ("{% if %}", lambda room: room.template("x"), "template cannot be read"),
        ("{secrets.nothing}", lambda room: room.templated_text("x"), "there is no secret 'nothing'"),
    ],
)
def test_a_refusal_says_where_what_and_what_was_expected(
    written: str, getter: Callable[[Section], object], complaint: str
) -> None:
    room = section_with("other: 1", f"x: {written}")
    with pytest.raises(ConfigProblem) as refusal:
        getter(room)
    assert refusal.value.problem.line == 3
    assert str(refusal.value).startswith("moonraker.conf line 3, [room], option 'x': ")
    assert complaint in str(refusal.value)
    assert len(str(refusal.value)) < 200
    assert "\n" not in str(refusal.value)


def test_choices_are_found_whatever_their_capitals() -> None:
    room = section_with("format: MarkDown")
    assert room.choice("format", ["text", "markdown"], "text") == "markdown"
    assert room.choice("other", ["text"], 7) == 7


def test_sizes_are_written_in_mib_and_read_in_bytes() -> None:
    room = section_with("a: 1024", "b: 0.5")
    assert room.size_mib("a", 1) == 1 << 30
    assert room.size_mib("b", 1) == 1 << 19
    assert room.taken == {"a": 1024, "b": 0.5}


def test_paths_start_at_the_data_path_and_know_home_and_templates(tmp_path: Path) -> None:
    text = "[room]\na: comms/klippy.sock\nb: {data_path}/x\nc: ~/y\nd: /z\n"
    room = Document.parse(text, tmp_path / "config" / "moonraker.conf").section_or_empty("room")
    assert room.path("a", None) == tmp_path.resolve() / "comms" / "klippy.sock"
    assert room.path("b", None) == tmp_path.resolve() / "x"
    assert room.path("c", None) == Path.home().resolve() / "y"
    assert room.path("d", None) == Path("/z").resolve()


def test_raw_gives_the_text_and_leaves_the_option_unknown() -> None:
    room = section_with("list:\n  a\n  b")
    assert room.has("LIST")
    assert room.raw("list") == "\na\nb"
    assert room.raw("other") is None
    assert room.taken == {}


def test_a_builder_refuses_an_option_with_the_same_words() -> None:
    room = section_with("url: ftp://x")
    error = room.refuse("url", "only http works")
    assert str(error) == "moonraker.conf line 2, [room], option 'url': only http works"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n")))
def test_getters_raise_nothing_but_config_errors(value: str) -> None:
    room = section_with(f"x: {value}")
    getters: list[Callable[[], object]] = [
        lambda: room.text("x"),
        lambda: room.integer("x", 1, minimum=0),
        lambda: room.number("x", 1, above=0),
        lambda: room.boolean("x", True),
        lambda: room.words("x"),
        lambda: room.choice("x", ["a"], "a"),
        lambda: room.size_mib("x", 1),
        lambda: room.path("x", None),
        lambda: room.template("x"),
        lambda: room.templated_text("x"),
    ]
    for getter in getters:
        with suppress(ConfigProblem):
            getter()


def test_a_template_that_never_ends_is_a_problem_and_not_a_start_that_never_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trio_moon.config.section.RENDER_BUDGET", 0.2)
    loop = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    section = Document.parse(f"[spoolman]\nserver: {loop}\n").section_or_empty("spoolman")
    with pytest.raises(ConfigError, match=r"it was not done within 0\.2 s"):
        section.templated_text("server")
    assert section.templated_text("token", "none") == "none"


def test_a_template_that_explodes_is_a_problem() -> None:
    section = Document.parse("[file_manager]\ndocs_path: {'x' * 100000}\n").section_or_empty("file_manager")
    with pytest.raises(ConfigError, match="its text is longer than 65536 characters"):
        section.path("docs_path", None)
