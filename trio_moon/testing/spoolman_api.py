"""Spoolman's HTTP API on a SpoolStore: a Request goes in, an Answer comes out, no socket is known.

What the real one offers and this one doesn't play (groups, search, exports, the external database, backups)
is answered with 501 and a sentence, so that no test believes in it by accident.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from trio_moon.testing.spoolman_fields import (
    FILAMENT_FIELDS,
    MEASURE_FIELDS,
    SPOOL_FIELDS,
    USE_FIELDS,
    VENDOR_FIELDS,
    Field,
    Problem,
    UnreadableBody,
    ValidationError,
    Wrong,
    all_optional,
    decode_body,
    integer,
    problem,
    read_fields,
)
from trio_moon.testing.spoolman_items import Filament, Spool, Vendor
from trio_moon.testing.spoolman_messages import Answer, Request
from trio_moon.testing.spoolman_query import find_filaments, find_spools, find_vendors
from trio_moon.testing.spoolman_settings import SpoolmanSettings
from trio_moon.testing.spoolman_store import SpoolStore, StoreError

Values = dict[str, object]
Handler = Callable[[Request, str], Answer]

VERSION = "0.26.1"
SUCCESS: Values = {"message": "Success!"}
UNTRUSTED = (
    "Request refused: it came from an origin this Spoolman instance does not trust. "
    "Set SPOOLMAN_CORS_ORIGIN if this origin should be allowed."
)
NOT_PLAYED = re.compile(r"^/(backup|external|export|search|spool/group|spool/field|location/.*|field/.*/.*)(/|$)")


BROKEN = Answer(status=500, body=b"Internal Server Error", content_type="text/plain; charset=utf-8")


@dataclass(frozen=True)
class Route:
    """One method on one path; the path's one group, if any, is handed to the handler."""

    method: str
    pattern: re.Pattern[str]
    handler: Handler


