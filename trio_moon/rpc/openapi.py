"""The OpenAPI document: the table of methods, written down for programs and people. Pure; loaded when somebody asks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from trio_moon.rpc.endpoint import VERBS, Method, upload_only
from trio_moon.rpc.error_codes import meanings
from trio_moon.rpc.jsonrpc import JSONRPC_PATH
from trio_moon.rpc.schemas import Json, Schemas, parameter, sent

ABOUT = f"""Every call below that names a JSON-RPC method is that method too: over `/websocket`, the unix socket and
`POST {JSONRPC_PATH}`.

Arguments of POST may stand in the body (JSON or a form) or in the query; the body counts where both do. Values in a
query are text that is converted; a name that ends in `:json` has a value in JSON (`:int`, `:float`, `:bool` and `:str`
work as well). `HEAD` is answered as `GET`.

Callers from a trusted network need no credentials; others show an API key, an access token or a one-shot token.
Requests that only Klipper knows are `/printer/…` and `printer.…` too, as far as the connected Klipper offers them."""

CREDENTIALS: Json = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "from access.get_api_key"},
    "AccessToken": {"type": "http", "scheme": "bearer", "description": "from access.login; the API key is taken too"},
    "OneShotToken": {"type": "apiKey", "in": "query", "name": "token", "description": "from access.oneshot_token"},
}
ERROR: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
        }
    },
}
CALL: Json = {
    "type": "object",
    "required": ["jsonrpc", "method"],
    "properties": {
        "jsonrpc": {"const": "2.0"},
        "method": {"type": "string"},
        "params": {"type": "object"},
        "id": {"type": ["integer", "string"]},
    },
}
ANSWER: Json = {
    "type": "object",
    "required": ["jsonrpc", "id"],
    "properties": {
        "jsonrpc": {"const": "2.0"},
        "result": {},
        "error": ERROR["properties"]["error"],
        "id": {"type": ["integer", "string", "null"]},
    },
}
JSONRPC: Json = {
    "operationId": "jsonrpc",
    "tags": ["jsonrpc"],
    "summary": "One JSON-RPC 2.0 call, or a batch of them.",
    "description": "Codes of errors are the HTTP statuses, but -32601 for 404, -32602 for 401, and JSON-RPC's own.",
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"oneOf": [CALL, {"type": "array", "items": CALL, "minItems": 1}]}}},
    },
    "responses": {
        "200": {
            "description": "The answers; an error of a call is one of them.",
            "content": {"application/json": {"schema": {"oneOf": [ANSWER, {"type": "array", "items": ANSWER}]}}},
        },
        "204": {"description": "Nothing but notifications."},
        "default": {"$ref": "#/components/responses/Error"},
    },
}
NOT_IN_ADDRESSES = frozenset({"password", "new_password", "refresh_token"})
"""What is taken from a query like everything else, but would stand in the logs of proxies."""
BODIES = ("application/json", "application/x-www-form-urlencoded")


def describe(methods: Iterable[Method], *, version: str, summaries: Mapping[str, str], prefix: str = "") -> Json:
    """The document of these methods. `summaries` says what each does, by its `key_of`."""
    table = [method for method in methods if not method.endpoint.path.startswith("//")]  # somebody's slips
    writer = _Writer(table, summaries)
    paths: dict[str, Json] = {JSONRPC_PATH: {"post": JSONRPC}}
    for method in sorted((method for method in table if method.endpoint.path), key=_by_path):
        paths.setdefault(_template(method), {})[method.verb.lower()] = writer.operation(method)
    return {
        "openapi": "3.1.0",
        "info": {"title": "trio_moon", "version": version, "description": ABOUT},
        "servers": [{"url": prefix or "/"}],
        "security": [{name: []} for name in CREDENTIALS],
        "paths": paths,
        "x-jsonrpc-only": [writer.session_call(method) for method in table if not method.endpoint.path],
        "components": {
            "securitySchemes": CREDENTIALS,
            "schemas": writer.schemas.used(),
            "responses": {
                "Result": _answer("Done.", {"type": "object", "required": ["result"], "properties": {"result": {}}}),
                "Bare": {"description": "Done; the answer is not wrapped in `result`, and may be a file."},
                "Error": _answer(_errors(), ERROR),
            },
        },
    }


def key_of(method: Method) -> str:
    """What a method is called: its JSON-RPC name, or verb and path where HTTP alone has it."""
    return method.name or f"{method.verb} {_template(method)}"


def _template(method: Method) -> str:
    return method.endpoint.path.replace("...}", "}")


def _by_path(method: Method) -> tuple[bool, str, int]:
    """Chapters in order, paths with holes behind the plain ones."""
    path = method.endpoint.path
    return path.startswith(("/api/", "/plugin/")), path.replace("{", "\x7f"), VERBS.index(method.verb)


def _answer(description: str, schema: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _errors() -> str:
    lines = [f"- {status}: {meaning}" for status, meaning in meanings().items()]
    return "\n".join(["An error. `code` is the HTTP status, `message` a sentence for people.", "", *lines])


class _Writer:
    """Writes one operation after the other."""

    def __init__(self, methods: list[Method], summaries: Mapping[str, str]) -> None:
        self._summaries = summaries
        self._chapters = Counter(_first_two(method.endpoint.path) for method in methods)
        kinds = {kind for method in methods for kind in (sent(method.endpoint.params), method.endpoint.form) if kind}
        self.schemas = Schemas(kinds)

    def operation(self, method: Method) -> Json:
        endpoint = method.endpoint
        only_upload = method.handler is upload_only
        held = re.findall(r"\{(\w+)", endpoint.path)
        shape = self.schemas.shape(endpoint.form if only_upload else sent(endpoint.params), without=held)
        parameters = [parameter(name, {"type": "string"}, "path", required=True) for name in held]
        if not only_upload:
            parameters += self._in_query(shape, method.verb)
        written: Json = {
            "operationId": method.name or re.sub(r"\W+", "_", f"{method.verb.lower()}{endpoint.path}").strip("_"),
            "tags": [self._chapter(endpoint.path)],
            "summary": self._summaries.get(key_of(method)),
            "description": shape.get("description") if parameters or shape["properties"] else None,
            "parameters": parameters or None,
            "requestBody": self._body(method, shape, held) if method.verb == "POST" else None,
            "responses": {
                "200" if endpoint.wrapped else "2XX": _component("Result" if endpoint.wrapped else "Bare"),
                "default": _component("Error"),
            },
            "security": [] if endpoint.open_to_all else None,
            "x-jsonrpc-method": method.name or None,
        }
        return {name: value for name, value in written.items() if value is not None}

    def session_call(self, method: Method) -> Json:
        """A method that has no path, because it needs a connection that lasts."""
        transports = [transport.name for transport in method.transports if transport.name]
        return {
            "method": method.name,
            "summary": self._summaries.get(method.name, ""),
            "params": self.schemas.reference(sent(method.endpoint.params)),
            "transports": [name.lower() for name in transports],
            "open": method.endpoint.open_to_all,
        }

    def _in_query(self, shape: Json, verb: str) -> list[Json]:
        required = () if verb == "POST" else shape.get("required", ())  # a POST may have them in its body
        return [
            parameter(name, schema, "query", required=name in required)
            for name, schema in shape["properties"].items()
            if name not in NOT_IN_ADDRESSES
        ]

    def _body(self, method: Method, shape: Json, held: list[str]) -> Json | None:
        endpoint = method.endpoint
        content: Json = {}
        if method.handler is not upload_only and shape["properties"]:
            schema = shape if held else self.schemas.reference(sent(endpoint.params))
            content = {form: {"schema": schema} for form in BODIES}
        if endpoint.upload is not None:
            form = self.schemas.shape(endpoint.form)
            fields = {**form["properties"], "file": {"type": "string", "format": "binary"}}
            needed = {} if content else {"required": ["file"]}
            content["multipart/form-data"] = {"schema": {**form, "properties": fields, **needed}}
        return {"content": content} if content else None

    def _chapter(self, path: str) -> str:
        """`server.files` for what has many methods, `server` for the others."""
        room, two = path.split("/")[1], _first_two(path)
        if room in ("api", "plugin"):
            return "octoprint"
        return two if room == "server" and self._chapters[two] > 1 and path.count("/") > 2 else room


def _component(name: str) -> Json:
    return {"$ref": f"#/components/responses/{name}"}


def _first_two(path: str) -> str:
    return ".".join(path.split("/")[1:3])
