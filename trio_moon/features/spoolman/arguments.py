"""Numbers of tools and spools as clients and macros write them."""

from __future__ import annotations

from trio_moon.model.errors import BadParams

MAX_TOOL = 98
LARGEST_ID = 2**63 - 1


def parse_number(value: object, name: str, least: int, most: int) -> int:
    """A whole number, or its digits in a string; BadParams with a sentence otherwise."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value.strip()) if len(value) < 25 else -1
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not least <= value <= most:
        raise BadParams(f"argument '{name}': {value!r:.60} is not a whole number from {least}")
    return value


def parse_macro_spool(value: object) -> int | None:
    """What macros say for a spool: a number or its digits; 0, nothing and None mean no spool."""
    if value is None or (value == 0 and value is not False) or (isinstance(value, str) and value.strip() in ("", "0")):
        return None
    return parse_number(value, "spool_id", 1, LARGEST_ID)