class SpoolmanApi:
    """Answers requests below /api/v1 as Spoolman 0.26.1 does."""

    def __init__(self, store: SpoolStore) -> None:
        self._store = store
        self._settings = SpoolmanSettings(store)
        self._routes = tuple(self._all_routes())

    def _all_routes(self) -> list[Route]:
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/info", lambda request, _: Answer.of_json(INFO)),
            ("GET", "/health", lambda request, _: Answer.of_json({"status": "healthy"})),
            ("GET", "/spool", self._list_spools),
            ("POST", "/spool", self._add_spool),
            ("GET", "/spool/([^/]+)", lambda request, key: _item(self._store.spool(_id(key, "spool")))),
            ("PATCH", "/spool/([^/]+)", self._change_spool),
            ("DELETE", "/spool/([^/]+)", self._remove_spool),
            ("PUT", "/spool/([^/]+)/use", self._use),
            ("PUT", "/spool/([^/]+)/measure", self._measure),
            ("GET", "/filament", self._list_filaments),
            ("POST", "/filament", self._add_filament),
            (
                "GET",
                "/filament/([^/]+)",
                lambda request, key: _item(self._store.filament(_id(key, "filament"))),
            ),
            ("PATCH", "/filament/([^/]+)", self._change_filament),
            ("DELETE", "/filament/([^/]+)", self._remove_filament),
            ("GET", "/vendor", self._list_vendors),
            ("POST", "/vendor", self._add_vendor),
            ("GET", "/vendor/([^/]+)", lambda request, key: _item(self._store.vendor(_id(key, "vendor")))),
            ("PATCH", "/vendor/([^/]+)", self._change_vendor),
            ("DELETE", "/vendor/([^/]+)", self._remove_vendor),
            ("GET", "/material", lambda request, _: self._distinct("filaments", "material")),
            ("GET", "/article-number", lambda request, _: self._distinct("filaments", "article_number")),
            ("GET", "/lot-number", lambda request, _: self._distinct("spools", "lot_nr")),
            ("GET", "/location", lambda request, _: self._distinct("spools", "location")),
            ("GET", "/setting/", lambda request, _: self._settings.all()),
            ("GET", "/setting/([^/]+)", lambda request, key: self._settings.one(key)),
            ("POST", "/setting/([^/]+)", self._settings.set),
            ("GET", "/field/([^/]+)", lambda request, key: self._settings.extra_fields(key)),
        ]
        return [Route(method, re.compile(path + r"\Z"), handler) for method, path, handler in table]

    def answer(self, request: Request) -> Answer:
        """Spoolman's answer, whatever the request holds."""
        if request.method not in ("GET", "HEAD", "OPTIONS") and not _is_trusted(request):
            return Answer.of_json({"message": UNTRUSTED}, 403)
        try:
            return self._judge(request)
        except RecursionError:  # JSON in JSON, nested too deeply: the real one breaks there
            return BROKEN

    def _judge(self, request: Request) -> Answer:
        try:
            return self._dispatch(request)
        except StoreError as error:
            return Answer.of_json({"message": error.message}, error.status)
        except ValidationError as error:
            return Answer.of_json({"detail": error.problems}, 422)
        except UnreadableBody:
            return Answer.of_json({"detail": "There was an error parsing the body"}, 400)

    def _dispatch(self, request: Request) -> Answer:
        if NOT_PLAYED.match(request.path):
            raise StoreError(501, f"MockSpoolman does not play {request.path}.")
        fitting = [(route, match) for route in self._routes if (match := route.pattern.match(request.path))]
        for route, match in fitting:
            if route.method == request.method:
                return route.handler(request, match[1] if match.groups() else "")
        if fitting:
            allow = (("allow", fitting[0][0].method),)
            return Answer.of_json({"detail": "Method Not Allowed"}, 405, allow)
        other = request.path.rstrip("/") if request.path.endswith("/") else request.path + "/"
        if other and any(route.pattern.match(other) for route in self._routes):
            path, _, query = request.target.partition("?")
            path = path.rstrip("/") if path.endswith("/") else path + "/"
            location = f"http://{request.headers.get('host', '')}{path}{'?' + query if query else ''}"
            return Answer(status=307, content_type=None, headers=(("location", location),))
        return Answer.of_json({"detail": "Not Found"}, 404)

    # spools

    def _list_spools(self, request: Request, _: str) -> Answer:
        found, count = find_spools(self._store.spools.values(), request.query)
        return _list(found, count)

    def _add_spool(self, request: Request, _: str) -> Answer:
        values = _body(request, SPOOL_FIELDS)
        _only_one(values, "remaining_weight", "used_weight")
        self._settings.check_extra("spool", values)
        return _item(self._store.add_spool(values))

    def _change_spool(self, request: Request, key: str) -> Answer:
        spool_id, values = _id_and_body(key, "spool", request, all_optional(SPOOL_FIELDS))
        _only_one(values, "remaining_weight", "used_weight")
        self._settings.check_extra("spool", values)
        return _item(self._store.change_spool(spool_id, values))

    def _remove_spool(self, request: Request, key: str) -> Answer:
        self._store.remove_spool(_id(key, "spool"))
        return Answer.of_json(SUCCESS)

    def _use(self, request: Request, key: str) -> Answer:
        spool_id, values = _id_and_body(key, "spool", request, USE_FIELDS)
        _only_one(values, "use_weight", "use_length")
        if isinstance(weight_g := values.get("use_weight"), float):
            return _item(self._store.use_weight(spool_id, weight_g, request))
        if isinstance(used_mm := values.get("use_length"), float):
            return _item(self._store.use_length(spool_id, used_mm, request))
        raise StoreError(400, "Either use_weight or use_length must be specified.")

    def _measure(self, request: Request, key: str) -> Answer:
        spool_id, values = _id_and_body(key, "spool", request, MEASURE_FIELDS)
        gross_g = values["weight"]
        assert isinstance(gross_g, float)
        return _item(self._store.measure(spool_id, gross_g, request))

    # filaments

    def _list_filaments(self, request: Request, _: str) -> Answer:
        found, count = find_filaments(self._store.filaments.values(), request.query)
        return _list(found, count)

    def _add_filament(self, request: Request, _: str) -> Answer:
        values = _body(request, FILAMENT_FIELDS)
        _check_colors(request, values)
        self._settings.check_extra("filament", values)
        return _item(self._store.add_filament(values))

    def _change_filament(self, request: Request, key: str) -> Answer:
        filament_id, values = _id_and_body(key, "filament", request, all_optional(FILAMENT_FIELDS))
        _check_colors(request, values)
        self._settings.check_extra("filament", values)
        return _item(self._store.change_filament(filament_id, values))

    def _remove_filament(self, request: Request, key: str) -> Answer:
        self._store.remove_filament(_id(key, "filament"))
        return Answer.of_json(SUCCESS)

    # vendors

    def _list_vendors(self, request: Request, _: str) -> Answer:
        found, count = find_vendors(self._store.vendors.values(), request.query)
        return _list(found, count)

    def _add_vendor(self, request: Request, _: str) -> Answer:
        values = _body(request, VENDOR_FIELDS)
        self._settings.check_extra("vendor", values)
        return _item(self._store.add_vendor(values))

    def _change_vendor(self, request: Request, key: str) -> Answer:
        vendor_id, values = _id_and_body(key, "vendor", request, all_optional(VENDOR_FIELDS))
        self._settings.check_extra("vendor", values)
        return _item(self._store.change_vendor(vendor_id, values))

    def _remove_vendor(self, request: Request, key: str) -> Answer:
        self._store.remove_vendor(_id(key, "vendor"))
        return Answer.of_json(SUCCESS)

    def _distinct(self, kind: str, name: str) -> Answer:
        values = (getattr(item, name) for item in getattr(self._store, kind).values())
        return Answer.of_json([value for value in dict.fromkeys(values) if value is not None])


