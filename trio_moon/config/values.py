"""From the text of an option to its value; pure, and ValueError says what was found and expected."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

_TRUE: Final = frozenset({"1", "yes", "true", "on"})
_FALSE: Final = frozenset({"0", "no", "false", "off"})


@dataclass(frozen=True, slots=True)
class Limits:
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None

    def checked(self, value: float, text: str) -> float:
        if self.minimum is not None and value < self.minimum:
            raise ValueError(f"'{text}' is too small; it must be at least {self.minimum}")
        if self.maximum is not None and value > self.maximum:
            raise ValueError(f"'{text}' is too large; it must be at most {self.maximum}")
        if self.above is not None and value <= self.above:
            raise ValueError(f"'{text}' is too small; it must be more than {self.above}")
        if self.below is not None and value >= self.below:
            raise ValueError(f"'{text}' is too large; it must be less than {self.below}")
        return value


def parse_integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"'{text}' is not a whole number") from None


def parse_number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"'{text}' is not a number")
    return value


def parse_size_mib(text: str) -> float:
    try:
        value = parse_number(text)
    except ValueError:
        raise ValueError(f"'{text}' is not a number; a size in MiB is expected") from None
    return int(value) if value.is_integer() else value


def parse_boolean(text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(f"'{text}' is neither true nor false")


def parse_choice(text: str, choices: Mapping[str, T]) -> T:
    word = text.strip()
    if word in choices:
        return choices[word]
    for known, value in choices.items():
        if known.lower() == word.lower():
            return value
    raise ValueError(f"'{word}' is not one of {', '.join(choices)}")


def parse_words(text: str, separator: str) -> list[str]:
    """The words between separators or line ends; empty places are left out."""
    return [word.strip() for word in text.replace(separator, "\n").split("\n") if word.strip()]
