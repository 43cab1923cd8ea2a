"""The job queue: files to print one after the other."""

from trio_moon.features.job_queue.book import SCHEMA, QueueBook
from trio_moon.features.job_queue.endpoints import endpoints
from trio_moon.features.job_queue.service import JobQueue
from trio_moon.features.job_queue.settings import JobQueueSettings

__all__ = ["SCHEMA", "JobQueue", "JobQueueSettings", "QueueBook", "endpoints"]
