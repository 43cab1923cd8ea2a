"""Dotted keys: `view.tempchart.hidden` reaches into nested objects. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trio_moon.model.errors import BadParams, NotFound

MISSING: Final = object()
DEEPEST = 64

Path = tuple[str, ...]


def parse_key(key: object) -> Path:
    """The steps of a key: text with dots, or a list of names that may hold dots themselves."""
    steps = key.split(".") if isinstance(key, str) else key
    usable = isinstance(steps, list) and steps and all(isinstance(step, str) and step for step in steps)
    if not usable or not isinstance(steps, list):
        raise BadParams(f"argument 'key': {key!r:.100} is no key: expected text like 'a.b' or a list of names")
    if len(steps) > DEEPEST:
        raise BadParams(f"argument 'key': more than {DEEPEST} levels")
    return tuple(steps)


def look_up(value: object, path: Path) -> object:
    """What stands at `path` inside `value`; MISSING if nothing does."""
    for step in path:
        if not isinstance(value, Mapping) or step not in value:
            return MISSING
        value = value[step]
    return value


def set_at(value: object, path: Path, new: object) -> object:
    """`value` with `new` at `path`; objects on the way are made. BadParams if something else stands in the way."""
    if not path:
        return new
    if value is MISSING:
        value = {}
    if not isinstance(value, dict):
        raise BadParams(f"there is no object to put '{path[0]:.100}' into")
    return {**value, path[0]: set_at(value.get(path[0], MISSING), path[1:], new)}


def remove_at(value: object, path: Path) -> object:
    """`value` without what stands at `path`; NotFound if nothing does. An empty path leaves MISSING."""
    if not path:
        return MISSING
    if not isinstance(value, dict) or path[0] not in value:
        raise NotFound(f"Key '{path[0]:.100}' not found")
    rest = remove_at(value[path[0]], path[1:])
    others = {name: item for name, item in value.items() if name != path[0]}
    return others if rest is MISSING else {**value, path[0]: rest}
