"""What the calls of the job queue take."""

from __future__ import annotations

import msgspec

from trio_moon.model.errors import BadParams

Names = str | list[str]
"""A list, or names with commas between them."""


class JobsToAdd(msgspec.Struct, frozen=True):
    """`reset`: in place of all that wait."""

    filenames: Names
    reset: bool = False

    def listed(self) -> list[str]:
        """The names one by one."""
        return _listed(self.filenames)


class JobsToRemove(msgspec.Struct, frozen=True):
    """Some jobs, or `all`."""

    job_ids: Names | None = None
    all: bool = False

    def listed(self) -> list[str] | None:
        """The ids one by one; None for all jobs."""
        if self.all:
            return None
        if self.job_ids is None:
            raise BadParams("argument 'job_ids' is missing: say which jobs, or all=true")
        return _listed(self.job_ids)


class JobToJump(msgspec.Struct, frozen=True):
    job_id: str


def _listed(names: Names) -> list[str]:
    return [word for part in names.split(",") if (word := part.strip())] if isinstance(names, str) else names
