"""The methods of `server.history.*`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from trio_moon.features.history.service import History
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller
from trio_moon.rpc.endpoint import Endpoint

MOST = 2**53
"""SQLite's integers end a little later."""


class WhichJobs(msgspec.Struct, frozen=True):
    """`limit` 0 means all."""

    limit: Annotated[int, Meta(ge=0, le=MOST)] = 50
    start: Annotated[int, Meta(ge=0, le=MOST)] = 0
    since: float | None = None
    before: float | None = None
    order: Literal["asc", "desc", "ASC", "DESC"] = "desc"


class WhichJob(msgspec.Struct, frozen=True):
    uid: str


class JobsToDelete(msgspec.Struct, frozen=True):
    uid: str | None = None
    all: bool = False


def endpoints(history: History) -> tuple[Endpoint, ...]:
    """The table of the room."""

    async def list_jobs(params: WhichJobs, caller: Caller) -> object:
        return await history.listed(
            limit=params.limit,
            start=params.start,
            since=params.since,
            before=params.before,
            ascending=params.order.lower() == "asc",
        )

    async def get_job(params: WhichJob, caller: Caller) -> object:
        return {"job": await history.get(params.uid)}

    async def delete_job(params: JobsToDelete, caller: Caller) -> object:
        return {"deleted_jobs": await history.delete(params.uid, everything=params.all)}

    async def totals(params: NoParams, caller: Caller) -> object:
        return await history.totals()

    async def reset_totals(params: NoParams, caller: Caller) -> object:
        return await history.reset_totals()

    return (
        Endpoint("/server/history/list", WhichJobs, GET=list_jobs),
        Endpoint("/server/history/totals", NoParams, GET=totals),
        Endpoint("/server/history/reset_totals", NoParams, POST=reset_totals),
        Endpoint("/server/history/job", WhichJob, GET=get_job),
        Endpoint("/server/history/job", JobsToDelete, DELETE=delete_job),
    )
