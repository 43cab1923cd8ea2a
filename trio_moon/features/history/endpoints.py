"""The methods of `server.history.*`."""

from __future__ import annotations

from trio_moon.features.history.parameters import JobsToDelete, WhichJob, WhichJobs
from trio_moon.features.history.service import History
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.endpoint import Endpoint


def endpoints(history: History) -> tuple[Endpoint, ...]:
    """The table of the room."""
    return (
        Endpoint("/server/history/list", WhichJobs, GET=history.list_jobs),
        Endpoint("/server/history/totals", NoParams, GET=history.totals),
        Endpoint("/server/history/reset_totals", NoParams, POST=history.reset_totals),
        Endpoint("/server/history/job", WhichJob, GET=history.get_job),
        Endpoint("/server/history/job", JobsToDelete, DELETE=history.delete_job),
    )
