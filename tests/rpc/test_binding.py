from __future__ import annotations

import contextlib
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from trio_moon.model.errors import BadParams, TooLarge
from trio_moon.rpc.arguments import MAX_FORM, parse_body, parse_query
from trio_moon.rpc.binding import AnyParams, NoParams, binder


class Order(Struct, frozen=True):
    name: str
    count: Annotated[int, Meta(ge=1)] = 1
    weight: float | None = None
    urgent: bool = False
    tags: list[str] | None = None


bind = binder(Order)


def test_text_is_converted_by_the_fields_type() -> None:
    assert bind({"name": "x", "count": "3", "weight": "1.5", "urgent": "true"}) == Order("x", 3, 1.5, True)


def test_json_values_and_unknown_arguments() -> None:
    assert bind({"name": "x", "count": 2, "weight": None, "tags": ["a"], "other": 1}) == Order(
        "x", 2, None, False, ["a"]
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "argument 'name' is missing"),
        ({"name": 1}, "argument 'name': expected a string, got 1"),
        ({"name": "x", "count": "many"}, "argument 'count': expected an integer, got \"many\""),
        ({"name": "x", "count": 1.5}, "argument 'count': expected an integer, got 1.5"),
        ({"name": "x", "count": 0}, "argument 'count': expected an integer >= 1, got 0"),
        ({"name": "x", "count": True}, "argument 'count': expected an integer, got true"),
        ({"name": "x", "urgent": "maybe"}, "argument 'urgent': expected true or false, got \"maybe\""),
        ({"name": "x", "tags": [1]}, "argument 'tags[0]': expected a string"),
    ],
)
def test_what_does_not_fit_is_refused_with_one_sentence(arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(BadParams) as refused:
        bind(arguments)
    assert refused.value.message == sentence


def test_calls_without_parameters_ignore_what_is_sent() -> None:
    assert binder(NoParams)({"a": 1}) == NoParams()
    assert binder(AnyParams)({"a": 1}).arguments == {"a": 1}


def test_a_query_is_read_with_its_hints() -> None:
    assert parse_query("a=1&b:int=2&c:float=.5&d:bool=TRUE&e:json=[1]&f&g=x%20y+z&a=last") == {
        "a": "last",
        "b": 2,
        "c": 0.5,
        "d": True,
        "e": [1],
        "f": "",
        "g": "x y z",
    }


def test_names_with_colons_that_are_no_hints_stay() -> None:
    assert parse_query("gcode_macro%20A:B=1") == {"gcode_macro A:B": "1"}


@pytest.mark.parametrize("query", ["a:int=x", "a:float=", "a:bool=1", "a:json={", "a=%ff", "a&" * 5000])
def test_a_query_that_contradicts_itself_is_refused(query: str) -> None:
    with pytest.raises(BadParams):
        parse_query(query)


@pytest.mark.parametrize(
    ("kind", "body", "arguments"),
    [
        ("application/json", b'{"a": 1}', {"a": 1}),
        ("Application/JSON; charset=utf-8", b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ("application/x-www-form-urlencoded", b"a=1&b:int=2", {"a": "1", "b": 2}),
        ("application/json", b"", {}),
        ("", b" \r\n", {}),
    ],
)
def test_bodies_are_read_by_their_type(kind: str, body: bytes, arguments: dict[str, object]) -> None:
    assert parse_body(kind, body) == arguments


@pytest.mark.parametrize(
    ("kind", "body", "part"),
    [
        ("application/json", b'{"spool_id": 2', "not valid JSON"),
        ("application/json", b"[1]", "must be a JSON object, got an array"),
        ("application/json", b"null", "got null"),
        ("text/plain", b'{"a": 1}', "expected application/json"),
        ("", b"x", "unknown"),
        ("application/x-www-form-urlencoded", b"a=\xff", "ASCII"),
    ],
)
def test_a_body_that_cannot_be_understood_is_never_taken_for_an_empty_one(kind: str, body: bytes, part: str) -> None:
    with pytest.raises(BadParams, match=part):
        parse_body(kind, body)


@given(st.text(), st.binary())
def test_any_query_and_body_are_read_or_refused(query: str, body: bytes) -> None:
    with contextlib.suppress(BadParams):
        assert isinstance(parse_query(query), dict)
    with contextlib.suppress(BadParams):
        assert isinstance(parse_body("application/json", body), dict)


def test_a_long_form_is_refused_before_it_is_read() -> None:
    kind = "application/x-www-form-urlencoded"
    assert parse_body(kind, b"a=" + b"x" * (MAX_FORM - 2)) == {"a": "x" * (MAX_FORM - 2)}
    with pytest.raises(TooLarge):
        parse_body(kind, b"a=" + b"x" * (MAX_FORM - 1))
