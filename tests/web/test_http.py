"""What HTTP promises, on the live lane and on Quart-Trio alike."""

from __future__ import annotations

import json

import pytest
import trio

from tests.web.world import HttpClient, HttpReply, Running, multipart


async def test_an_api_call_is_answered_in_a_result(http: HttpClient) -> None:
    reply = await http.ask("GET", "/server/info")
    assert (reply.status, reply.json()) == (200, {"result": {"state": "ready"}})
    assert reply.headers["content-type"].startswith("application/json")
    assert reply.headers["x-content-type-options"] == "nosniff"


async def test_octoprint_answers_are_not_wrapped(http: HttpClient) -> None:
    assert (await http.ask("GET", "/api/version")).json() == {"api": "0.1"}


async def test_a_connection_serves_many_calls(http: HttpClient) -> None:
    for number in range(5):
        assert (await http.ask("GET", f"/server/number?number={number}")).json() == {"result": number}


@pytest.mark.parametrize(
    "body", [b"\r\n", b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"], ids=["no body", "chunks"]
)
@pytest.mark.parametrize("verb", [b"GET", b"POST"])
async def test_who_asks_for_the_end_after_the_answer_gets_it(front: Running, verb: bytes, body: bytes) -> None:
    stream = await front.connect()
    head = b" /server/info HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: keep-alive, Close\r\n"
    await stream.send_all(verb + head + body)
    heard = b""
    with trio.fail_after(10):
        while data := await stream.receive_some():
            heard += data
    assert heard.count(b"HTTP/1.1 ") == 1
    with trio.fail_after(10):  # also who doesn't leave has to go
        while len(front.front._door):
            await trio.sleep(0.05)


async def test_the_same_head_again_has_another_body_and_is_judged_anew(front: Running, http: HttpClient) -> None:
    async def post(number: int) -> HttpReply:
        return await http.ask("POST", "/server/echo", b'{"n": %d}' % number, content_type="application/json")

    assert (await post(1)).json() == {"result": {"n": 1}}
    assert (await post(2)).json() == {"result": {"n": 2}}
    front.world.doorkeeper.closed = True
    assert (await post(3)).status == 401


async def test_a_call_that_waits_is_answered(http: HttpClient) -> None:
    assert (await http.ask("GET", "/server/slow?a=1")).json() == {"result": {"a": "1"}}


async def test_query_and_json_body_merge_and_the_body_wins(http: HttpClient) -> None:
    body = json.dumps({"b": 3, "c": [1]}).encode()
    reply = await http.ask("POST", "/server/echo?a:int=1&b=2", body, content_type="application/json; charset=utf-8")
    assert reply.json() == {"result": {"a": 1, "b": 3, "c": [1]}}


async def test_forms_become_arguments(http: HttpClient) -> None:
    reply = await http.ask("POST", "/server/echo", b"a=1&b=%C3%A4", content_type="application/x-www-form-urlencoded")
    assert reply.json() == {"result": {"a": "1", "b": "ä"}}


async def test_multipart_fields_become_arguments(http: HttpClient) -> None:
    body, content_type = multipart(("a", None, b"1"), ("b", None, "ä".encode()))
    reply = await http.ask("POST", "/server/echo", body, content_type=content_type)
    assert reply.json() == {"result": {"a": "1", "b": "ä"}}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"spool_id": 2'),
        ("application/json", b"[1, 2]"),
        ("application/json", b"\xff\xfe"),
        ("application/json", b"[" * 100000),
        ("text/plain", b'{"a": 1}'),
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"rubbish"),
        ("multipart/form-data; boundary=x", b"--x\r\nno header\r\n\r\n--x--\r\n"),
    ],
)
async def test_a_body_that_cannot_be_understood_is_refused_with_a_sentence(
    front: Running, http: HttpClient, content_type: str, body: bytes
) -> None:
    reply = await http.ask("POST", "/server/echo", body, content_type=content_type)
    assert reply.status == 400
    assert reply.json()["error"]["code"] == 400
    assert len(reply.json()["error"]["message"]) > 10
    assert front.world.calls == 0


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("GET", "/nothing/here", 404),
        ("GET", "/server/info/", 404),
        ("POST", "/server/info", 405),
        ("PUT", "/server/info", 405),
        ("OPTIONS", "/server/info", 405),
        ("GET", "/server/number?number=x", 400),
        ("GET", "/server/bug", 500),
        ("GET", "/server/away", 503),
        ("GET", "/server/websocket/id", 404),
        ("GET", "/server/files/missing.gcode", 404),
        ("GET", "/server/jsonrpc", 405),
    ],
)
async def test_errors_have_a_code_and_a_message(http: HttpClient, verb: str, path: str, status: int) -> None:
    reply = await http.ask(verb, path)
    assert reply.status == status
    assert reply.json()["error"]["code"] == status
    assert "Traceback" not in reply.body.decode()
    assert ("allow" in reply.headers) == (status == 405)
    assert (await http.ask("GET", "/server/info")).status == 200


