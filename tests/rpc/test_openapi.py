"""The OpenAPI document says what the table of methods says."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import pytest
from msgspec import Meta, Struct

from trio_moon.rpc.binding import AnyParams, Arguments, NoParams
from trio_moon.rpc.caller import Caller, Transport
from trio_moon.rpc.endpoint import Endpoint
from trio_moon.rpc.openapi import describe
from trio_moon.rpc.registry import Registry
from trio_moon.rpc.replies import Incoming


class Wish(Struct, frozen=True):
    """`name` of somebody.

    And `size`.
    """

    name: str
    size: Annotated[int, Meta(ge=1, le=9)] | None = None
    key: str | list[str] = "x"
    tags: list[str] = []
    order: Literal["asc", "desc"] = "asc"


class LoginSent(Struct, frozen=True):
    user: str
    password: str


class Login(Struct, frozen=True):
    credentials: tuple[str, str]
    sent: ClassVar = LoginSent

    @classmethod
    def from_arguments(cls, arguments: Arguments) -> Login:
        raise NotImplementedError


class Form(Struct, frozen=True):
    folder: str = ""


class Place(Struct, frozen=True):
    path: str
    force: bool = False


def nothing(params: Any, caller: Caller) -> object:
    return {}


def receive(caller: Caller, size: int | None) -> Incoming:
    raise NotImplementedError


TABLE = (
    Endpoint("/server/wish", Wish, GET=nothing, POST=nothing),
    Endpoint("/server/many/one", NoParams, GET=nothing),
    Endpoint("/server/many/two", NoParams, GET=nothing),
    Endpoint("/access/login", Login, POST=nothing, open_to_all=True),
    Endpoint("/files/upload", NoParams, upload=receive, form=Form, transports=Transport.HTTP, wrapped=False),
    Endpoint("/files/{path...}", Place, GET=nothing, POST=nothing, DELETE=nothing),
    Endpoint("//slip/{path...}", AnyParams, GET=nothing),
    Endpoint("", Wish, CALL=nothing, rpc_names={"CALL": "server.listen"}, transports=Transport.SESSION),
)


@pytest.fixture
def document() -> Any:
    registry = Registry()
    registry.add(TABLE)
    summaries = {"server.get_wish": "A wish.", "server.listen": "Listen.", "GET /files/{path}": "A file."}
    return describe(registry, version="1.2", summaries=summaries, prefix="/printer1")


def test_every_path_has_its_verbs_and_methods(document: Any) -> None:
    assert {path: sorted(verbs) for path, verbs in document["paths"].items()} == {
        "/server/jsonrpc": ["post"],
        "/server/wish": ["get", "post"],
        "/server/many/one": ["get"],
        "/server/many/two": ["get"],
        "/access/login": ["post"],
        "/files/upload": ["post"],
        "/files/{path}": ["delete", "get", "post"],
    }
    assert document["servers"] == [{"url": "/printer1"}]
    wish = document["paths"]["/server/wish"]
    assert wish["get"]["x-jsonrpc-method"] == wish["get"]["operationId"] == "server.get_wish"
    assert (wish["get"]["summary"], wish["get"]["tags"]) == ("A wish.", ["server"])
    assert document["paths"]["/files/{path}"]["get"]["summary"] == "A file."
    assert document["paths"]["/server/many/one"]["get"]["tags"] == ["server.many"]
    assert "x-jsonrpc-method" not in document["paths"]["/files/upload"]["post"]


def test_a_query_says_what_text_can_say(document: Any) -> None:
    get = {p["name"]: p for p in document["paths"]["/server/wish"]["get"]["parameters"]}
    assert get["name"] == {"name": "name", "in": "query", "required": True, "schema": {"type": "string"}}
    assert get["size"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 9}
    assert get["key"]["schema"] == {"default": "x", "type": "string"}
    assert get["order"]["schema"] == {"enum": ["asc", "desc"], "default": "asc"}
    lists = get["tags:json"]["content"]["application/json"]["schema"]
    assert lists["items"] == {"type": "string"}


def test_a_post_takes_its_arguments_in_the_body_or_in_the_query(document: Any) -> None:
    post = document["paths"]["/server/wish"]["post"]
    assert [p["name"] for p in post["parameters"] if p.get("required")] == []
    content = post["requestBody"]["content"]
    assert set(content) == {"application/json", "application/x-www-form-urlencoded"}
    assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/Wish"}
    wish = document["components"]["schemas"]["Wish"]
    assert wish["required"] == ["name"]
    assert wish["description"] == "`name` of somebody.\n\nAnd `size`."
    assert "requestBody" not in document["paths"]["/server/wish"]["get"]


def test_what_is_sent_is_described_not_what_it_becomes(document: Any) -> None:
    login = document["paths"]["/access/login"]["post"]
    reference = login["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    assert set(document["components"]["schemas"][reference.rpartition("/")[2]]["properties"]) == {"user", "password"}
    assert [p["name"] for p in login["parameters"]] == ["user"], "a password has no place in an address"


def test_what_the_path_holds_is_not_asked_for_again(document: Any) -> None:
    for verb, operation in document["paths"]["/files/{path}"].items():
        first, *others = operation["parameters"]
        assert first == {"name": "path", "in": "path", "required": True, "schema": {"type": "string"}}
        assert [p["name"] for p in others] == ["force"], verb
    body = document["paths"]["/files/{path}"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == {"force"}
    assert "required" not in body


def test_an_upload_is_a_form_with_a_file(document: Any) -> None:
    upload = document["paths"]["/files/upload"]["post"]
    ((kind, form),) = upload["requestBody"]["content"].items()
    assert kind == "multipart/form-data"
    assert set(form["schema"]["properties"]) == {"folder", "file"}
    assert form["schema"]["required"] == ["file"]
    assert "parameters" not in upload
    assert set(upload["responses"]) == {"2XX", "default"}


def test_who_may_call_and_how_errors_look(document: Any) -> None:
    schemes = set(document["components"]["securitySchemes"])
    assert [set(option) for option in document["security"]] == [
        {scheme} for scheme in sorted(schemes, key=list(document["components"]["securitySchemes"]).index)
    ]
    assert document["paths"]["/access/login"]["post"]["security"] == []
    assert "security" not in document["paths"]["/server/wish"]["get"]
    error = document["components"]["responses"]["Error"]
    for status in ("400", "401", "404", "503", "507"):
        assert f"- {status}: " in error["description"]
    assert set(error["content"]["application/json"]["schema"]["properties"]["error"]["properties"]) == {
        "code",
        "message",
    }


def test_methods_without_a_path_are_told_apart(document: Any) -> None:
    assert document["x-jsonrpc-only"] == [
        {
            "method": "server.listen",
            "summary": "Listen.",
            "params": {"$ref": "#/components/schemas/Wish"},
            "transports": ["websocket", "unix"],
            "open": False,
        }
    ]
