"""`server.history.*`: every job is in the book once, with what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.features.asking import ask
from tests.features.letterbox import Letterbox
from tests.features.told_jobs import ToldJobs
from tests.until import until
from trio_moon.features.history import SCHEMA, Auxiliary, History, JobBook, endpoints, service
from trio_moon.model.errors import BadParams, NotFound
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.caller import Session
from trio_moon.store.database import Database, StoreFailed


class Files:
    def __init__(self) -> None:
        self.printed: list[tuple[str, str]] = []

    async def metadata_of(self, filename: str) -> Mapping[str, object]:
        if filename.startswith("unknown"):
            raise NotFound(f"no {filename}")
        return {"filename": filename, "size": 3, "estimated_time": 60, "job_id": None, "print_start_time": None}

    async def note_print(self, filename: str, job_id: str, print_start_time: float) -> None:
        self.printed.append((filename, job_id))


class World:
    """A history on a database that outlives it."""

    def __init__(self, nursery: trio.Nursery, database: Database, gcodes: Path) -> None:
        self._nursery = nursery
        self.book = JobBook(database)
        self.gcodes = gcodes
        self.jobs = ToldJobs()
        self.files = Files()
        self.letters = Letterbox()
        self._scope = trio.CancelScope()

    async def open(self, jobs: ToldJobs | None = None) -> None:
        """Begin, or begin again after the former history was cut off."""
        self._scope.cancel()
        self._scope = trio.CancelScope()
        self.jobs = jobs or ToldJobs()
        audience = Audience()
        audience.join(Session(self.letters))
        history = History(self.book, self.jobs, self.files, self.gcodes, audience)
        history.add_auxiliary(Auxiliary("spoolman", "spool_ids", "Spool IDs used", None, lambda: [1, 2, None]))
        self.table = endpoints(history)

        async def live(scope: trio.CancelScope, task_status: trio.TaskStatus[object]) -> None:
            with scope:
                await history.run(task_status=task_status)

        await self._nursery.start(lambda task_status: live(self._scope, task_status))

    async def ask(self, method: str, **arguments: object) -> Any:
        return await ask(self.table, f"server.history.{method}", **arguments)

    async def written(self, *statuses: str, total: float | None = None) -> None:
        """Wait until these are the jobs in the book, newest first; `total` is the newest one's duration."""
        with trio.fail_after(30):
            while True:
                jobs = await self.book.listed(limit=0)
                if [job.status for job in jobs] == list(statuses) and total in (None, jobs[0].total_duration):
                    return
                await trio.sleep(0.005)

    async def told(self, count: int) -> None:
        """Wait until so many changes were announced."""
        await until(lambda: len(self.letters.params_of("notify_history_changed")) >= count)

    async def print(self, *, times: int = 1, seconds: float = 1.0) -> None:
        """Print from beginning to end."""
        for _ in range(times):
            before = [job.status for job in await self.book.listed(limit=0)]
            self.jobs.tell("printing", 0.0)
            await self.written("in_progress", *before)
            self.jobs.tell("complete", seconds)
            await self.written("completed", *before)


@pytest.fixture
async def world(nursery: trio.Nursery, tmp_path: Path) -> World:
    database = Database(None, (SCHEMA,))
    await nursery.start(database.run)
    (tmp_path / "vase.gcode").write_text("G28")
    world = World(nursery, database, tmp_path)
    await world.open()
    world.jobs.tell("standby", 0.0, filename="")
    return world


async def test_a_job_is_told_when_it_begins_and_when_it_ends(world: World) -> None:
    world.jobs.tell("printing", 0.0)
    await world.written("in_progress")
    await world.told(1)
    [begun] = world.letters.params_of("notify_history_changed")
    assert begun["action"] == "added"
    assert begun["job"]["status"] == "in_progress"
    assert begun["job"]["end_time"] is None
    world.jobs.tell("paused", 10.0)
    world.jobs.tell("printing", 12.0)
    world.jobs.tell("complete", 20.0)
    await world.told(2)
    ended = world.letters.params_of("notify_history_changed")[-1]
    assert ended["action"] == "finished"
    job = ended["job"]
    start, end = job.pop("start_time"), job.pop("end_time")
    assert end >= start
    assert job == {
        "job_id": "000001",
        "exists": True,
        "filename": "vase.gcode",
        "status": "completed",
        "print_duration": 10.0,
        "total_duration": 20.0,
        "filament_used": 200.0,
        "metadata": {"size": 3, "estimated_time": 60},
        "user": "No User",
        "auxiliary_data": [
            {
                "provider": "spoolman",
                "name": "spool_ids",
                "value": [1, 2, None],
                "description": "Spool IDs used",
                "units": None,
            }
        ],
    }
    assert (await world.ask("get_job", uid="000001"))["job"]["status"] == "completed"
    assert world.files.printed == [("vase.gcode", "000001")]
    assert (await world.ask("totals")) == {
        "job_totals": {
            "total_jobs": 1,
            "total_time": 20.0,
            "total_print_time": 10.0,
            "total_filament_used": 200.0,
            "longest_job": 20.0,
            "longest_print": 10.0,
        },
        "auxiliary_totals": [],
    }


