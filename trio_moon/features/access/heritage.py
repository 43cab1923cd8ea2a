"""Moonraker's API key and users come along: a display with the old key and a person with a password notice nothing."""

from __future__ import annotations

import sqlite3
from contextlib import suppress

import msgspec
from msgspec.structs import asdict

from trio_moon.features.access.passwords import as_moonraker_hashed
from trio_moon.features.access.users import API_KEY_USER, NAMESPACE, RESERVED, User
from trio_moon.store.namespaces import kept_if_new
from trio_moon.store.predecessor import Statement
from trio_moon.store.schema import Schema


def _inherit(moonraker: sqlite3.Connection) -> list[Statement]:
    """Whom Moonraker asks elsewhere (LDAP) stays behind, for we couldn't; all have to log in anew."""
    statements, users = [], {}
    query = "SELECT username, password, created_on, salt, source FROM authorized_users"
    for name, password, created, salt, source in moonraker.execute(query):
        if name == API_KEY_USER and isinstance(password, str) and password:
            statements.append(kept_if_new(NAMESPACE, "api_key", {"key": password, "created_on": created}))
        elif source == "moonraker" and name not in RESERVED:
            with suppress(ValueError, TypeError, msgspec.ValidationError):  # that one is damaged
                user = User(name, as_moonraker_hashed(salt, password), created)
                users[name] = asdict(msgspec.convert(asdict(user), User))
    if users:
        statements.append(kept_if_new(NAMESPACE, "users", users))
    return statements


SCHEMA = Schema("access", ("",), _inherit)
"""It has no tables of its own."""
