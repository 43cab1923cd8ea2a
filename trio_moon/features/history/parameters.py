"""What the calls of the history take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MOST = 2**53
"""SQLite's integers end a little later."""


class WhichJobs(msgspec.Struct, frozen=True):
    """`limit` 0 or less means all, `before` -1 nothing in particular."""

    limit: Annotated[int, Meta(ge=-MOST, le=MOST)] = 50
    start: Annotated[int, Meta(ge=-MOST, le=MOST)] = 0
    since: float | None = None
    before: float | None = None
    order: Literal["asc", "desc", "ASC", "DESC"] = "desc"


class WhichJob(msgspec.Struct, frozen=True):
    uid: str


class JobsToDelete(msgspec.Struct, frozen=True):
    uid: str | None = None
    all: bool = False
