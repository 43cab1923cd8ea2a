"""Writes a notifier's letters: templates rendered elsewhere, pictures fetched now. Whatever fails, there is a text."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Protocol

from trio_moon.config.problems import TemplateFailed
from trio_moon.config.templates import Template
from trio_moon.features.notifiers.news import Letter, News, Picture
from trio_moon.features.notifiers.settings import NotifierSettings


class Renders(Protocol):
    """Renders a template with a budget."""

    async def render(self, template: Template, context: Mapping[str, object]) -> str: ...


class Collects(Protocol):
    """Fetches attachments; never raises for one that can't be had."""

    async def collect(self, attach: str) -> tuple[tuple[Picture, ...], tuple[str, ...]]: ...


class Composer:
    """Turns news into the letter that one notifier's settings ask for."""

    def __init__(self, settings: NotifierSettings, renderer: Renders, pictures: Collects) -> None:
        self._settings = settings
        self._renderer = renderer
        self._pictures = pictures

    async def address(self, news: News) -> str:
        """Where letters about this go. TemplateFailed if the url's template fails."""
        return await self._renderer.render(self._settings.url, news.context())

    async def compose(self, news: News) -> tuple[Letter, tuple[str, ...]]:
        """The letter, and what went wrong with it: that is told in the letter, too."""
        problems: list[str] = []
        context = news.context()
        title = await self._text(self._settings.title, "", "title", context, problems)
        plain = news.message or news.event_name
        body = await self._text(self._settings.body, plain, "body", context, problems)
        attach = await self._text(self._settings.attach, "", "attach", _on_one_line(context), problems)
        pictures, missing = await self._pictures.collect(attach)
        problems += [f"no picture: {reason}" for reason in missing]
        return Letter(title, self._with_remarks(body, problems), pictures), tuple(problems)

    async def _text(
        self,
        template: Template | None,
        default: str,
        option: str,
        context: dict[str, object],
        problems: list[str],
    ) -> str:
        if template is None:
            return default
        try:
            return (await self._renderer.render(template, context)).strip()
        except TemplateFailed as error:
            problems.append(f"no picture: {error}" if option == "attach" else f"{option}: {error}")
            return default

    def _with_remarks(self, body: str, problems: list[str]) -> str:
        remarks = [f"({problem})" for problem in problems]
        if self._settings.body_format == "html":
            return "<br>\n".join([body, *map(html.escape, remarks)] if body else map(html.escape, remarks))
        separator = "\n\n" if self._settings.body_format == "markdown" else "\n"
        return separator.join([body, *remarks] if body else remarks)


def _on_one_line(value: object) -> dict[str, object]:
    """The same without line ends in any text: a file's name must not add a line to the attachments."""
    copied = _without_line_ends(value)
    assert isinstance(copied, dict)
    return copied


def _without_line_ends(value: object) -> object:
    if isinstance(value, str):
        return " ".join(value.splitlines())
    if isinstance(value, dict):
        return {key: _without_line_ends(item) for key, item in value.items()}
    return [_without_line_ends(item) for item in value] if isinstance(value, list) else value