async def test_head_is_get_without_the_body(http: HttpClient) -> None:
    reply = await http.ask("HEAD", "/server/info")
    assert (reply.status, reply.body) == (200, b"")
    assert int(reply.headers["content-length"]) > 10


async def test_who_is_not_authorised_learns_nothing_of_paths(http: HttpClient) -> None:
    assert (await http.ask("GET", "/nothing/here", x_stranger="1")).status == 401
    assert (await http.ask("GET", "/server/echo", x_stranger="1")).status == 401
    assert (await http.ask("GET", "/server/info", x_stranger="1")).status == 200
    assert (await http.ask("GET", "/server/info", x_api_key="wrong")).status == 401


async def test_preflight_and_cors(http: HttpClient) -> None:
    reply = await http.ask("OPTIONS", "/server/info", origin="http://good.example")
    assert reply.status == 204
    assert reply.headers["access-control-allow-methods"] == "GET"
    reply = await http.ask("GET", "/server/number?number=x", origin="http://good.example")
    assert reply.headers["access-control-allow-origin"] == "http://good.example"
    assert (await http.ask("POST", "/server/echo", origin="http://evil.example")).status == 403


async def test_jsonrpc_over_http(http: HttpClient) -> None:
    call = json.dumps({"jsonrpc": "2.0", "method": "server.number", "params": {"number": 3}, "id": 1}).encode()
    reply = await http.ask("POST", "/server/jsonrpc", call, content_type="application/json")
    assert (reply.status, reply.json()) == (200, {"jsonrpc": "2.0", "result": 3, "id": 1})
    reply = await http.ask("POST", "/server/jsonrpc", b"{", content_type="application/json")
    assert (reply.status, reply.json()["error"]["code"]) == (200, -32700)
    assert (await http.ask("POST", "/server/jsonrpc", call, content_type="text/plain")).status == 400


async def test_an_upload_arrives_whole(front: Running, http: HttpClient) -> None:
    data = b"G1 X1\r\n" * 200_000 + b"\r\n--moonboundar"
    body, content_type = multipart(("root", None, b"gcodes"), ("file", "bä.gcode", data), ("print", None, b"true"))
    reply = await http.ask("POST", "/server/files/upload", body, content_type=content_type)
    assert reply.status == 201
    assert reply.json() == {"fields": {"root": "gcodes", "print": "true"}, "sizes": {"bä.gcode": len(data)}}
    assert reply.headers["location"] in ("http://127.0.0.1/server/files/x", "https://127.0.0.1/server/files/x")
    assert front.world.uploads[0].files["bä.gcode"] == data
    assert front.world.uploads[0].abandoned == 0
    assert (await http.ask("GET", "/server/info")).status == 200


async def test_an_upload_that_is_refused_leaves_nothing(front: Running, http: HttpClient) -> None:
    body, content_type = multipart(("file", "forbidden.gcode", b"x" * 100))
    reply = await http.ask("POST", "/server/files/upload", body, content_type=content_type)
    assert reply.status == 403
    assert front.world.uploads[0].abandoned == 1


async def test_an_upload_must_be_multipart(http: HttpClient) -> None:
    reply = await http.ask("POST", "/server/files/upload", b"{}", content_type="application/json")
    assert reply.status == 400


async def test_a_download_has_validators_and_ranges(front: Running, http: HttpClient) -> None:
    data = bytes(range(256)) * 4000
    (front.world.folder / "a b.gcode").write_bytes(data)
    reply = await http.ask("GET", "/server/files/a%20b.gcode")
    assert (reply.status, reply.body) == (200, data)
    assert "a b.gcode" in reply.headers["content-disposition"]
    etag = reply.headers["etag"]
    assert (await http.ask("GET", "/server/files/a%20b.gcode", if_none_match=etag)).status == 304
    part = await http.ask("GET", "/server/files/a%20b.gcode", range="bytes=100-199")
    assert (part.status, part.body) == (206, data[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(data)}"
    assert (await http.ask("GET", "/server/files/a%20b.gcode", range="bytes=-5")).body == data[-5:]
    assert (await http.ask("GET", "/server/files/a%20b.gcode", range="bytes=99999999-")).status == 416
    head = await http.ask("HEAD", "/server/files/a%20b.gcode")
    assert (head.status, head.headers["content-length"]) == (200, str(len(data)))
