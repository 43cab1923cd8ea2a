"""Numbers that no database can hold are refused like others that make no sense."""

from __future__ import annotations

import pytest

from trio_moon.features.history.parameters import WhichJobs
from trio_moon.model.errors import BadParams
from trio_moon.rpc.binding import binder


@pytest.mark.parametrize("name", ["limit", "start"])
def test_a_number_beyond_all_jobs_is_refused(name: str) -> None:
    with pytest.raises(BadParams, match=name):
        binder(WhichJobs)({name: 10**30})
