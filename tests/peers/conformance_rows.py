"""What is asked of both services, and the differences that are meant, each with its reason.

A difference is written as `differences()` of `side_by_side` writes it; `*` stands for anything.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.peers.side_by_side import Http, with_json

JSON = ("content-type", "application/json")
GOOD = ("origin", "http://good.example")
EVIL = ("origin", "http://evil.example")


@dataclass(frozen=True)
class Row:
    """One request and what may differ."""

    ask: Http
    meant: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Call:
    """One JSON-RPC call and what may differ."""

    method: str
    params: object = None
    meant: tuple[str, ...] = ()
    why: str = ""


def get(path: str, *meant: str, why: str = "", headers: tuple[tuple[str, str], ...] = ()) -> Row:
    return Row(Http("GET", path, None, headers), meant, why)


def post(path: str, value: object = None, *meant: str, why: str = "") -> Row:
    return Row(Http("POST", path) if value is None else with_json("POST", path, value), meant, why)


def other(
    verb: str, path: str, *meant: str, why: str = "", headers: tuple[tuple[str, str], ...] = (), body: bytes = b""
) -> Row:
    return Row(Http(verb, path, body or None, headers), meant, why)


PREFLIGHT = ("access-control-allow-methods: *",)
"""HEAD is possible with us."""
SENTENCE = "Moonraker fails with a 500 and a traceback, we say what is wrong"
MORE = "keys that Moonraker doesn't have; nobody stumbles over them"

HTTP_ROWS: dict[str, list[Row]] = {
    "printer": [
        get("/printer/info"),
        get("/printer/objects/list"),
        get("/printer/objects/query?toolhead"),
        get("/printer/objects/query?toolhead&extruder=target,temperature"),
        get("/printer/objects/query?toolhead=nonsense&nonsense"),
        get("/printer/objects/query"),
        post("/printer/objects/query", {"objects": {"toolhead": None, "extruder": ["target"]}}),
        post("/printer/objects/query", {"objects": ["toolhead"]}),
        post(
            "/printer/objects/query",
            {"objects": {"toolhead": "x"}},
            "status 400 -> 200",
            "$*",
            why="text is a field's name: Obico's agent sends it, which works with Moonraker if a browser is there, too",
        ),
        get("/printer/query_endstops/status"),
        get("/printer/gcode/help"),
        post("/printer/gcode/script", {"script": "M117 hello"}),
        post("/printer/gcode/script?script=M117%20hello"),
        post("/printer/gcode/script", {"script": "G1 X5"}),
        post("/printer/gcode/script", {"script": "NONSENSE"}),
        post("/printer/gcode/script", {"script": 3}),
        post("/printer/gcode/script"),
        get("/printer/gcode/script", "status 400 -> 405", why="a picture on a foreign page must not run G-code"),
        post("/printer/print/start", {"filename": "missing.gcode"}),
        post("/printer/print/start"),
        post("/printer/print/cancel"),
        post("/printer/nonsense"),
    ],
    "arguments": [
        other(
            "POST",
            "/printer/gcode/script",
            headers=(("content-type", "application/x-www-form-urlencoded"),),
            body=b"script=M117",
        ),
        other("POST", "/printer/gcode/script?script=NONSENSE", headers=(JSON,), body=b'{"script": "M117"}'),
        other("POST", "/printer/gcode/script", headers=(JSON,), body=b"{broken"),
        other("POST", "/printer/gcode/script", "status 500 -> 400", why=SENTENCE, headers=(JSON,), body=b"[1]"),
        get("/server/gcode_store?count=3"),
        get("/server/gcode_store?count:int=3"),
        get("/server/gcode_store?count=x"),
        get("/server/temperature_store?include_monitors=true"),
        get("/server/temperature_store?include_monitors:bool=TRUE"),
        get("/server/temperature_store?include_monitors=1", "*", why="1 is as good as true"),
        get('/server/database/item?namespace=nope&key:json=["a","b"]'),
    ],
    "server": [
        get("/server/info"),
        get("/server/temperature_store"),
        get("/server/gcode_store"),
        get("/access/info"),
        get("/access/user"),
        get("/access/oneshot_token"),
        get("/access/api_key"),
        post("/access/login", {"username": "nobody", "password": "x"}),
        post("/access/login", {}),
        post("/access/refresh_jwt", {"refresh_token": "x"}),
        get("/machine/system_info"),
        get("/machine/proc_stats"),
        get("/machine/peripherals/usb"),
        get("/machine/peripherals/serial"),
        get("/machine/peripherals/video"),
        get("/server/webcams/list"),
        get("/server/webcams/item?name=front"),
        get("/server/webcams/item?name=nope"),
        get("/server/webcams/item"),
        get("/server/database/item"),
        get("/server/database/item?namespace=nope"),
        get("/server/database/item?namespace=nope&key=x"),
        get("/server/extensions/list"),
        get("/server/websocket/id"),
        post("/printer/objects/subscribe?toolhead"),
        get("/server/nonsense"),
        get("/server/info/"),
        get("/nonsense"),
    ],
    "files": [
        get("/server/files/roots"),
        get("/server/files/list"),
        get("/server/files/list?root=config"),
        get("/server/files/directory"),
        get("/server/files/directory?path=config&extended=true"),
        get("/server/files/directory?path=nope"),
        get("/server/files/directory?path=gcodes/nope"),
        get("/server/files/list?root=nope"),
        get("/server/files/metadata"),
        get("/server/files/metadata?filename=nope.gcode"),
        get("/server/files/thumbnails?filename=nope.gcode"),
        get(
            "/server/files/config/moonraker.conf",
            "content-type: *",
            "content-disposition: *",
            why="a browser may show it: text/plain",
        ),
        get(
            "/server/files/moonraker.log", "content-type: *", "content-disposition: *", why="we name the character set"
        ),
        get("/server/files/config/nope.conf"),
        get("/server/files/config/.theme/default.json"),
        get("/server/files/nope/x"),
        post("/server/files/directory", {"path": "config/made"}),
        post("/server/files/directory", {"path": "config/made"}, "status 400 -> 409", why="it exists already"),
        post("/server/files/copy", {"source": "config/moonraker.conf", "dest": "config/made/copy.conf"}),
        post("/server/files/move", {"source": "config/made/copy.conf", "dest": "config/made/moved.conf"}),
        post("/server/files/move", {"source": "config/nope", "dest": "config/other"}),
        other("DELETE", "/server/files/config/made/moved.conf"),
        other("DELETE", "/server/files/config/made/moved.conf"),
        other("DELETE", "/server/files/directory?path=config/made&force=true"),
        other("DELETE", "/server/files/directory?path=config/made"),
        post("/server/files/directory", {"path": "logs/made"}, "status 405 -> 403", why="a read-only root"),
        post("/server/files/upload", None, "status * -> 400", why=SENTENCE),
    ],
    "verbs": [
        other("HEAD", "/server/info", "status 405 -> 200", why="we answer HEAD"),
        other("PUT", "/server/info"),
        other("PATCH", "/server/info"),
        other("DELETE", "/server/info"),
        other("POST", "/server/info"),
        other("TRACE", "/server/info"),
        other("OPTIONS", "/server/info"),
        get("/server/jsonrpc"),
        get("/websocket", "$ string -> object", "content-type: *", why="the error is JSON"),
    ],
    "origins": [
        get("/server/info", headers=(GOOD,)),
        get("/server/info", headers=(EVIL,)),
        get("/server/nope", headers=(GOOD,)),
        other(
            "OPTIONS", "/server/info", *PREFLIGHT, headers=(GOOD, ("access-control-request-private-network", "true"))
        ),
        other("OPTIONS", "/server/files/upload", *PREFLIGHT, headers=(GOOD,)),
        other("OPTIONS", "/server/jsonrpc", *PREFLIGHT, headers=(GOOD,)),
        other("OPTIONS", "/api/version", *PREFLIGHT, headers=(GOOD,)),
        other("OPTIONS", "/server/info", *PREFLIGHT, headers=(("origin", "http://a.local"),)),
        other("OPTIONS", "/server/info", headers=(("origin", "http://a.local:8080"),)),
        other("OPTIONS", "/server/info", headers=(EVIL,)),
    ],
    "credentials": [
        get("/server/info", headers=(("x-api-key", "wrong"),)),
        get("/server/info?token=wrong"),
        get("/server/info", headers=(("authorization", "Bearer x.y.z"),)),
        get("/server/info", headers=(("authorization", "Basic eDp5"),)),
        get(
            "/api/version",
            "status 401 -> 200",
            "$*",
            why="slicers send made-up keys",
            headers=(("x-api-key", "88888888"),),
        ),
        get("/access/info", "status 401 -> 200", "$*", why="the way back in", headers=(("x-api-key", "wrong"),)),
    ],
    "history": [
        get("/server/history/list"),
        get("/server/history/list?limit=2&start=0&order=asc"),
        get("/server/history/list?limit=-1&start=-1&since=-1&before=-1"),
        get("/server/history/list?limit=x"),
        get("/server/history/totals"),
        get("/server/history/job?uid=00FFFF"),
        other("DELETE", "/server/history/job?uid=00FFFF"),
        other("DELETE", "/server/history/job"),
    ],
    "job_queue": [
        get("/server/job_queue/status"),
        post("/server/job_queue/job"),
        post("/server/job_queue/job", {"filenames": ["nope.gcode"]}),
        post("/server/job_queue/job?filenames=nope.gcode,other.gcode"),
        post("/server/job_queue/job", {"filenames": []}),
        post("/server/job_queue/job", {"filenames": [], "reset": True}),
        post("/server/job_queue/job", {"filenames": 3}),
        post("/server/job_queue/job", {"filenames": [3]}),
        post("/server/job_queue/job", {"filenames": [], "reset": "x"}),
        other("DELETE", "/server/job_queue/job"),
        other("DELETE", "/server/job_queue/job?job_ids=0000000000000001"),
        other("DELETE", "/server/job_queue/job?all=true"),
        post("/server/job_queue/jump"),
        post("/server/job_queue/jump", {"job_id": "0000000000000001"}),
        post("/server/job_queue/start"),
        post("/server/job_queue/pause"),
        get("/server/job_queue/job", why="there is nothing to read"),
        get("/server/job_queue/start"),
    ],
    "octoprint": [
        get("/api/version"),
        get("/api/server", "$.version new", "$.safemode null -> string", why="as OctoPrint has it"),
        get("/api/login", "status 405 -> 200", "$*", why="the document says GET"),
        other("POST", "/api/login"),
        get("/api/currentuser"),
        get("/api/settings", "$.* new", why=MORE),
        get("/api/job", "$.job.* new", why=MORE),
        get("/api/printer", "$.* new", why=MORE),
        get("/api/printerprofiles", "$.* new", why=MORE),
        post(
            "/api/printer/command",
            {"commands": ["M117 hello"]},
            "status 200 -> 204",
            "$*",
            "content-type: *",
            why="as OctoPrint",
        ),
        get("/api/files/moonraker/gcodes/x.gcode", "status 405 -> 404", why="GET is there, the file isn't"),
    ],
    "spoolman": [
        get("/server/spoolman/status", "$.result.* new", why=MORE),
        get("/server/spoolman/spool_id"),
        post("/server/spoolman/spool_id", {"spool_id": 1}),
        get("/server/spoolman/spool_id"),
        post("/server/spoolman/spool_id?spool_id=2"),
        post("/server/spoolman/spool_id", {"spool_id": "x"}),
        post(
            "/server/spoolman/spool_id",
            {"spool_id": None},
            "status 400 -> 200",
            "$*",
            why="the document says it unsets",
        ),
        post("/server/spoolman/spool_id"),
        post("/server/spoolman/proxy", {"request_method": "GET", "path": "/v1/info"}),
        post("/server/spoolman/proxy", {"request_method": "GET", "path": "/v1/spool/99"}),
        post(
            "/server/spoolman/proxy",
            {"request_method": "GET", "path": "/v1/spool", "query": "limit=1", "use_v2_response": True},
            "$.result.response_headers.Connection missing",
            why="it is about the connection between us and Spoolman",
        ),
        post("/server/spoolman/proxy", {"request_method": "GET", "path": "/v1/spool/99", "use_v2_response": True}),
        post("/server/spoolman/proxy", {"request_method": "NONSENSE", "path": "/v1/info"}),
        post("/server/spoolman/proxy", {"request_method": "GET", "path": "v1/info"}),
        post("/server/spoolman/proxy", {"request_method": "GET"}),
        get("/server/notifiers/list", "status 500 -> 200", "$*", why=SENTENCE),
    ],
}

IDENTITY = {"client_name": "x", "version": "1", "type": "web", "url": "http://x"}

CALLS: list[Call] = [
    Call("server.info"),
    Call("printer.info"),
    Call("printer.objects.list"),
    Call("printer.objects.query", {"objects": {"toolhead": None}}),
    Call("printer.objects.query", {"objects": {"gcode": ["commands"]}}),
    Call("printer.objects.query", {"objects": {}}),
    Call("printer.objects.query", {}, ("$.error missing", "$.result new"), "as over HTTP: nothing asked for"),
    Call("printer.gcode.help"),
    Call("printer.gcode.script", {"script": "M117 x"}),
    Call("printer.gcode.script", {"script": "G1 X5"}),
    Call("printer.gcode.script", {}),
    Call("printer.print.start", {"filename": "nope"}),
    Call("printer.query_endstops.status"),
    Call("printer.nonsense"),
    Call("printer.gcode.subscribe_output"),
    Call("printer.register_remote_method"),
    Call("machine.system_info"),
    Call("machine.proc_stats"),
    Call("machine.peripherals.usb"),
    Call("server.temperature_store", {"include_monitors": True}),
    Call("server.gcode_store", {"count": 2}),
    Call("server.gcode_store", {"count": "x"}),
    Call("access.info", None, ("$.result.trusted null -> bool",), "Moonraker does not know on the unix socket"),
    Call("access.users.list"),
    Call("access.get_api_key"),
    Call("access.refresh_jwt", {"refresh_token": "x"}),
    Call("access.login", {"username": "nobody", "password": "x"}),
    Call("access.post_user", {"username": "a"}),
    Call("access.delete_user", {"username": "zz"}),
    Call("server.database.get_item", {"namespace": "fluidd"}),
    Call("server.database.post_item", {"namespace": "fluidd", "key": "a.b", "value": 1}),
    Call("server.database.post_item", {"namespace": "fluidd", "key": "list", "value": [1, {"x": None}]}),
    Call("server.database.get_item", {"namespace": "fluidd"}),
    Call("server.database.get_item", {"namespace": "fluidd", "key": "a.b"}),
    Call("server.database.get_item", {"namespace": "fluidd", "key": ["a", "b"]}),
    Call("server.database.get_item", {"namespace": "fluidd", "key": "nope.b"}),
    Call("server.database.post_item", {"namespace": "fluidd", "key": "z"}),
    Call("server.database.post_item", {"namespace": "moonraker", "key": "z", "value": 1}),
    Call("server.database.get_item", {"namespace": "moonraker", "key": "instance_id"}),
    Call("server.database.get_item", {"namespace": "gcode_metadata", "key": "nope"}),
    Call("server.database.post_item", {"namespace": "gcode_metadata", "key": "z", "value": 1}),
    Call("server.database.post_item", {"namespace": "webcams", "key": "z", "value": {"name": "z", "urlStream": "/z"}}),
    Call("server.database.get_item", {"namespace": "webcams", "key": "z"}),
    Call("server.database.delete_item", {"namespace": "webcams", "key": "z"}),
    Call("server.database.list"),
    Call("server.database.delete_item", {"namespace": "fluidd", "key": "nope"}),
    Call("server.database.delete_item", {"namespace": "fluidd", "key": "list"}),
    Call("server.database.delete_item", {"namespace": "fluidd", "key": "a"}),
    Call("server.database.compact"),
    Call("server.webcams.list"),
    Call("server.webcams.post_item", {"name": "two", "stream_url": "/x"}),
    Call("server.webcams.post_item", {"name": "two"}),
    Call("server.webcams.get_item", {"name": "two"}),
    Call("server.webcams.delete_item", {"name": "front"}),
    Call("server.webcams.delete_item", {"name": "two"}),
    Call("server.webcams.delete_item", {"name": "two"}),
    Call("server.webcams.post_item", {}),
    Call("server.job_queue.status"),
    Call("server.job_queue.post_job", {}),
    Call("server.job_queue.post_job", {"filenames": ["nope.gcode"]}),
    Call("server.job_queue.post_job", {"filenames": ""}),
    Call("server.job_queue.delete_job", {}),
    Call("server.job_queue.delete_job", {"all": True}),
    Call("server.job_queue.delete_job", {"job_ids": ["x"]}),
    Call("server.job_queue.jump", {"job_id": "x"}),
    Call("server.job_queue.start"),
    Call("server.job_queue.pause"),
    Call("server.job_queue.nonsense"),
    Call("server.files.roots"),
    Call("server.files.list", {"root": "config"}),
    Call("server.files.get_directory", {"path": "gcodes", "extended": True}),
    Call("server.files.get_directory", {"path": "nope"}),
    Call("server.files.metadata", {"filename": "nope.gcode"}),
    Call("server.files.metascan", {"filename": "nope.gcode"}),
    Call("server.files.post_directory", {"path": "config/d1"}),
    Call("server.files.move", {"source": "config/nope", "dest": "config/x"}),
    Call("server.files.copy", {"source": "config/d1", "dest": "config/d2"}),
    Call("server.files.delete_directory", {"path": "config/d2", "force": True}),
    Call("server.files.delete_directory", {"path": "config/d1"}),
    Call("server.files.delete_file", {"path": "config/nope"}, ("code -32601 -> 400",), "Moonraker: not over HTTP"),
    Call("server.files.zip", {"items": ["config/moonraker.conf"], "dest": "config/a.zip"}),
    Call(
        "server.files.delete_file",
        {"path": "config/a.zip"},
        ("$.error missing", "$.result new"),
        "Moonraker: not over HTTP",
    ),
    Call("server.logs.rollover", {"application": "nope"}),
    Call("server.spoolman.status", None, ("$.result.* new",), MORE),
    Call("server.spoolman.get_spool_id"),
    Call("server.spoolman.post_spool_id", {"spool_id": 1}),
    Call("server.spoolman.post_spool_id", {"spool_id": 1}),
    Call("server.spoolman.post_spool_id", {"spool_id": "x"}),
    Call("server.spoolman.post_spool_id", {}),
    Call("server.spoolman.proxy", {"request_method": "GET", "path": "/v1/spool/99", "use_v2_response": True}),
    Call("server.spoolman.proxy", {"request_method": "GET", "path": "/v1/spool/1", "use_v2_response": True}),
    Call("server.spoolman.proxy", {"request_method": "GET", "path": "/v1/spool/99"}),
    Call("nope"),
    Call("server.nonsense"),
    Call(""),
]

SESSION_CALLS: list[Call] = [
    Call("server.websocket.id"),
    Call("server.connection.identify", {}),
    Call("server.connection.identify", {**IDENTITY, "type": "nonsense"}),
    Call("server.connection.identify", {**IDENTITY, "version": 1}),
    Call("server.connection.identify", IDENTITY),
    Call("connection.send_event", {"event": "x"}),
    Call("connection.register_remote_method", {"method_name": "x"}),
    Call("printer.objects.subscribe", {"objects": {"toolhead": None, "print_stats": ["state"]}}),
    Call("printer.objects.subscribe", {"objects": {"nonsense": None, "toolhead": ["nonsense"]}}),
    Call("printer.objects.subscribe", {"objects": {}}),
    Call("printer.objects.subscribe", {}),
]

ID = {"jsonrpc": "2.0", "method": "server.websocket.id"}
NOTHING = "Moonraker says nothing; JSON-RPC wants an error"

MESSAGES: list[tuple[object, tuple[str, ...], str]] = [
    ("{broken", (), ""),
    ("[]", ("$[] 0 -> 1 items", "codes *"), NOTHING),
    ("3", ("$[] 0 -> 1 items", "codes *"), NOTHING),
    ([{**ID, "id": 1}], (), ""),
    ([{**ID, "id": 1}, {"jsonrpc": "2.0", "method": "nope", "id": 2}], (), ""),
    ([{**ID, "id": 1}, ID], (), ""),
    ({**ID, "id": None}, (), ""),
    (ID, (), ""),
    ({"jsonrpc": "2.0", "method": "nope"}, (), ""),
    ({**ID, "id": "abc"}, (), ""),
    ({**ID, "id": 1.5}, (), ""),
    ({**ID, "id": -7}, (), ""),
    ({**ID, "id": {"a": 1}}, ("*",), "no id that JSON-RPC allows"),
    ({"method": "server.websocket.id", "id": 7}, ("*",), "a client that leaves the version out is served"),
    ({**ID, "jsonrpc": "1.0", "id": 7}, (), ""),
    ({**ID, "params": None, "id": 8}, (), ""),
    ({**ID, "params": [], "id": 8}, (), ""),
    ({**ID, "params": {"unknown": 1}, "id": 8}, (), ""),
    ({**ID, "method": 5, "id": 9}, (), ""),
    ({"jsonrpc": "2.0", "result": 1, "id": 9}, (), ""),
    ({"jsonrpc": "2.0", "error": {"code": 1, "message": "x"}, "id": 9}, (), ""),
    ({"jsonrpc": "2.0", "id": 9}, ("$[] 0 -> 1 items", "codes *"), NOTHING),
    ({"id": 9}, (), ""),
    ({}, (), ""),
    (json.dumps({**ID, "id": 10}).encode(), (), ""),
]
