"""What is wrong with a configuration, in words its owner understands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from trio_moon.model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

Severity = Literal["error", "warning"]


class Problem(Struct, frozen=True):
    """One thing to tell the owner of a configuration, and where it stands."""

    message: str
    file: str = ""  # relative to the main file's folder where it can be
    line: int = 0  # 0: no line to show
    section: str = ""
    option: str = ""
    severity: Severity = "error"

    def as_line(self) -> str:
        """One line for a log, a terminal or a browser's list of warnings."""
        place = f"{self.file} line {self.line}" if self.line else self.file
        parts = [place] if place else []
        if self.section:
            parts.append(f"[{self.section}]")
        if self.option:
            parts.append(f"option '{self.option}'")
        line = f"{', '.join(shortened(part, 200) for part in parts)}: {self.message}" if parts else self.message
        return " ".join(line.split())


def shortened(text: str, longest: int) -> str:
    """The text, or its beginning and an ellipsis: at most `longest` characters."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


class ConfigProblem(ConfigError):
    """A refused setting: the error's text is the problem's line."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.as_line())
        self.problem = problem

    def __reduce__(self) -> tuple[type[ConfigProblem], tuple[Problem]]:
        return type(self), (self.problem,)


class TemplateFailed(ConfigError):
    """A template that cannot be read or rendered; the text says why."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """A hint like `` (did you mean 'port'?)``, or nothing when no known word is close."""
    from difflib import get_close_matches  # most configurations have no misspelt word

    close = get_close_matches(word, sorted(known), n=1, cutoff=0.7)
    return f" (did you mean '{close[0]}'?)" if close else ""