async def test_every_way_to_end_has_its_name(world: World) -> None:
    for state in ("cancelled", "error"):
        world.jobs.tell("printing", 0.0)
        world.jobs.tell(state, 5.0)
    world.jobs.tell("printing", 0.0)
    world.jobs.shut_down()
    await world.written("klippy_shutdown", "error", "cancelled")


async def test_a_running_job_is_as_far_as_klipper_says(world: World) -> None:
    world.jobs.tell("printing", 0.0)
    await world.written("in_progress")
    world.jobs.tell("printing", 7.0)
    [job] = (await world.ask("list"))["jobs"]
    assert (job["status"], job["total_duration"]) == ("in_progress", 7.0)
    assert job["auxiliary_data"][0]["value"] == [1, 2, None]


async def test_a_lost_connection_ends_a_job_until_it_turns_out_to_go_on(world: World) -> None:
    world.jobs.tell("printing", 0.0)
    world.jobs.tell("printing", 10.0)
    world.jobs.lose()
    await world.written("klippy_disconnect")
    world.jobs.tell("printing", 15.0)
    await world.written("in_progress")
    world.jobs.tell("complete", 30.0)
    await world.written("completed", total=30.0)
    totals = (await world.ask("totals"))["job_totals"]
    assert (totals["total_jobs"], totals["total_time"]) == (1, 30.0)


async def test_a_job_goes_on_through_our_own_restart(world: World) -> None:
    world.jobs.tell("printing", 0.0)
    world.jobs.tell("paused", 10.0)
    await world.written("in_progress", total=10.0)
    await world.open()
    world.jobs.tell("printing", 20.0)
    world.jobs.tell("complete", 30.0)
    await world.written("completed")
    [job] = (await world.ask("list"))["jobs"]
    assert (job["job_id"], job["status"], job["total_duration"]) == ("000001", "completed", 30.0)


@pytest.mark.parametrize(
    ("state", "total", "filename", "expected"),
    [
        ("complete", 30.0, "vase.gcode", "completed"),
        ("cancelled", 30.0, "vase.gcode", "cancelled"),
        ("standby", 0.0, "", "interrupted"),
        ("complete", 5.0, "vase.gcode", "interrupted"),
        ("complete", 30.0, "other.gcode", "interrupted"),
    ],
)
async def test_an_end_that_nobody_saw_is_found_out(
    world: World, monkeypatch: pytest.MonkeyPatch, state: str, total: float, filename: str, expected: str
) -> None:
    monkeypatch.setattr("trio_moon.features.history.service.LOOK_AGAIN", 0.02)
    world.jobs.tell("printing", 0.0)
    world.jobs.tell("paused", 10.0)
    await world.written("in_progress", total=10.0)
    await world.open()
    await world.written("in_progress")
    world.jobs.tell(state, total, filename=filename, connected_for=1.0)
    await world.written(expected)


async def test_a_new_job_closes_one_whose_end_nobody_saw(world: World) -> None:
    world.jobs.tell("printing", 0.0)
    await world.written("in_progress")
    await world.open()
    world.jobs.tell("printing", 0.0, filename="unknown.gcode", connected_for=5.0)
    await world.written("in_progress", "interrupted")
    world.jobs.tell("printing", 0.0, filename="unknown2.gcode")
    await world.written("in_progress", "cancelled", "interrupted")  # this time it was seen
    [_, newer, older] = (await world.ask("list"))["jobs"]
    assert (newer["exists"], newer["metadata"], older["exists"]) == (False, {}, True)


async def test_jobs_are_listed_in_pages_with_the_count_of_a_page(world: World) -> None:
    await world.print(times=5)
    page = await world.ask("list", limit="2", start=1)
    assert page["count"] == 2
    assert [job["job_id"] for job in page["jobs"]] == ["000004", "000003"]
    for first in ("asc", "ASC"):
        assert [job["job_id"] for job in (await world.ask("list", order=first, limit=1))["jobs"]] == ["000001"]
    for everything in ({"limit": 0}, {"limit": -1}, {"start": -1}, {"since": -1, "before": -1}):
        assert (await world.ask("list", **everything))["count"] == 5
    third = (await world.ask("get_job", uid="000003"))["job"]["start_time"]
    later = await world.ask("list", since=third)
    assert (later["count"], [job["job_id"] for job in later["jobs"]]) == (2, ["000005", "000004"])
    assert (await world.ask("list", before=str(third)))["count"] == 2
    for wrong in ({"limit": "all"}, {"order": "up"}, {"since": "yesterday"}):
        with pytest.raises(BadParams):
            await world.ask("list", **wrong)


async def test_before_is_compared_with_the_end_as_moonraker_does(world: World) -> None:
    await world.print(seconds=10.0)
    done = (await world.ask("get_job", uid="000001"))["job"]
    world.jobs.tell("printing", 0.0)
    await world.written("in_progress", "completed")
    assert done["start_time"] < done["end_time"]
    for before, found in ((done["end_time"], 0), (done["end_time"] + 0.001, 1), (done["end_time"] + 9e9, 1)):
        listed = await world.ask("list", before=before)
        assert (listed["count"], len(listed["jobs"])) == (found, found)


