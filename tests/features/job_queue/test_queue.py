"""The queue on its database, with a printer that can be stopped at every step of a start."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio
import trio.testing

from tests.features.asking import ask
from tests.features.letterbox import Letterbox
from tests.features.told_jobs import ToldJobs
from trio_moon.features.job_queue import SCHEMA, JobQueue, JobQueueSettings, QueueBook, endpoints
from trio_moon.features.job_queue.job import Intent
from trio_moon.features.job_queue.line import Jobs
from trio_moon.kit.json_codec import Raw
from trio_moon.kit.status_box import Status
from trio_moon.kit.topics import Topic
from trio_moon.model.errors import KlippyAway, KlippyRefused, NoSpace, TooMany
from trio_moon.model.events import FileMoved, KlippyConnected, KlippyLost, KlippyReady, KlippyShutdown
from trio_moon.printer.printer import Printer
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.caller import Session
from trio_moon.store.database import Database, StoreFailed

T = TypeVar("T")

AUTOMATIC = JobQueueSettings(automatic=True, transition_gcode="SWEEP")
ON_STARTUP = JobQueueSettings(load_on_startup=True)
IDLE = {"state": "standby", "filename": "", "total_duration": 0.0}


class Gates:
    """Steps at which whoever comes by has to wait, once."""

    def __init__(self) -> None:
        self._closed: dict[str, tuple[trio.Event, trio.Event]] = {}

    def close(self, step: str) -> None:
        self._closed[step] = trio.Event(), trio.Event()

    async def reached(self, step: str) -> None:
        with trio.fail_after(30):
            await self._closed[step][0].wait()

    def open(self, step: str) -> None:
        self._closed.pop(step)[1].set()

    async def passed(self, step: str) -> None:
        if step in self._closed:
            came, opened = self._closed[step]
            came.set()
            await opened.wait()


class GatedPrinter(Printer):
    """A printer without Klipper, which is told what to answer."""

    def __init__(self, audience: Audience, gates: Gates) -> None:
        super().__init__(Path("/nowhere"), audience)
        self.gates = gates
        self.asked: list[str] = []
        self.said: list[str] = []
        self.answer: Exception | None = None
        self.begins = True
        self.tell(IDLE)
        self.state = "ready"
        self.before_print.append(self._agree)

    def tell(self, stats: Mapping[str, object]) -> None:
        self.mirror.merge({"print_stats": dict(stats)}, 1.0)

    async def _agree(self, filename: str) -> None:
        await self.gates.passed("check")

    async def run_gcode(self, script: str) -> Raw:
        self.asked.append(script)
        await self.gates.passed("sweep" if script == "SWEEP" else "answer")
        await trio.lowlevel.checkpoint()
        if script != "SWEEP":
            if self.answer is not None:
                raise self.answer
            if self.begins:
                name = script.partition('"')[2].rstrip('"')
                self.tell({"state": "printing", "filename": name, "total_duration": 0.1})
        return Raw(b"{}")

    async def request(self, method: str, params: object = None, *, deadline: float | None = 0) -> Raw:
        await self.gates.passed("barrier")
        await trio.lowlevel.checkpoint()
        return Raw(b"{}")

    async def query(self, objects: Mapping[str, list[str] | None]) -> tuple[Status, float]:
        await self.gates.passed("query")
        await trio.lowlevel.checkpoint()
        return {"print_stats": dict(self.mirror.get("print_stats"))}, 1.0

    def say(self, text: str) -> None:
        self.said.append(text)

    @property
    def prints(self) -> list[str]:
        return [script.partition('"')[2].rstrip('"') for script in self.asked if script != "SWEEP"]


class GatedBook(QueueBook):
    """A book that can be slow, or full."""

    gates: Gates

    async def intend(self, intent: Intent) -> None:
        await super().intend(intent)
        await self.gates.passed("intend")

    async def settle(self, intent: Intent, *, happened: bool) -> Jobs:
        if happened:
            await self.gates.passed("settle")
        return await super().settle(intent, happened=happened)


class SometimesFull(Database):
    """A database whose disk may be full."""

    full = False

    async def write(self, work: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        if self.full:
            raise StoreFailed("the disk is full")
        return await super().write(work, durable=durable)


class GatedFiles:
    def __init__(self, gates: Gates) -> None:
        self._gates = gates
        self.moves: Topic[FileMoved] = Topic()
        self.gone: set[str] = set()

    async def printable(self, filename: str) -> str | None:
        await self._gates.passed("file")
        await trio.lowlevel.checkpoint()
        return None if filename in self.gone else filename.lstrip("/")


class World:
    """One life of the queue after the other, on one database."""

    def __init__(self, database: SometimesFull, settings: JobQueueSettings) -> None:
        self._settings = settings
        self.disk = database
        self.gates = Gates()
        self.book = GatedBook(database)
        self.book.gates = self.gates
        self.files = GatedFiles(self.gates)
        self.boot = "today"
        self.letters = Letterbox()
        self.audience = Audience()
        self.audience.join(Session(self.letters))
        self.printer = GatedPrinter(self.audience, self.gates)
        self.jobs = ToldJobs()
        self.jobs.tell("standby", 0.0, filename="")

    @asynccontextmanager
    async def life(self) -> AsyncIterator[JobQueue]:
        """A queue that runs until the block is left, then as after `kill -9`."""
        queue = JobQueue(
            self._settings, self.book, self.printer, self.jobs, self.files, self.audience, lambda: self.boot
        )
        self.table = endpoints(queue)
        async with trio.open_nursery() as nursery:
            await nursery.start(queue.run)
            yield queue
            nursery.cancel_scope.cancel()

    async def call(self, method: str, **arguments: object) -> Any:
        return await ask(self.table, f"server.job_queue.{method}", **arguments)

    async def queue(self) -> tuple[str, list[str]]:
        status = await self.call("status")
        return status["queue_state"], [job["filename"] for job in status["queued_jobs"]]

    async def becomes(self, state: str, *names: str) -> None:
        found = None
        with trio.move_on_after(30):
            while (found := await self.queue()) != (state, list(names)):
                await trio.sleep(0.01)
        assert found == (state, list(names))

    async def on_disk(self) -> tuple[list[str], bool]:
        """The jobs that a next life would find, and whether it would be in doubt."""
        jobs, _, intent = await self.book.open()
        return [job.filename for job in jobs], intent is not None

    async def quiet(self) -> None:
        """Nothing happens any more."""
        await trio.sleep(0.2)
        await trio.testing.wait_all_tasks_blocked(0.05)

    def complete(self) -> None:
        self.printer.tell({"state": "complete", "filename": "x", "total_duration": 9.0})
        self.jobs.tell("printing", 0.0)
        self.jobs.tell("complete", 9.0)

    def come_up(self) -> None:
        self.printer.events.publish(KlippyConnected(1, "startup"))
        self.printer.events.publish(KlippyReady(1))


@pytest.fixture
async def world(nursery: trio.Nursery, request: pytest.FixtureRequest) -> World:
    database = SometimesFull(None, (SCHEMA,))
    await nursery.start(database.run)
    return World(database, getattr(request, "param", AUTOMATIC))


# --- calling a start off, at every step


async def pause(world: World) -> None:
    await world.call("pause")


async def emergency_stop(world: World) -> None:
    world.printer.events.publish(KlippyShutdown("Shutdown due to webhooks request"))
    await trio.testing.wait_all_tasks_blocked(0.01)


async def lose_klipper(world: World) -> None:
    world.printer.events.publish(KlippyLost("gone"))
    await trio.testing.wait_all_tasks_blocked(0.01)


@pytest.mark.parametrize("call_off", [pause, emergency_stop, lose_klipper])
@pytest.mark.parametrize("step", ["sweep", "file", "query", "intend", "check"])
async def test_a_start_can_be_called_off_until_klipper_is_asked(
    world: World, step: str, call_off: Callable[[World], Awaitable[None]]
) -> None:
    async with world.life():
        await world.call("post_job", filenames=["one", "two"])
        await world.call("start")
        await world.becomes("ready", "two")
        world.gates.close(step)
        world.complete()
        await world.gates.reached(step)
        await call_off(world)
        world.gates.open(step)
        await world.quiet()
        assert world.printer.prints == ["one"]
        assert await world.queue() == ("paused", ["two"])
        assert await world.on_disk() == (["two"], False)
        await world.call("start")
        await world.becomes("paused")
        assert world.printer.prints == ["one", "two"]


@pytest.mark.parametrize("step", ["answer", "settle"])
async def test_once_klipper_is_asked_a_pause_only_keeps_the_next_from_following(world: World, step: str) -> None:
    async with world.life():
        await world.call("post_job", filenames=["one", "two"])
        world.gates.close(step)
        await world.call("start")
        await world.gates.reached(step)
        await world.call("pause")
        world.gates.open(step)
        await world.becomes("paused", "two")
        assert await world.on_disk() == (["two"], False)
        world.complete()
        await world.quiet()
        assert world.printer.prints == ["one"]


@pytest.mark.parametrize("step", ["file", "query", "intend", "check"])
async def test_a_pause_and_a_start_print_a_job_once(world: World, step: str) -> None:
    async with world.life():
        await world.call("post_job", filenames=["one"])
        world.gates.close(step)
        await world.call("start")
        await world.gates.reached(step)
        await world.call("pause")
        await world.call("start")
        world.gates.open(step)
        await world.becomes("paused")
        assert world.printer.prints == ["one"]


@pytest.mark.parametrize("step", ["file", "query", "intend"])
async def test_a_job_that_is_removed_in_time_is_not_printed(world: World, step: str) -> None:
    async with world.life():
        first = (await world.call("post_job", filenames=["one", "two"]))["queued_jobs"][0]["job_id"]
        world.gates.close(step)
        await world.call("start")
        await world.gates.reached(step)
        await world.call("delete_job", job_ids=[first])
        world.gates.open(step)
        await world.becomes("paused")
        assert world.printer.prints == ["two"]


async def test_a_print_that_somebody_else_starts_in_between_is_left_alone(world: World) -> None:
    async with world.life():
        await world.call("post_job", filenames=["one"])
        world.gates.close("check")
        await world.call("start")
        await world.gates.reached("check")
        world.printer.tell({"state": "printing", "filename": "other", "total_duration": 1.0})
        world.gates.open("check")
        await world.becomes("paused", "one")
        assert world.printer.prints == []
        assert "a print is under way" in world.printer.said[0]


# --- what goes wrong


async def test_a_refused_job_stays_and_can_be_started_again(world: World) -> None:
    async with world.life():
        await world.call("post_job", filenames=["one"])
        world.printer.answer = KlippyRefused("Must home first")
        await world.call("start")
        await world.becomes("paused", "one")
        assert "Must home first" in world.printer.said[0]
        assert await world.on_disk() == (["one"], False)
        world.printer.answer = None
        await world.call("start")
        await world.becomes("paused")


async def test_a_full_disk_refuses_jobs_but_neither_pause_nor_start_and_prints_nothing(world: World) -> None:
    async with world.life():
        await world.call("post_job", filenames=["one"])
        world.disk.full = True
        with pytest.raises(NoSpace):
            await world.call("post_job", filenames=["two"])
        with pytest.raises(NoSpace):
            await world.call("delete_job", all=True)
        assert (await world.call("start"))["queue_state"] == "loading"
        await world.becomes("paused", "one")
        assert world.printer.prints == []
        assert (await world.call("pause"))["queue_state"] == "paused"


@pytest.mark.parametrize("disk", ["full", "mended"])
async def test_what_is_printed_is_not_started_again_though_the_disk_is_full(world: World, disk: str) -> None:
    async with world.life():
        await world.call("post_job", filenames=["one", "two"])
        world.gates.close("answer")
        await world.call("start")
        await world.gates.reached("answer")
        world.disk.full = True
        world.gates.open("answer")
        await world.becomes("ready", "two")
        if disk == "mended":
            world.disk.full = False
            await world.call("post_job", filenames=["three"])
            await world.becomes("ready", "two", "three")
    world.disk.full = False
    async with world.life():
        await world.quiet()
        assert (await world.queue())[1] == (["two", "three"] if disk == "mended" else ["two"])
        assert world.printer.prints == ["one"]


async def test_more_than_the_queue_holds_is_refused_as_a_whole(world: World) -> None:
    async with world.life() as queue:
        await world.call("post_job", filenames=["one"] * 999)
        with pytest.raises(TooMany):
            await world.call("post_job", filenames=["one", "two"])
        await queue.enqueue("two")
        with pytest.raises(TooMany):
            await queue.enqueue("three")


# --- doubts


@pytest.mark.parametrize("at", ["asked", "settle"])
@pytest.mark.parametrize("begins", [True, False])
async def test_a_kill_in_the_middle_of_a_start_is_settled_by_klippers_word(world: World, at: str, begins: bool) -> None:
    world.printer.begins = begins
    step = "answer" if at == "asked" else "settle"
    async with world.life():
        await world.call("post_job", filenames=["one", "one"])
        world.gates.close(step)
        await world.call("start")
        await world.gates.reached(step)
    world.gates.open(step)
    assert await world.on_disk() == (["one", "one"], True)
    if at == "asked" and begins:
        world.printer.tell({"state": "printing", "filename": "one", "total_duration": 0.1})
    async with world.life():
        await (world.becomes("ready", "one") if begins else world.becomes("paused", "one", "one"))
        await world.quiet()
        assert await world.on_disk() == (["one"] if begins else ["one", "one"], False)
        assert world.printer.prints == ["one"]


async def test_a_start_waits_until_what_klipper_was_busy_with_is_over(world: World) -> None:
    async with world.life():
        await world.call("post_job", filenames=["one", "two"])
        world.gates.close("answer")
        await world.call("start")
        await world.gates.reached("answer")
    world.gates.open("answer")
    world.gates.close("barrier")
    async with world.life():
        await world.gates.reached("barrier")
        await world.call("start")
        world.printer.tell({"state": "printing", "filename": "one", "total_duration": 0.1})
        world.gates.open("barrier")
        await world.becomes("paused", "two")
        assert world.printer.prints == ["one"]


async def test_klipper_may_have_heard_us_before_it_went_away(world: World) -> None:
    async with world.life():
        await world.call("post_job", filenames=["one", "two"])
        world.printer.answer = KlippyAway("Klipper went away")
        await world.call("start")
        await world.becomes("paused", "one", "two")
        assert await world.on_disk() == (["one", "two"], True)
        world.printer.tell({"state": "printing", "filename": "one", "total_duration": 0.1})
        world.come_up()
        await world.becomes("ready", "two")
        assert await world.on_disk() == (["two"], False)


# --- Klipper comes and goes


@pytest.mark.parametrize("world", [ON_STARTUP], indirect=True)
async def test_on_startup_means_that_klipper_came_up_before_our_eyes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_moon.features.job_queue.line.STARTUP_DELAY", 0.01)
    async with world.life():
        await world.call("post_job", filenames=["one"])
    async with world.life():
        await world.quiet()
        assert world.printer.prints == []
        world.come_up()
        await world.becomes("paused")
        assert world.printer.prints == ["one"]


@pytest.mark.parametrize("world", [ON_STARTUP], indirect=True)
@pytest.mark.parametrize("reason", ["stop", "boot"])
async def test_what_holds_the_startup_back_is_remembered_and_said(
    world: World, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_moon.features.job_queue.line.STARTUP_DELAY", 0.01)
    async with world.life():
        await world.call("post_job", filenames=["one"])
        if reason == "stop":
            world.printer.events.publish(KlippyShutdown("Shutdown due to webhooks request"))
        await world.quiet()
    if reason == "boot":
        world.boot = "tomorrow"
    async with world.life():
        world.come_up()
        await world.quiet()
        assert world.printer.prints == []
        assert "waits for you" in world.printer.said[-1]
        await world.call("start")
        await world.becomes("paused")


async def test_jobs_follow_their_files(world: World) -> None:
    async with world.life():
        await world.call("post_job", filenames=["a/one", "a", "ab", "a/b/two"])
        world.files.moves.publish(FileMoved("a", "z/y"))
        await world.becomes("paused", "z/y/one", "z/y", "ab", "z/y/b/two")
        assert (await world.on_disk())[0] == ["z/y/one", "z/y", "ab", "z/y/b/two"]
        news = world.letters.params_of("notify_job_queue_changed")[-1]
        assert news["action"] == "state_changed"
        assert [job["filename"] for job in news["updated_queue"]] == ["z/y/one", "z/y", "ab", "z/y/b/two"]


async def test_ids_are_never_given_twice(world: World) -> None:
    seen: set[str] = set()
    async with world.life():
        for _ in range(3):
            jobs = (await world.call("post_job", filenames="one, two", reset=True))["queued_jobs"]
            assert [job["filename"] for job in jobs] == ["one", "two"]
            assert not seen & {job["job_id"] for job in jobs}
            seen |= {job["job_id"] for job in jobs}
