"""The history of print jobs."""

from trio_moon.features.history.book import SCHEMA, JobBook
from trio_moon.features.history.endpoints import endpoints
from trio_moon.features.history.service import Auxiliary, History

__all__ = ["SCHEMA", "Auxiliary", "History", "JobBook", "endpoints"]
