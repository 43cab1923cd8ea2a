"""Arguments as they come (text of a query, JSON of a body) made a frozen Struct, or one clear sentence."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import msgspec

from trio_moon.kit.json_codec import encode
from trio_moon.model.errors import BadParams

Arguments = Mapping[str, object]
P = TypeVar("P")


class NoParams(msgspec.Struct, frozen=True):
    """The call takes no arguments; what is sent along is ignored."""


class AnyParams(msgspec.Struct, frozen=True):
    """The call takes whatever is sent: `arguments` as they came."""

    arguments: Arguments

    @classmethod
    def from_arguments(cls, arguments: Arguments) -> AnyParams:
        return cls(arguments)


def binder(kind: type[P]) -> Callable[[Arguments], P]:
    """The function that makes a `kind` of arguments.

    Fields are converted by their types (`"1"` becomes 1, `"true"` True; limits by `Annotated[int, Meta(ge=1)]`).
    A `from_arguments` of the class takes precedence; `sent` then is the class of what is sent, for the API's
    document, where it differs from what it becomes. Raises BadParams naming the argument.
    """
    own = getattr(kind, "from_arguments", None)
    if own is not None:
        return cast(Callable[[Arguments], P], own)
    if not issubclass(kind, msgspec.Struct):
        raise TypeError(f"{kind!r} is no Struct")
    names = kind.__struct_fields__
    if not names:
        nothing = kind()
        return lambda arguments: nothing

    def bind(arguments: Arguments) -> P:
        known = {name: arguments[name] for name in names if name in arguments}
        bound = convert(known, kind)
        for name in known:
            value = getattr(bound, name)
            if type(value) is float and not math.isfinite(value):
                raise BadParams(f"argument '{name}': expected a finite number")
        return bound

    return bind


def convert(value: object, kind: type[P]) -> P:
    """`value` as a `kind`, leniently; raises BadParams with a sentence that names the argument."""
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise BadParams(_sentence(str(error), value)) from None


def _sentence(problem: str, value: object) -> str:
    missing = re.match(r"Object missing required field `(\w+)`", problem)
    if missing:
        return f"argument '{missing[1]}' is missing"
    where = re.match(r"(?P<what>.*?) - at `\$\.?(?P<path>.*)`$", problem)
    if where is None or not where["path"]:
        return f"bad arguments: {_plain(problem)}"
    name = where["path"]
    found: Any = value.get(name) if isinstance(value, Mapping) else None
    shown = f", got {encode(found).decode():.80}" if found is not None else ""
    return f"argument '{name}': {_plain(where['what'])}{shown}"


_NAMES = {
    "int": "an integer",
    "str": "a string",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
}


def _plain(problem: str) -> str:
    problem = re.sub(r", got `\w+`$", "", problem)
    problem = re.sub(r"`([^`]*)`", lambda m: " or ".join(_NAMES.get(n, n) for n in m[1].split(" | ")), problem)
    return problem[:1].lower() + problem[1:]