INFO: Values = {
    "version": VERSION,
    "debug_mode": False,
    "automatic_backups": False,
    "data_dir": "/home/app/.local/share/spoolman",
    "logs_dir": "/home/app/.local/share/spoolman",
    "backups_dir": "/home/app/.local/share/spoolman/backups",
    "db_type": "sqlite",
    "external_db_name": "SpoolmanDB",
    "git_commit": None,
    "build_date": None,
}


def _is_trusted(request: Request) -> bool:
    """A page of another origin may not write; whoever sends no Origin is no browser's page."""
    origin = request.headers.get("origin")
    return origin is None or origin.partition("://")[2] == request.headers.get("host", "")


def _item(item: Vendor | Filament | Spool) -> Answer:
    return Answer.of_json(item.as_wire())


def _list(items: list[Vendor] | list[Filament] | list[Spool], count: int) -> Answer:
    body = [item.as_wire() for item in items]
    try:
        json.dumps(body, allow_nan=False)
    except ValueError:  # the real one's lists break where its single answers say null
        return BROKEN
    return Answer.of_json(body, headers=(("x-total-count", str(count)),))


def _id(key: str, word: str) -> int:
    try:
        return integer()(key)
    except Wrong as wrong:
        raise ValidationError([problem(["path", f"{word}_id"], key, wrong)]) from None


def _id_and_body(key: str, word: str, request: Request, known: tuple[Field, ...]) -> tuple[int, Values]:
    """Both, or the problems of both."""
    problems: list[Problem] = []
    item_id = 0
    values: Values = {}
    try:
        item_id = _id(key, word)
    except ValidationError as error:
        problems += error.problems
    try:
        values = _body(request, known)
    except ValidationError as error:
        problems += error.problems
    if problems:
        raise ValidationError(problems)
    return item_id, values


def _body(request: Request, known: tuple[Field, ...]) -> Values:
    if not request.body:
        raise ValidationError([problem(["body"], None, Wrong("missing", "Field required"))])
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    given: object = request.body.decode(errors="replace")
    if media_type == "application/json" or media_type.endswith("+json"):
        given = decode_body(request.body)
    if not isinstance(given, dict):
        words = "Input should be a valid dictionary or object to extract fields from"
        raise ValidationError([problem(["body"], given, Wrong("model_attributes_type", words))])
    return read_fields(given, known, "body")


def _only_one(values: Values, one: str, other: str) -> None:
    if values.get(one) is not None and values.get(other) is not None:
        raise StoreError(400, f"Only specify either {one} or {other}.")


def _check_colors(request: Request, values: Values) -> None:
    several, direction = values.get("multi_color_hexes"), values.get("multi_color_direction")
    if values.get("color_hex") and several:
        words = "Cannot specify both color_hex and multi_color_hexes."
    elif several and "," not in str(several):
        words = "Must specify at least two colors in multi_color_hexes."
    elif several and not direction:
        words = "Multi-color filament must have multi_color_direction set."
    elif direction and not several:
        words = "Single-color filament must not have multi_color_direction set."
    else:
        return
    wrong = Wrong("value_error", f"Value error, {words}", error={})
    raise ValidationError([problem(["body"], request.json(), wrong)])
