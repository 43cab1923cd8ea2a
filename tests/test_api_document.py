"""The API's document is complete and true: what it says is taken, is taken, and what it asks for is needed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.test_readme import EVERYTHING
from trio_moon.app import App, Options
from trio_moon.config import Document
from trio_moon.features.server.summaries import SUMMARIES
from trio_moon.model.errors import BadParams
from trio_moon.model.paths import DataPaths
from trio_moon.rpc.arguments import parse_query
from trio_moon.rpc.endpoint import Method, upload_only
from trio_moon.rpc.jsonrpc import JSONRPC_PATH
from trio_moon.rpc.openapi import describe, key_of

SAMPLES: dict[str, object] = {
    "string": "/v1/x",  # a text that everybody takes: Spoolman's proxy wants a path
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "array": [],
    "object": {},
}
VERBS = {"get", "post", "delete"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    return App(Document.parse(EVERYTHING), DataPaths(tmp_path_factory.mktemp("data")), Options(debug=True))


@pytest.fixture(scope="module")
def methods(app: App) -> dict[tuple[str, str], Method]:
    """By verb and path, as the document has them."""
    return {
        (method.verb.lower(), method.endpoint.path.replace("...}", "}")): method
        for method in app.registry
        if method.endpoint.path and not method.endpoint.path.startswith("//")
    }


@pytest.fixture(scope="module")
def document(app: App) -> Any:
    return json.loads(json.dumps(describe(app.registry, version="1", summaries=SUMMARIES)))


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            yield verb, path, operation


def sample(schema: Any) -> object:
    option = schema.get("anyOf", [schema])[0]
    return option["enum"][0] if "enum" in option else SAMPLES.get(option.get("type"), 1)


def in_query(operation: Any) -> dict[str, object]:
    """Every parameter of a query, each with a sample of its schema."""
    found = {}
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "query":
            plain = "schema" in parameter
            schema = parameter["schema"] if plain else parameter["content"]["application/json"]["schema"]
            found[parameter["name"]] = sample(schema) if plain else json.dumps(sample(schema))
    return found


def body_of(document: Any, operation: Any) -> Any:
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if schema and "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def held(path: str) -> dict[str, object]:
    return {name: "x" for name in re.findall(r"\{(\w+)", path)}


def test_it_has_every_method_and_no_other(document: Any, methods: dict[tuple[str, str], Method], app: App) -> None:
    told = {(verb, path): operation for verb, path, operation in operations(document)}
    assert told.pop(("post", JSONRPC_PATH))
    assert set(told) == set(methods)
    for key, method in methods.items():
        assert told[key].get("x-jsonrpc-method", "") == method.name
        assert ("security" in told[key]) == method.endpoint.open_to_all
    pathless = {method.name for method in app.registry if not method.endpoint.path}
    assert {entry["method"] for entry in document["x-jsonrpc-only"]} == pathless


def test_every_method_is_summed_up(app: App) -> None:
    keys = {key_of(method) for method in app.registry if not method.endpoint.path.startswith("//")}
    assert keys - set(SUMMARIES) == set(), "add them to features/server/summaries.py"
    assert set(SUMMARIES) - keys == set(), "nobody offers them"
    assert [summary for summary in SUMMARIES.values() if not re.fullmatch(r"[A-Z'].{3,90}\.", summary)] == []


def test_what_it_refers_to_is_there_and_names_are_used_once(document: Any) -> None:
    references = set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)))
    assert len(references) > 20
    for reference in references:
        found = document
        for part in reference.split("/"):
            found = found[part]
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    for verb, path, operation in operations(document):
        assert verb in VERBS
        assert {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"} == set(held(path))


def test_what_it_says_of_queries_is_taken(document: Any, methods: dict[tuple[str, str], Method]) -> None:
    tried = 0
    for verb, path, operation in operations(document):
        method = methods.get((verb, path))
        if method is None or method.handler is upload_only:
            continue
        arguments = parse_query(urlencode(in_query(operation)))
        needed = set((body_of(document, operation) or {}).get("required", ())) | {
            parameter["name"].removesuffix(":json")
            for parameter in operation.get("parameters", ())
            if parameter.get("required")
        }
        if needed <= {*arguments, *held(path)}:  # passwords stand in the body alone
            method.bind({**arguments, **held(path)})
            tried += 1
        if verb != "post":
            for name in needed - set(held(path)):
                with pytest.raises(BadParams):
                    method.bind({**held(path), **{other: arguments[other] for other in arguments if other != name}})
    assert tried > 100


def test_what_it_says_of_bodies_is_taken_and_what_it_asks_for_is_needed(
    document: Any, methods: dict[tuple[str, str], Method]
) -> None:
    needed = 0
    for verb, path, operation in operations(document):
        schema = body_of(document, operation)
        if (verb, path) not in methods or schema is None:
            continue
        bind = methods[verb, path].bind
        whole = {**held(path), **{name: sample(field) for name, field in schema["properties"].items()}}
        bind(whole)
        for name in schema.get("required", []):
            needed += 1
            with pytest.raises(BadParams):
                bind({other: value for other, value in whole.items() if other != name})
    assert needed > 20


def test_it_is_small(document: Any) -> None:
    assert len(json.dumps(document, separators=(",", ":"))) < 100_000
