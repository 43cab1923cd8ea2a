"""The proxy's rules: what may be asked, and that no path leads out of Spoolman's API."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_moon.features.spoolman.client import SpoolmanClient
from trio_moon.features.spoolman.exchange import Answer
from trio_moon.features.spoolman.proxy import ProxyCall, checked_path, forward
from trio_moon.kit.json_codec import Raw
from trio_moon.model.errors import BadParams, SpoolmanRefused


def call(**arguments: object) -> ProxyCall:
    return ProxyCall.from_arguments({"request_method": "GET", "path": "/v1/spool", **arguments})


@pytest.mark.parametrize("path", ["/v1/spool", "/v1/spool/1", "/v1/setting/", "/v1/field/spool/a%20b", "/v1/a b/ä"])
def test_paths_of_the_api_pass(path: str) -> None:
    assert checked_path(path).startswith("/v1/")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1",
        "v1/spool",
        "/api/v1/spool",
        "/v1/../../admin",
        "/v1/..",
        "/v1/%2e%2e/admin",
        "/v1/%252e%252e/admin",
        "/v1/%2E./x",
        "/v1/..%2fadmin",
        "/v1/..%5cadmin",
        "/v1/..\\admin",
        "/v1/./x",
        "/v1//evil.example",
        "//evil.example/v1/",
        "http://evil.example/v1/spool",
        "/v1/@evil.example/../x",
        "/v1/..;/admin",
        "/v1/spool?x=1",
        "/v1/spool#x",
        "/v1/spool\r\nX: y",
        "/v1/%0d%0aX: y",
        "/v1/%00",
        "/v1/%3fx",
        "/v1/%252525252525252e%2e/x",
    ],
)
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    with pytest.raises(BadParams):
        checked_path(path)


@given(st.text(max_size=40))
def test_whatever_a_path_holds_what_passes_stays_inside(text: str) -> None:
    try:
        path = checked_path("/v1/" + text)
    except BadParams:
        return
    assert path.isascii()
    assert path.startswith("/v1/")
    assert not set(path) & set(" ?#\\\r\n")
    assert ".." not in path.split("/")


@pytest.mark.parametrize(
    "arguments",
    [
        {"request_method": "get"},
        {"request_method": "TRACE"},
        {"request_method": 5},
        {"path": None},
        {"body": {}},
        {"body": False},
        {"query": {"a": 1}},
        {"query": "a=1\r\nX: y"},
        {"query": "a=1#b"},
        {"use_v2_response": "yes"},
        {"use_v2_response": 1},
    ],
)
def test_calls_that_make_no_sense_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(BadParams):
        call(**arguments)


def test_missing_arguments_are_named() -> None:
    with pytest.raises(BadParams, match="'request_method' is missing"):
        ProxyCall.from_arguments({"path": "/v1/spool"})
    with pytest.raises(BadParams, match="'path' is missing"):
        ProxyCall.from_arguments({"request_method": "GET"})


def test_nulls_mean_absent() -> None:
    found = call(query=None, body=None, use_v2_response=None)
    assert (found.query, found.body, found.use_v2) == (None, None, False)
    assert call(query="?a=ö&b=%20 c").query == "a=%C3%B6&b=%20%20c"
    assert call(request_method="POST", body={"filament_id": 1}).body == b'{"filament_id":1}'
    assert call(request_method="POST", body=[]).body == b"[]"


class Answering(SpoolmanClient):
    """A client whose Spoolman always answers the same."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def request(self, method: str, path: str, query: str | None, body: bytes | None) -> Answer:
        return Answer(200, {}, self._body)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'[{"id": 1}, 2.50]', Raw(b'[{"id": 1}, 2.50]')),  # as it came: nobody waits for a megabyte to be decoded
        (b'"\\ud800"', "?"),
        (b"", None),
    ],
)
async def test_answers_are_passed_on_as_json_that_everybody_can_read(body: bytes, value: object) -> None:
    assert await forward(Answering(body), call()) == value


@pytest.mark.parametrize("body", [b"<html>", b"[1,]", b"[" * 100_000, b'"\xff"', b"{} {}"])
async def test_what_is_no_json_is_not_passed_on(body: bytes) -> None:
    with pytest.raises(SpoolmanRefused, match="not JSON"):
        await forward(Answering(body), call())
