"""An Access on a database in memory, and request heads to judge."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from trio_moon.config import Document, Problem
from trio_moon.features.access import Access, AccessSettings
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.caller import Transport
from trio_moon.rpc.request_head import RequestHead
from trio_moon.store.database import Database
from trio_moon.store.namespaces import SCHEMA, Namespaces

MakeAccess = Callable[..., Access]


def settings_of(text: str, problems: list[Problem] | None = None) -> AccessSettings:
    section = Document.parse(text).section_or_empty("authorization")
    return AccessSettings.from_section(section, (problems if problems is not None else []).append)


def head(
    path: str = "/server/info",
    *,
    verb: str = "GET",
    query: str = "",
    peer: str | None = "203.0.113.9",
    transport: Transport = Transport.HTTP,
    host: str | None = "printer.local",
    **headers: str,
) -> RequestHead:
    known = {name.replace("_", "-"): value for name, value in headers.items()}
    if host is not None:
        known["host"] = host
    return RequestHead(verb, path, query, known, peer, transport)


@pytest.fixture
async def database(nursery: trio.Nursery) -> Database:
    database = Database(None, (SCHEMA,))
    await nursery.start(database.run)
    return database


@pytest.fixture
def namespaces(database: Database) -> Namespaces:
    return Namespaces(database)


@pytest.fixture
def make_access(nursery: trio.Nursery, namespaces: Namespaces) -> Callable[..., object]:
    async def make(text: str = "", audience: Audience | None = None) -> Access:
        access = Access(settings_of(text), namespaces, Audience() if audience is None else audience)
        await nursery.start(access.run)
        return access

    return make
