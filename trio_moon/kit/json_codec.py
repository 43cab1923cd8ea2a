"""JSON in and out: msgspec, with the leniency that Klipper's Python needs (it writes NaN and Infinity)."""

from __future__ import annotations

import codecs
import json
from typing import Any

import msgspec

Raw = msgspec.Raw
"""Bytes that already are JSON: they pass through an encoder untouched."""

encode = msgspec.json.Encoder().encode
"""Any JSON-able object (dataclasses, structs and `Raw` too) as compact UTF-8 bytes; NaN and Infinity become null."""


MAX_DEPTH = 100
"""Of what clients send: lists and objects within each other."""
ALWAYS_SHALLOW = 2 * MAX_DEPTH
"""So short a text can't be nested more deeply."""
MAX_CONTAINERS = 200_000
"""Of what clients send: lists and objects in all. Millions take a gigabyte, and seconds of everybody's time."""


class NotJson(ValueError):
    """The text is no JSON; the message says where."""


def decode(data: bytes | str) -> object:
    """The value of one JSON text; NotJson if it is none. Accepts Python's NaN and Infinity, and a byte order mark."""
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        return _decode_leniently(data, str(error))
    except (RecursionError, UnicodeDecodeError) as error:
        raise NotJson(f"unreadable JSON: {error}") from error


def decode_call(data: bytes | str) -> object:
    """As `decode`, for what clients ask of us: what is no JSON is refused, not mended, and so is deep nesting."""
    if isinstance(data, bytes):
        data = data.removeprefix(codecs.BOM_UTF8)
    refuse_number(data)
    try:
        value = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise NotJson(f"not valid JSON: {error}") from None
    except (RecursionError, UnicodeError) as error:
        raise NotJson(f"unreadable JSON: {error}") from None
    if len(data) > ALWAYS_SHALLOW:
        refuse_depth(data, value)
    return value


def refuse_number(data: bytes | str) -> None:
    """Raise NotJson if `data` may be too many lists and objects; those signs in texts count, too."""
    if len(data) > MAX_CONTAINERS and _openers(data) > MAX_CONTAINERS:
        raise NotJson(f"more than {MAX_CONTAINERS} lists and objects")


def refuse_depth(data: bytes | str, value: object) -> None:
    """Raise NotJson if `value`, read from `data`, is nested so deeply that whoever works on it may run out of stack."""
    if _openers(data) <= MAX_DEPTH:
        return
    level: list[Any] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise NotJson(f"JSON may be nested {MAX_DEPTH} levels deep")


def _openers(data: bytes | str) -> int:
    openers = (b"[", b"{") if isinstance(data, bytes) else ("[", "{")
    return sum(map(data.count, openers))  # type: ignore[arg-type]


def _decode_leniently(data: bytes | str, reason: str) -> object:
    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
        value: object = json.loads(text)
        return value if "\\u" not in text else _without_lone_surrogates(value)
    except RecursionError:
        raise NotJson("JSON is nested too deeply") from None
    except ValueError:
        raise NotJson(f"not valid JSON: {reason}") from None


def _without_lone_surrogates(value: object) -> object:
    """Python writes broken text as lone surrogates, which nobody can encode again: they become question marks."""
    text = json.dumps(value, ensure_ascii=False)
    cleaned = text.encode("utf-8", "replace").decode()
    return value if cleaned == text else json.loads(cleaned)
