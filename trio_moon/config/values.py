"""From the text of an option to its value; pure, and ValueError says what was found and expected."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypeVar

from msgspec import Struct

from trio_moon.config.problems import shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

N = TypeVar("N", int, float)

_TRUE: Final = frozenset({"1", "yes", "true", "on"})
_FALSE: Final = frozenset({"0", "no", "false", "off"})


LARGEST_SIZE_MIB: Final = 1 << 30  # a pebibyte: beyond any disk of a printer


class Limits(Struct, frozen=True):
    """The range a number must keep to."""

    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None

    def checked(self, value: N) -> N:
        """The value, or ValueError that names the limit it breaks."""
        if self.minimum is not None and value < self.minimum:
            raise ValueError(f"{value} is too small; it must be at least {self.minimum}")
        if self.maximum is not None and value > self.maximum:
            raise ValueError(f"{value} is too large; it must be at most {self.maximum}")
        if self.above is not None and value <= self.above:
            raise ValueError(f"{value} is too small; it must be more than {self.above}")
        return value


def parse_integer(text: str) -> int:
    """A whole number of reasonable length."""
    try:
        if len(text) > 30:
            raise ValueError
        return int(text)
    except ValueError:
        raise ValueError(_unexpected(text, "a whole number")) from None


def parse_number(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(_unexpected(text, "a number"))
    return value


def parse_size_mib(text: str) -> float:
    """A number of MiB, whole where it was written as one."""
    try:
        value = parse_number(text)
    except ValueError:
        raise ValueError(_unexpected(text, "a size in MiB")) from None
    if value > LARGEST_SIZE_MIB:
        raise ValueError(_unexpected(text, "a size in MiB"))
    return int(value) if value.is_integer() else value


def parse_boolean(text: str) -> bool:
    """True or false, in the four usual spellings of each."""
    word = text.lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError(_unexpected(text, "true or false"))


def parse_choice(text: str, choices: Sequence[str]) -> str:
    """One of the known words, whatever its capitals."""
    for word in choices:
        if word.lower() == text.lower():
            return word
    raise ValueError(_unexpected(text, f"one of {', '.join(choices)}"))


def parse_words(text: str) -> list[str]:
    """The words between commas or line ends; empty places are left out."""
    return [word.strip() for word in text.replace(",", "\n").split("\n") if word.strip()]


def _unexpected(text: str, expected: str) -> str:
    if not text:
        return f"is empty; {expected} is expected"
    return f"'{shortened(text, 60)}' is not {expected}"
