"""The methods of `server.job_queue.*`."""

from __future__ import annotations

import msgspec

from trio_moon.features.job_queue.service import JobQueue
from trio_moon.model.errors import BadParams
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller
from trio_moon.rpc.endpoint import Endpoint

Names = str | list[str]
"""A list, or names with commas between them."""


class JobsToAdd(msgspec.Struct, frozen=True):
    """`reset`: in place of all that wait."""

    filenames: Names
    reset: bool = False


class JobsToRemove(msgspec.Struct, frozen=True):
    """Some jobs, or `all`."""

    job_ids: Names | None = None
    all: bool = False


class WhichJob(msgspec.Struct, frozen=True):
    job_id: str


def endpoints(queue: JobQueue) -> tuple[Endpoint, ...]:
    """The table of the room. Every answer is the whole queue."""

    def status(params: NoParams, caller: Caller) -> object:
        return queue.as_wire()

    async def add(params: JobsToAdd, caller: Caller) -> object:
        await queue.add(_names(params.filenames), reset=params.reset)
        return queue.as_wire()

    async def remove(params: JobsToRemove, caller: Caller) -> object:
        if params.all:
            await queue.remove(None)
        elif params.job_ids is None:
            raise BadParams("argument 'job_ids' is missing: say which jobs, or all=true")
        else:
            await queue.remove(_names(params.job_ids))
        return queue.as_wire()

    async def pause(params: NoParams, caller: Caller) -> object:
        await queue.pause()
        return queue.as_wire()

    async def start(params: NoParams, caller: Caller) -> object:
        await queue.start()
        return queue.as_wire()

    async def jump(params: WhichJob, caller: Caller) -> object:
        await queue.put_first(params.job_id)
        return queue.as_wire()

    return (
        Endpoint("/server/job_queue/status", NoParams, GET=status),
        Endpoint("/server/job_queue/job", JobsToAdd, POST=add),
        Endpoint("/server/job_queue/job", JobsToRemove, DELETE=remove),
        Endpoint("/server/job_queue/pause", NoParams, POST=pause),
        Endpoint("/server/job_queue/start", NoParams, POST=start),
        Endpoint("/server/job_queue/jump", WhichJob, POST=jump),
    )


def _names(names: Names) -> list[str]:
    return [word for part in names.split(",") if (word := part.strip())] if isinstance(names, str) else names
