"""The methods of `server.job_queue.*`."""

from __future__ import annotations

from trio_moon.features.job_queue.parameters import JobsToAdd, JobsToRemove, JobToJump
from trio_moon.features.job_queue.service import JobQueue
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.endpoint import Endpoint


def endpoints(queue: JobQueue) -> tuple[Endpoint, ...]:
    """The table of the room. Every answer is the whole queue."""
    return (
        Endpoint("/server/job_queue/status", NoParams, GET=queue.status),
        Endpoint("/server/job_queue/job", JobsToAdd, POST=queue.add),
        Endpoint("/server/job_queue/job", JobsToRemove, DELETE=queue.remove),
        Endpoint("/server/job_queue/pause", NoParams, POST=queue.pause),
        Endpoint("/server/job_queue/start", NoParams, POST=queue.start),
        Endpoint("/server/job_queue/jump", JobToJump, POST=queue.jump),
    )
