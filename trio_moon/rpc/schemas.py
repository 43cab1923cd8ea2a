"""JSON Schemas of what calls take, for the API's document."""

from __future__ import annotations

import re
from collections.abc import Iterable
from inspect import cleandoc
from typing import Any

import msgspec

from trio_moon.kit.json_codec import encode

Json = dict[str, Any]

REFERENCE = "#/components/schemas/"
PLAIN_TYPES = ("string", "integer", "number", "boolean")
NOTHING: Json = {"type": "object", "properties": {}}


def sent(kind: type[Any]) -> type[Any]:
    """What is sent for parameters of this kind: it may differ from what they become."""
    described: type[Any] = getattr(kind, "sent", kind)
    return described


class Schemas:
    """The schemas of parameter types by their names; remembers which of them were referred to."""

    def __init__(self, kinds: Iterable[type[Any]]) -> None:
        ordered = sorted(set(kinds), key=lambda kind: (kind.__module__, kind.__qualname__))
        references, known = msgspec.json.schema_components(
            ordered, schema_hook=_anything, ref_template=REFERENCE + "{name}"
        )
        self._names = {
            kind: reference["$ref"].removeprefix(REFERENCE) for kind, reference in zip(ordered, references, strict=True)
        }
        self._known = {name: _tidy(schema) for name, schema in known.items()}
        self._used: set[str] = set()

    def shape(self, kind: type[Any] | None, *, without: Iterable[str] = ()) -> Json:
        """The schema itself; `without` leaves properties out."""
        if kind is None:
            return NOTHING
        whole = self._known[self._names[kind]]
        if not without:
            return whole
        properties = {name: schema for name, schema in whole["properties"].items() if name not in without}
        required = [name for name in whole.get("required", ()) if name not in without]
        return _tidy({**whole, "properties": properties, "required": required})

    def reference(self, kind: type[Any]) -> Json:
        """A reference to the schema, which is among `used` then."""
        name = self._names[kind]
        self._used.add(name)
        return {"$ref": REFERENCE + name}

    def used(self) -> dict[str, Json]:
        """Those that were referred to, also by each other."""
        todo, reached = list(self._used), {}
        while todo:
            name = todo.pop()
            if name not in reached:
                reached[name] = self._known[name]
                todo += re.findall(rf"{REFERENCE}([\w.-]+)", encode(reached[name]).decode())
        return dict(sorted(reached.items()))


def parameter(name: str, schema: Json, where: str, *, required: bool = False) -> Json:
    """One parameter of an operation; what text can't say (lists, objects) is JSON under the name `name:json`."""
    must = {"required": True} if required else {}
    plain = _plain(schema)
    if plain is None:
        return {"name": f"{name}:json", "in": where, **must, "content": {"application/json": {"schema": schema}}}
    return {"name": name, "in": where, **must, "schema": plain}


def _plain(schema: Json) -> Json | None:
    options = [option for option in schema.get("anyOf", [schema]) if _is_plain(option)]
    if not options:
        return None
    rest = {name: value for name, value in schema.items() if name != "anyOf" and (name, value) != ("default", None)}
    if len(options) > 1:
        return {**rest, "anyOf": options}
    return {**rest, **options[0]} if "anyOf" in schema else rest


def _is_plain(schema: Json) -> bool:
    return schema.get("type") in PLAIN_TYPES or "enum" in schema


def _tidy(schema: Json) -> Json:
    """Without what says nothing; docstrings without their indentation."""
    tidy = {name: value for name, value in schema.items() if name != "title" and value != []}
    if "description" in tidy:
        tidy["description"] = cleandoc(tidy["description"])
    return tidy


def _anything(kind: type[Any]) -> Json:
    return {"description": "any JSON value"}
