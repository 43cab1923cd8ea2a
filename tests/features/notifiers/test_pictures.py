"""Attachments: fetched within limits, named properly, or refused with a reason. Real sockets and files."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
import trio

from tests.features.notifiers.targets import JPEG, Target
from trio_moon.features.notifiers import pictures as limits
from trio_moon.features.notifiers.news import Picture
from trio_moon.features.notifiers.pictures import Pictures, file_name


@pytest.fixture
async def camera(nursery: trio.Nursery) -> Target:
    camera = Target()
    await nursery.start(camera.run)
    return camera


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    return Pictures(tmp_path, {"nozzle": "http://127.0.0.1:9/x"}.get)


async def why_not(pictures: Pictures, attach: str) -> str:
    found, (reason,) = await pictures.collect(attach)
    assert found == ()
    return reason


async def test_urls_and_files_come_in_their_order(camera: Target, pictures: Pictures, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("n")
    shot, thumbnail = camera.page("/shot?a=b", JPEG), camera.page("/thumb%201.png", b"png", "image/png; x=y")
    found, reasons = await pictures.collect(f"{shot}\n\n  notes.txt \nfile://{tmp_path}/notes.txt\n{thumbnail}")
    assert reasons == ()
    assert found == (
        Picture("snapshot.jpg", "image/jpeg", JPEG),
        Picture("notes.txt", "text/plain", b"n"),
        Picture("notes.txt", "text/plain", b"n"),
        Picture("thumb 1.png", "image/png", b"png"),
    )


async def test_redirects_are_followed_but_not_for_ever(camera: Target, pictures: Pictures) -> None:
    goal = camera.page("/goal.jpg", JPEG)
    for number in range(1, 5):
        goal = camera.page(f"/{number}", b"", status="302 Found", Location=goal)
    assert await why_not(pictures, goal) == "more than 3 redirects"
    found, _ = await pictures.collect(f"http://{camera.address}/3")
    assert found == (Picture("goal.jpg", "image/jpeg", JPEG),)


async def test_answers_that_are_no_picture_are_refused_with_a_reason(
    camera: Target, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LARGEST_BYTES", 1 << 20)
    stream = camera.page("/stream", b"--x", "multipart/x-mixed-replace;boundary=x")
    assert await why_not(pictures, stream) == "this is a video stream: use the camera's snapshot address"
    assert await why_not(pictures, camera.page("/big", b"." * (1 << 21))) == "larger than 1 MiB"
    assert await why_not(pictures, camera.page("/empty", b"")) == "it is empty"
    bomb = camera.page("/bomb", gzip.compress(b"." * (1 << 19)), "image/png", **{"Content-Encoding": "gzip"})
    assert await why_not(pictures, bomb) == "it is compressed, which nobody asked for"
    assert await why_not(pictures, f"http://{camera.address}/none") == "HTTP 404 Not Found"
    assert "http://" in await why_not(pictures, "http://")
    assert await why_not(pictures, "webcam:bed") == "there is no webcam 'bed' with a snapshot_url"
    assert "127.0.0.1:9" in await why_not(pictures, "webcam:nozzle")


async def test_a_camera_that_hangs_costs_no_more_than_the_deadline(
    camera: Target, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DEADLINE", 0.5)
    camera.mood = "hang"
    assert await why_not(pictures, f"http://{camera.address}/x") == "nothing within 0.5 s"
    camera.mood = "drip"
    assert await why_not(pictures, f"http://{camera.address}/x") == "nothing within 0.5 s"


async def test_what_is_no_regular_readable_file_is_refused(pictures: Pictures, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "empty").touch()
    assert await why_not(pictures, "fifo") == "fifo: not a regular file"
    assert await why_not(pictures, ".") == ".: a folder"
    assert await why_not(pictures, "empty") == "empty: it is empty"
    assert await why_not(pictures, "/dev/zero") == "/dev/zero: not a regular file"
    assert await why_not(pictures, "*.jpg") == "*.jpg: No such file or directory"
    assert await why_not(pictures, "~nobody-of-this-name/x") != ""
    assert await why_not(pictures, "a\0b") == "a\0b: embedded null byte"


async def test_there_is_a_limit_to_their_number(pictures: Pictures, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    found, reasons = await pictures.collect("a\n" * 9)
    assert len(found) == 8
    assert reasons == ("more than 8 attachments",)


def test_names_fit_their_content() -> None:
    assert file_name("http://h/x.png", "image/png") == "x.png"
    assert file_name("http://h/x.png", "image/jpeg") == "snapshot.jpg"
    assert file_name("http://h/cgi?action=snapshot", "image/webp") == "snapshot.webp"
    assert file_name("http://h/", "application/x-unknown-thing") == "snapshot"