async def test_jobs_are_deleted_and_totals_stay(world: World) -> None:
    await world.print(times=3, seconds=4.0)
    assert await world.ask("delete_job", uid="000002") == {"deleted_jobs": ["000002"]}
    for uid in ("000002", "nonsense", ""):
        with pytest.raises(NotFound):
            await world.ask("delete_job", uid=uid)
        with pytest.raises(NotFound):
            await world.ask("get_job", uid=uid)
    with pytest.raises(BadParams, match="uid"):
        await world.ask("delete_job")
    assert await world.ask("delete_job", all="true") == {"deleted_jobs": ["000001", "000003"]}
    assert (await world.ask("list")) == {"count": 0, "jobs": []}
    last = (await world.ask("reset_totals"))["last_totals"]
    assert (last["total_jobs"], last["longest_job"]) == (3, 4.0)
    assert (await world.ask("totals"))["job_totals"]["total_jobs"] == 0
    world.jobs.tell("printing", 0.0)
    await world.written("in_progress")
    assert (await world.ask("list"))["jobs"][0]["job_id"] == "000004"


async def test_a_job_that_began_while_we_were_away_is_written_down(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_moon.features.history.service.LOOK_AGAIN", 0.02)
    world.jobs.tell("printing", 0.0)
    world.jobs.tell("paused", 10.0)
    await world.written("in_progress", total=10.0)
    await world.open()
    world.jobs.tell("printing", 70.0, filename="other.gcode", connected_for=1.0)
    await world.written("in_progress", "interrupted")  # whatever the clock says
    world.jobs.tell("complete", 80.0, filename="other.gcode")
    await world.written("completed", "interrupted")
    unseen = (await world.ask("list"))["jobs"][0]
    assert (unseen["filename"], unseen["total_duration"]) == ("other.gcode", 80.0)
    assert unseen["end_time"] - unseen["start_time"] >= 70.0


@pytest.mark.parametrize("state", ["complete", "cancelled"])
async def test_a_job_that_ended_while_the_connection_was_lost_has_its_true_end(world: World, state: str) -> None:
    world.jobs.tell("printing", 0.0)
    world.jobs.tell("printing", 10.0)
    world.jobs.lose()
    await world.written("klippy_disconnect")
    world.jobs.tell(state, 30.0)
    await world.written({"complete": "completed"}.get(state, state), total=30.0)
    totals = (await world.ask("totals"))["job_totals"]
    assert (totals["total_jobs"], totals["total_time"]) == (1, 30.0)


async def test_a_job_that_is_paused_when_the_connection_is_back_is_the_same_job(world: World) -> None:
    world.jobs.tell("printing", 0.0)
    world.jobs.tell("printing", 10.0)
    world.jobs.lose()
    await world.written("klippy_disconnect")
    world.jobs.tell("paused", 15.0)
    await world.written("in_progress", total=15.0)
    world.jobs.tell("cancelled", 16.0)
    await world.written("cancelled", total=16.0)


async def test_an_old_entry_is_never_taken_for_a_job_that_began_unseen(world: World) -> None:
    await world.print(seconds=50.0)
    world.jobs.lose()
    world.jobs.tell("printing", 60.0, connected_for=1.0)  # the same file again, begun while nobody looked
    world.jobs.tell("paused", 61.0)
    world.jobs.tell("printing", 62.0)
    world.jobs.tell("complete", 90.0)
    await world.written("completed", "completed")
    assert (await world.ask("totals"))["job_totals"]["total_time"] == 140.0


async def test_a_job_is_found_again_whatever_the_clock_said_when_it_began(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.print(seconds=5.0)
    monkeypatch.setattr("trio_moon.features.history.service.time.time", lambda: 60.0)  # booted without a clock
    world.jobs.tell("printing", 0.0)
    await world.told(3)
    await world.open()
    monkeypatch.undo()
    world.jobs.tell("printing", 20.0, connected_for=1.0)
    world.jobs.tell("complete", 30.0)
    await world.written("completed", "completed")
    assert (await world.ask("totals"))["job_totals"]["total_time"] == 35.0


async def test_a_job_that_can_not_be_written_down_is_as_soon_as_it_can(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, tried = Database.write, trio.Event()

    async def full(*arguments: object, **options: object) -> None:
        await trio.lowlevel.checkpoint()
        tried.set()
        raise StoreFailed("the database is full")

    monkeypatch.setattr(service, "TRY_AGAIN", 0.1)
    monkeypatch.setattr(service, "LOOK_AGAIN", 0.05)
    monkeypatch.setattr(Database, "write", full)
    world.jobs.tell("printing", 0.0)
    with trio.fail_after(20):
        await tried.wait()
    world.jobs.tell("printing", 5.0)
    monkeypatch.setattr(Database, "write", write)
    await world.written("in_progress")
    world.jobs.tell("complete", 9.0)
    await world.written("completed", total=9.0)
