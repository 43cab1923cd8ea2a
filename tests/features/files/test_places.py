"""No text leads out of a root."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_moon.features.files.places import LONGEST_NAME, STAGING, Place, parse_parts, parse_place, place_in
from trio_moon.model.errors import BadParams

ODD = st.text(st.sampled_from("./\\ab \0\n\x7f%'\"é한\ud800~"), max_size=40)


@given(st.one_of(ODD, st.text(max_size=60)))
def test_whatever_is_written_stays_below_its_root(text: str) -> None:
    try:
        place = place_in("gcodes", text)
    except BadParams:
        return
    joined = os.path.normpath(os.path.join("/root/gcodes", *place.parts))
    assert joined == "/root/gcodes" or joined.startswith("/root/gcodes/")
    assert joined == "/root/gcodes" + "".join(f"/{part}" for part in place.parts)
    assert place_in("gcodes", place.path) == place


PLAIN = st.text(st.characters(min_codepoint=32, exclude_characters="/\x7f", exclude_categories=["Cs"]), max_size=60)


@given(st.lists(PLAIN))  # 60 characters have at most 240 bytes
def test_plain_names_are_kept_letter_by_letter(names: list[str]) -> None:
    wanted = tuple(name for name in names if name not in ("", ".", "..", STAGING))
    assert parse_parts("/".join(wanted)) == wanted


@pytest.mark.parametrize(
    "text",
    ["../x", "a/../../x", "..", "a/..", "x\0.gcode", "x\n.gcode", "a\x7f", "x\ud800", "é" * (LONGEST_NAME // 2 + 1)],
)
def test_what_is_not_plain_is_refused(text: str) -> None:
    with pytest.raises(BadParams):
        parse_parts(text)


def test_the_longest_name_is_counted_in_bytes() -> None:
    assert parse_parts("é" * 127 + "x") == ("é" * 127 + "x",)


def test_a_path_too_long_for_the_disk_is_refused() -> None:
    with pytest.raises(BadParams, match="too long"):
        parse_parts("/".join(["x" * 200] * 20))


def test_a_leading_slash_means_the_root_not_the_disk() -> None:
    assert parse_place("/gcodes//sub/./x.gcode/") == Place("gcodes", ("sub", "x.gcode"))


@pytest.mark.parametrize("text", ["", "/", "."])
def test_a_path_needs_a_root(text: str) -> None:
    with pytest.raises(BadParams, match="root"):
        parse_place(text)


def test_nobody_names_our_staging_folder() -> None:
    with pytest.raises(BadParams):
        parse_place(f"gcodes/{STAGING}/abc")
