"""Letters as they are written for each format."""

from __future__ import annotations

import pytest

from tests.features.notifiers.doubles import Album, PlainRenderer, settings
from trio_moon.features.notifiers.composer import Composer
from trio_moon.features.notifiers.news import Letter, News


async def written(news: News, lines: str = "") -> Letter:
    letter, _ = await Composer(settings(lines), PlainRenderer(), Album()).compose(news)
    return letter


async def test_without_a_body_the_message_or_the_events_name_is_the_text() -> None:
    assert await written(News("complete")) == Letter("", "complete")
    assert await written(News("remote_action", message="Change filament")) == Letter("", "Change filament")


@pytest.mark.parametrize(
    ("body_format", "expected"),
    [
        ("text", "<b>\n(no picture: it is missing)"),
        ("html", "<b><br>\n(no picture: it is missing)"),
        ("markdown", "<b>\n\n(no picture: it is missing)"),
    ],
)
async def test_remarks_are_set_apart_in_every_format(body_format: str, expected: str) -> None:
    letter = await written(News("x"), f"body: <b>\nbody_format: {body_format}\nattach: missing")
    assert letter.body == expected


async def test_data_is_never_a_template_nor_a_further_attachment() -> None:
    stats = {"filename": "a\n/etc/passwd\r{event_name}.jpg"}
    letter = await written(
        News("complete", ({}, stats)), "body: {event_args[1].filename}\nattach: {event_args[1].filename}x"
    )
    assert letter.body == "a\n/etc/passwd\r{event_name}.jpg"
    assert [picture.name for picture in letter.pictures] == ["a", "/etc/passwd", "{event_name}.jpgx"]  # of one line


async def test_an_attachment_template_that_fails_leaves_the_text() -> None:
    letter = await written(News("complete"), "attach: {x.y.z}")
    assert letter == Letter("", "complete\n(no picture: template failed: 'x' is undefined)")
