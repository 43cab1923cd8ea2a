"""From the text of a slicer's comment to its value; None for what isn't there or makes no sense. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable

_NUMBER = re.compile(r"\d*\.?\d+")
_WORD = re.compile(r'\s*"((?:\\.|[^"\\])*)"\s*|([^,;]+)')
_SPANS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))

MOST_VALUES = 1000
LONGEST = 20_000
"""Characters of a text that lists are read from."""


def number(text: str | None) -> float | None:
    """The number that a text begins with."""
    match = _NUMBER.match(text.lstrip()) if text else None
    return _finite(match[0]) if match else None


def whole(text: str | None) -> int | None:
    """The whole number that a text begins with."""
    found = re.match(r"\s*(\d{1,18})", text) if text else None
    return int(found[1]) if found else None


def numbers(text: str | None) -> list[float]:
    """Every number in a text."""
    return [_finite(found) or 0.0 for found in _NUMBER.findall((text or "")[:LONGEST])[:MOST_VALUES]]


def total(text: str | None) -> float | None:
    """The sum of the numbers in a text: one for each tool."""
    found = numbers(text)
    return sum(found) if found else None


def words(text: str | None) -> list[str]:
    """The items of a list that is separated by commas or semicolons; quotes protect both."""
    found = []
    for match in _WORD.finditer((text or "")[:LONGEST]):
        word = match[2] if match[1] is None else re.sub(r"\\(.)", r"\1", match[1])
        if word.strip():
            found.append(word.strip())
    return found[:MOST_VALUES]


def wholes(text: str | None) -> list[int] | None:
    """A list of whole numbers; None if one of them is something else."""
    try:
        return [int(word) for word in words(text)]
    except ValueError:
        return None


def joined(text: str | None) -> str | None:
    """One word as it is, several as a JSON list: so the API names filaments of several tools."""
    found = words(text)
    if len(found) > 1:
        return json.dumps(found)
    return found[0] if found else None


def unquoted(text: str | None) -> str | None:
    """The text without quotes around it."""
    return text.strip('"') if text is not None else None


def seconds(text: str | None) -> float | None:
    """`1d 2h 3m 4s` in seconds."""
    if not text:
        return None
    found = [(re.search(rf"(\d{{1,9}}){unit}", text), span) for unit, span in _SPANS]
    return sum(int(match[1]) * span for match, span in found if match)


def searched(pattern: str, text: str) -> float | None:
    """The number that the pattern's group catches at its first place."""
    match = re.search(pattern, text)
    return number(match[1]) if match else None


def all_searched(pattern: str, text: str) -> list[float]:
    """The numbers that the pattern's group catches."""
    return [value for found in re.findall(pattern, text) if (value := _finite(found)) is not None]


def _finite(digits: str) -> float | None:
    """JSON knows no infinity, and a print has none either."""
    value = float(digits[:100])
    return value if math.isfinite(value) else None


def lowest(found: Iterable[float]) -> float | None:
    return min(found, default=None)


def highest(found: Iterable[float]) -> float | None:
    return max(found, default=None)
