"""Spoolman's settings and custom fields, as far as frontends read them."""

import json

from trio_moon.testing.spoolman_fields import ValidationError, Wrong, decode_body, problem
from trio_moon.testing.spoolman_messages import Answer, Request
from trio_moon.testing.spoolman_store import SpoolStore, StoreError

KINDS: dict[str, tuple[str, type | tuple[type, ...]]] = {
    "boolean": ("a boolean", bool),
    "string": ("a string", str),
    "array": ("an array", list),
    "object": ("an object", dict),
}
DEFAULTS: dict[str, tuple[str, str]] = {
    "currency": ("string", '"EUR"'),
    "round_prices": ("boolean", "false"),
    "print_presets": ("array", "[]"),
    "label_designs": ("array", "[]"),
    "extra_fields_vendor": ("array", "[]"),
    "extra_fields_filament": ("array", "[]"),
    "extra_fields_spool": ("array", "[]"),
    "base_url": ("string", '""'),
    "locations": ("array", "[]"),
    "locations_spoolorders": ("object", "{}"),
    "dashboard_groups": ("object", "{}"),
    "dashboard_spoolorders": ("object", "{}"),
}
ENTITIES = ("vendor", "filament", "spool")


class SpoolmanSettings:
    """Reads and writes the settings kept in the store; values are JSON in strings."""

    def __init__(self, store: SpoolStore) -> None:
        self._store = store

    def all(self) -> Answer:
        return Answer.of_json({name: self._shown(name) for name in [*self._store.settings, *DEFAULTS]})

    def one(self, name: str) -> Answer:
        self._must_exist(name)
        return Answer.of_json(self._shown(name))

    def set(self, request: Request, name: str) -> Answer:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json" and not media_type.endswith("+json"):
            ending = "The body of this endpoint must be sent as application/json."
            words = f"Unsupported content type '{media_type}'. {ending}"
            return Answer.of_json({"detail": words}, 415)
        value = _string_body(request)
        self._must_exist(name)
        if value in ("", "null"):
            if self._store.settings.pop(name, None) is None:
                raise StoreError(404, f"Setting with key {name} has not been set.")
            self._announce("deleted", name)
        else:
            self._store.settings[name] = _checked(name, value)
            self._announce("updated", name)
        return Answer.of_json(self._shown(name))

    def _announce(self, kind: str, name: str) -> None:
        self._store.announce(kind, "setting", name, {"key": name, "setting": self._shown(name)})

    def extra_fields(self, entity: str) -> Answer:
        if entity not in ENTITIES:
            expected = "'vendor', 'filament' or 'spool'"
            wrong = Wrong("enum", f"Input should be {expected}", expected=expected)
            raise ValidationError([problem(["path", "entity_type"], entity, wrong)])
        return Answer.of_json(self._known_fields(entity))

    def check_extra(self, entity: str, values: dict[str, object]) -> None:
        """Custom fields must have been declared before they are used."""
        extra = values.get("extra")
        known = [field.get("key") for field in self._known_fields(entity)]
        for key in extra if isinstance(extra, dict) else ():
            if key not in known:
                raise StoreError(400, f"Unknown extra field {key}.")

    def _known_fields(self, entity: str) -> list[dict[str, object]]:
        fields: list[dict[str, object]] = json.loads(self._store.settings.get(f"extra_fields_{entity}", "[]"))
        return fields

    def _must_exist(self, name: str) -> None:
        if name not in DEFAULTS:
            raise StoreError(404, f"Setting {name} does not exist.")

    def _shown(self, name: str) -> dict[str, object]:
        kind, default = DEFAULTS[name]
        value = self._store.settings.get(name)
        return {"value": default if value is None else value, "is_set": value is not None, "type": kind}


def _string_body(request: Request) -> str:
    value = decode_body(request.body)
    if not isinstance(value, str):
        raise ValidationError([problem(["body"], value, Wrong("string_type", "Input should be a valid string"))])
    return value


def _checked(name: str, value: str) -> str:
    words, kind = KINDS[DEFAULTS[name][0]]
    try:
        valid = isinstance(json.loads(value), kind)
    except ValueError as error:
        raise StoreError(400, str(error)) from None
    if not valid:
        raise StoreError(400, f"Setting {name} must be {words}.")
    return value
