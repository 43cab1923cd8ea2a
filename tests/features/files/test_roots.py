"""Whatever links there are on the disk, nobody gets out of a root by them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_moon.features.files.places import Place
from trio_moon.features.files.roots import Root, Roots, is_within
from trio_moon.model.errors import Forbidden, MoonError

NAMES = ["a", "b", "root", "rooted"]
TARGETS = st.sampled_from(
    ["..", ".", "a", "b", "../..", "../outside", "/", "/etc", "../rooted", "a/b", "../root/a", "b/.."]
)
LINKS = st.dictionaries(st.sampled_from(["a", "b", "a/a", "a/b", "b/a"]), TARGETS, max_size=4)
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4)


@given(LINKS, PATHS)
@settings(max_examples=150, deadline=None)
def test_a_folder_that_opens_is_inside(links: dict[str, str], parts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        base = Path(name).resolve()
        root, outside = base / "root", base / "outside"
        for folder in (root / "a" / "b", root / "b" / "a", outside / "a" / "b", base / "rooted" / "a"):
            folder.mkdir(parents=True)
        for place, target in links.items():
            path = root / place
            if path.parent.is_dir() and not path.parent.is_symlink():
                if path.is_dir() and not path.is_symlink():
                    path.rename(base / f"aside{place.replace('/', '_')}")
                path.unlink(missing_ok=True)
                path.symlink_to(target)
        roots = Roots([Root("gcodes", root, writable=True)])
        try:
            with roots.open_folder(Place("gcodes", tuple(parts))) as opened:
                assert is_within(os.readlink(f"/proc/self/fd/{opened}"), str(root))
        except MoonError:
            pass


def test_a_link_that_is_swapped_in_between_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "sub").mkdir(parents=True)
    outside.mkdir()
    roots = Roots([Root("gcodes", root, writable=True)])
    real_open: Callable[..., int] = os.open

    def swapping(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "sub":
            (root / "sub").rmdir()
            (root / "sub").symlink_to(outside)
        return real_open(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", swapping)
    with pytest.raises(MoonError), roots.open_parent(Place("gcodes", ("sub", "x.gcode"))):
        raise AssertionError("it was opened")


def test_links_to_an_allowed_place_are_followed(tmp_path: Path) -> None:
    root, stick = tmp_path / "root", tmp_path / "media" / "stick"
    root.mkdir()
    (stick / "sub").mkdir(parents=True)
    (root / "usb").symlink_to(stick)
    place = Place("gcodes", ("usb", "sub"))
    with pytest.raises(Forbidden), Roots([Root("gcodes", root)]).open_folder(place):
        pass
    with Roots([Root("gcodes", root)], link_targets=[tmp_path / "media"]).open_folder(place) as folder:
        assert os.readlink(f"/proc/self/fd/{folder}") == str(stick / "sub")
