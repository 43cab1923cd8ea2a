"""HTTP's ways of writing arguments: query strings with type hints, forms, and JSON bodies. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from trio_moon.kit.json_codec import NotJson, decode_call
from trio_moon.model.errors import BadParams, TooLarge

MAX_FIELDS = 1000
MAX_FORM = 1 << 20
"""Bytes of a form in a body: what is written with percent signs takes long to read."""


def parse_query(query: str) -> dict[str, object]:
    """`a=1&b:int=2&c` as `{"a": "1", "b": 2, "c": ""}`. Of a repeated key the last counts.

    Hints are `:int`, `:float`, `:bool`, `:json`; a value that doesn't fit its hint is refused with BadParams.
    """
    if not query:
        return {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except UnicodeDecodeError:
        raise BadParams("the query string is not valid UTF-8") from None
    except ValueError:
        raise BadParams(f"the query string has more than {MAX_FIELDS} fields") from None
    return dict(_typed(key, value) for key, value in pairs)


def _typed(key: str, value: str) -> tuple[str, object]:
    name, colon, hint = key.rpartition(":")
    if not colon:
        return key, value
    try:
        match hint:
            case "int":
                return name, int(value)
            case "float":
                return name, float(value)
            case "bool":
                return name, {"true": True, "false": False}[value.lower()]
            case "json":
                return name, decode_call(value)
            case "str":
                return name, value
    except (ValueError, KeyError):  # NotJson is a ValueError
        raise BadParams(f"argument '{name}': {value!r:.80} is no {hint}") from None
    return key, value


def parse_body(content_type: str, body: bytes) -> dict[str, object]:
    """The arguments in a request's body: a JSON object or a form. An empty body has none.

    Raises BadParams for malformed JSON, for JSON that is no object, and for other kinds of content:
    a body that can't be understood must never be taken for an empty one.
    """
    if not body or body.isspace():
        return {}
    kind = content_type.partition(";")[0].strip().lower()
    if kind in ("application/json", "text/json") or kind.endswith("+json"):
        return parse_json_object(body)
    if kind == "application/x-www-form-urlencoded":
        if len(body) > MAX_FORM:
            raise TooLarge(f"a form may have {MAX_FORM} bytes: send JSON")
        try:
            return parse_query(body.decode("ascii"))
        except UnicodeDecodeError:
            raise BadParams("the form in the body is not ASCII") from None
    raise BadParams(f"a body of type {kind or 'unknown'!r:.60} can't be read: expected application/json or a form")


def parse_json_object(body: bytes | str) -> dict[str, object]:
    """One JSON object; BadParams otherwise."""
    try:
        value = decode_call(body)
    except NotJson as error:
        raise BadParams(f"the body is {error}") from None
    if not isinstance(value, dict):
        raise BadParams(f"the body must be a JSON object, got {json_name(value)}")
    return value


def json_name(value: object) -> str:
    """What JSON calls the type of a decoded value, with its article."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case Mapping():
            return "an object"
        case _:
            return type(value).__name__
