"""The floors of the house: imports go down only, type-only imports too, and rooms don't know each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import trio_moon

PACKAGE = Path(trio_moon.__file__).parent
FLOORS = {
    "kit": 0,
    "model": 1,
    "config": 2,
    "rpc": 2,
    "printer": 3,
    "store": 3,
    "features": 4,
    "web": 5,
    "logbook": 5,
    "rooms": 6,
    "app": 7,
    "testing": 7,
    "demo": 8,
    "arguments": 8,
    "cli": 9,
    "__main__": 10,
}
FORBIDDEN_NAMES = {"utils", "helpers", "common", "manager", "base", "misc"}
MODULES = sorted(path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py"))


def imports(module: Path) -> Iterator[tuple[str, ...]]:
    """What a module imports of our own package, as parts below `trio_moon`."""
    for node in ast.walk(ast.parse((PACKAGE / module).with_suffix(".py").read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (tuple(name.split(".")[1:]) for name in names if name.startswith("trio_moon."))


def room_of(parts: tuple[str, ...]) -> tuple[str, ...]:
    """The part of the house: a room for features, a package or a module of the roof else."""
    return parts[:2] if parts[0] == "features" else parts[:1]


@pytest.mark.parametrize("module", [path for path in MODULES if path.parts != ("__init__",)], ids=str)
def test_imports_go_down_and_rooms_keep_to_themselves(module: Path) -> None:
    here = room_of(module.parts)
    for target in imports(module):
        if not target or target[0] == "__version__":
            continue
        there = room_of(target)
        assert there[0] in FLOORS, f"{module} imports {'.'.join(target)}, which has no floor"
        if there == here or (here[0] == "features" and there == ("features",)):
            continue
        assert FLOORS[there[0]] < FLOORS[here[0]], f"{module} must not import {'.'.join(target)}"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_rooms_are_entered_by_their_door(module: Path) -> None:
    for target in imports(module):
        if target[:1] == ("features",) and room_of(target) != room_of(module.parts):
            assert len(target) <= 3, f"{module} reaches behind the door of {target[1]}: {'.'.join(target)}"


def test_names_say_what_is_inside() -> None:
    assert not [str(path) for path in MODULES if FORBIDDEN_NAMES & set(path.parts)]


def test_every_floor_exists_or_is_to_come() -> None:
    found = {path.parts[0] for path in MODULES} - {"__init__"}
    assert found <= set(FLOORS)
