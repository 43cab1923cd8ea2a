"""JSON in and out: msgspec, with the leniency that Klipper's Python needs (it writes NaN and Infinity)."""

from __future__ import annotations

import json

import msgspec

Raw = msgspec.Raw
"""Bytes that already are JSON: they pass through an encoder untouched."""

encode = msgspec.json.Encoder().encode
"""Any JSON-able object (dataclasses, structs and `Raw` too) as compact UTF-8 bytes; NaN and Infinity become null."""


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


def _decode_leniently(data: bytes | str, reason: str) -> object:
    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
        return json.loads(text)
    except RecursionError:
        raise NotJson("JSON is nested too deeply") from None
    except ValueError:
        raise NotJson(f"not valid JSON: {reason}") from None
