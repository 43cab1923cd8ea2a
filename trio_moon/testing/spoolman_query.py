"""Searching, sorting and paging MockSpoolman's lists, by Spoolman's rules."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import TypeVar

from trio_moon.testing.spoolman_fields import (
    Field,
    ValidationError,
    Wrong,
    integer,
    problem,
    read_fields,
    read_flag,
)
from trio_moon.testing.spoolman_items import Filament, Spool, Vendor
from trio_moon.testing.spoolman_store import StoreError

T = TypeVar("T", Vendor, Filament, Spool)
Key = Callable[[T], tuple[object, ...]]

ID_LIST = r"^-?\d+(,-?\d+)*$"
SPOOL_TEXTS = ("filament.name", "filament.material", "filament.multi_color_direction", "filament.vendor.name")
SPOOL_OWN_TEXTS = ("location", "lot_nr")
NEVER_NULL = ("filament.vendor.name", "vendor.name")
"""An empty search term does not find those without a vendor by these."""
OLD_NAMES = {
    "filament_name": "filament.name",
    "filament_id": "filament.id",
    "filament_material": "filament.material",
    "vendor_name": "filament.vendor.name",
    "vendor_id": "filament.vendor.id",
}
PAGING = (Field("limit", integer()), Field("offset", integer()))
NOT_PLAYED = re.compile(r"^(first_used|last_used|registered|color_hex|color_similarity_threshold|.*extra\..*)$")


def find_spools(spools: Iterable[Spool], query: Mapping[str, str]) -> tuple[list[Spool], int]:
    """The page of spools that a query asks for, and how many there are without paging."""
    given = {new: query[old] for old, new in OLD_NAMES.items() if old in query} | dict(query)
    values = read_fields(given, (Field("allow_archived", read_flag), *PAGING), "query")
    found = [spool for spool in spools if values.get("allow_archived") or not spool.archived]
    found = _by_ids(found, given, "filament.id")
    found = _by_ids(found, given, "filament.vendor.id")
    found = _by_texts(found, given, SPOOL_TEXTS + SPOOL_OWN_TEXTS)
    return _page(found, given, values, "Spool")


def find_filaments(filaments: Iterable[Filament], query: Mapping[str, str]) -> tuple[list[Filament], int]:
    """The page of filaments that a query asks for, and how many there are without paging."""
    old = {"vendor_name": "vendor.name", "vendor_id": "vendor.id"}
    given = {new: query[name] for name, new in old.items() if name in query} | dict(query)
    values = read_fields(given, PAGING, "query")
    found = _by_ids(list(filaments), given, "vendor.id")
    found = _by_texts(found, given, ("vendor.name", "name", "material", "article_number", "external_id"))
    return _page(found, given, values, "Filament")


def find_vendors(vendors: Iterable[Vendor], query: Mapping[str, str]) -> tuple[list[Vendor], int]:
    """The page of vendors that a query asks for, and how many there are without paging."""
    values = read_fields(query, PAGING, "query")
    return _page(_by_texts(list(vendors), query, ("name", "external_id")), query, values, "Vendor")


def _page(found: list[T], query: Mapping[str, str], values: dict[str, object], word: str) -> tuple[list[T], int]:
    for name in query:
        if NOT_PLAYED.match(name):
            raise StoreError(501, f"MockSpoolman does not play the parameter {name}.")
    for path, descending in reversed(_sorts(query.get("sort"))):
        key = _sort_key(path, word)
        known = [item for item in found if None not in key(item)]
        unknown = [item for item in found if None in key(item)]
        found = sorted(known, key=key, reverse=descending) + unknown
    limit, offset = values.get("limit"), values.get("offset") or 0
    if limit is None:
        return found, len(found)
    assert isinstance(limit, int)
    assert isinstance(offset, int)
    return found[offset : offset + limit], len(found)


def _sorts(wish: str | None) -> list[tuple[str, bool]]:
    sorts = []
    for item in filter(None, (item.strip() for item in (wish or "").split(","))):
        path, colon, direction = item.partition(":")
        if not colon:
            raise StoreError(400, f"Invalid sort '{item}', expected the form 'field:asc' or 'field:desc'.")
        if not path:
            raise StoreError(400, f"Invalid sort '{item}', no field name was given.")
        if (word := direction.strip().lower()) not in ("asc", "desc"):
            tail = f"'{direction}' for field '{path}', expected 'asc' or 'desc'."
            raise StoreError(400, f"Invalid sort direction {tail}")
        sorts.append((path, word == "desc"))
    return sorts


def _sort_key(path: str, word: str) -> Callable[[object], tuple[object, ...]]:
    if word == "Spool" and path == "filament.combined_name":
        return lambda item: (follow(item, "filament.vendor.name"), follow(item, "filament.name"))
    if word == "Spool" and path == "price":
        return lambda item: (_first(follow(item, "price"), follow(item, "filament.price")),)
    derived = ("remaining_weight", "remaining_length", "used_length")
    if not (word == "Spool" and path in derived):
        _check_path(path, word)
    return lambda item: (follow(item, path),)


def _first(*values: object) -> object:
    return next((value for value in values if value is not None), None)


def _check_path(path: str, word: str) -> None:
    kinds: dict[str, type[Vendor | Filament | Spool]] = {
        "Vendor": Vendor,
        "Filament": Filament,
        "Spool": Spool,
    }
    inner = {("Spool", "filament"): "Filament", ("Filament", "vendor"): "Vendor"}
    head, _, rest = path.partition(".")
    if (next_word := inner.get((word, head))) is not None:
        if not rest:
            raise StoreError(400, f"No field specified for {head}")
        return _check_path(rest, next_word)
    if head not in {each.name for each in fields(kinds[word])} - {"extra"}:
        raise StoreError(400, f"Invalid field name '{path}', '{head}' is not a valid field on '{word}'.")
    if rest:
        raise StoreError(400, f"Field '{head}' does not have any nested fields")
    return None


def follow(item: object, path: str) -> object:
    """The value at a dotted path, or None where the path ends early."""
    for name in path.split("."):
        item = getattr(item, name, None)
    return item


def _by_ids(found: list[T], query: Mapping[str, str], path: str) -> list[T]:
    if (wish := query.get(path)) is None:
        return found
    if re.match(ID_LIST, wish) is None:
        wrong = Wrong("string_pattern_mismatch", f"String should match pattern '{ID_LIST}'", pattern=ID_LIST)
        raise ValidationError([problem(["query", path], wish, wrong)])
    wanted = {None if number == -1 and "vendor" in path else number for number in map(int, wish.split(","))}
    return [item for item in found if follow(item, path) in wanted]


def _by_texts(found: list[T], query: Mapping[str, str], paths: tuple[str, ...]) -> list[T]:
    for path in paths:
        if (wish := query.get(path)) is not None:
            found = [item for item in found if _matches(follow(item, path), wish, path in NEVER_NULL)]
    return found


def _matches(value: object, wish: str, never_null: bool) -> bool:
    return any(_matches_part(value, part, never_null) for part in wish.split(","))


def _matches_part(value: object, part: str, never_null: bool) -> bool:
    if not part:
        return value == "" or (value is None and not never_null)
    if not isinstance(value, str):
        return False
    if part[0] == '"' and part[-1] == '"':
        return value == part[1:-1]
    return part.lower() in value.lower()
