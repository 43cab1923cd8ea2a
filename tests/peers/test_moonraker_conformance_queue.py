"""What both services do with the same queue, one after the other on one real Klipper, and what they tell of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from tests.peers.both_services import Both
from tests.peers.conformance_rows import IDENTITY
from tests.peers.side_by_side import Http, Side, Wire, unlike
from tests.peers.test_moonraker_conformance import READY_TIMEOUT, ready

pytestmark = pytest.mark.peer

SETTLED_AFTER = 1.0
News = tuple[str, str, list[str] | None]


class Queue:
    """A frontend's view of one side's queue."""

    def __init__(self, side: Side, wire: Wire) -> None:
        self.side = side
        self._wire = wire

    async def call(self, method: str, **params: object) -> Any:
        answer = await self._wire.ask(f"server.job_queue.{method}", params)
        return answer.get("result", answer)

    async def add(self, *names: str, **more: object) -> Any:
        return await self.call("post_job", filenames=list(names), **more)

    async def hear(self, count: int) -> list[News]:
        """The next so many news of the queue."""
        heard: list[News] = []
        with trio.move_on_after(READY_TIMEOUT):
            while len(heard) < count:
                while not self._wire.news:
                    self._wire.news.append(await self._wire.receive())
                message = self._wire.news.pop(0)
                if message.get("method") == "notify_job_queue_changed":
                    heard.append(_short(message["params"][0]))
            return heard
        raise AssertionError(f"{self.side.name} has told only {heard}")

    async def empty(self) -> None:
        """Nothing waits, nothing was told that isn't heard, and the printer is idle."""
        await self.call("delete_job", all=True)
        await self.call("pause")
        with trio.fail_after(READY_TIMEOUT):
            while await self.print_state() in ("printing", "paused"):
                await trio.sleep(0.1)
        await trio.sleep(SETTLED_AFTER)
        await self.call("start")
        await trio.sleep(SETTLED_AFTER)
        await self.call("status")
        self._wire.news.clear()

    async def print_state(self) -> str:
        seen = await self.side.http(Http("GET", "/printer/objects/query?print_stats"))
        assert isinstance(seen.body, dict)
        return str(seen.body["result"]["status"]["print_stats"]["state"])

    async def prints(self, state: str) -> None:
        with trio.fail_after(READY_TIMEOUT):
            while await self.print_state() != state:
                await trio.sleep(0.05)
        await trio.sleep(0.5)  # both have heard of it


def _short(news: dict[str, Any]) -> News:
    assert set(news) == {"action", "updated_queue", "queue_state"}
    queue = news["updated_queue"]
    return news["action"], news["queue_state"], None if queue is None else [job["filename"] for job in queue]


@pytest.fixture
async def queues(both_services: Both) -> AsyncIterator[tuple[Queue, Queue]]:
    """Moonraker's queue and ours, both empty, with files to print."""
    assert both_services.klipper is not None
    gcodes = both_services.klipper.gcodes
    (gcodes / "short.gcode").write_text("G28\nG1 X20 F6000\n")
    (gcodes / "waits.gcode").write_text("G28\nPAUSE\nG1 X20 F6000\n")
    for side in both_services:
        await ready(side)
    async with both_services.moonraker.websocket() as one, both_services.ours.websocket() as two:
        found = Queue(both_services.moonraker, one), Queue(both_services.ours, two)
        for queue, wire in zip(found, (one, two), strict=True):
            await wire.ask("server.connection.identify", IDENTITY)
            await queue.empty()
        yield found
        for queue in found:
            await queue.empty()


async def test_adding_and_removing_is_answered_and_told_alike(queues: tuple[Queue, Queue]) -> None:
    answers, told = [], []
    for queue in queues:
        given = [await queue.add("short.gcode", "waits.gcode"), await queue.add("short.gcode")]
        last = given[-1]["queued_jobs"][-1]["job_id"]
        first = given[-1]["queued_jobs"][0]["job_id"]
        assert len(last) == 16
        given.append(await queue.call("delete_job", job_ids=[first]))
        given.append(await queue.add("waits.gcode", "nope.gcode"))
        given.append(await queue.call("delete_job", job_ids=["nonsense"]))
        given.append(await queue.add("short.gcode", reset=True))
        given.append(await queue.call("delete_job", all=True))
        given.append(await queue.call("delete_job", all=True))
        answers.append(given)
        told.append(await queue.hear(6))
    assert not list(unlike(answers[0], answers[1])), answers
    assert told[0] == told[1]


async def test_jobs_follow_each_other_alike(queues: tuple[Queue, Queue]) -> None:
    told = []
    for queue in queues:
        await queue.add("waits.gcode", "waits.gcode")  # Moonraker misses the end of prints that take no time
        assert (await queue.call("start"))["queue_state"] == "loading"
        for _ in range(2):
            await queue.prints("paused")
            await queue.side.http(Http("POST", "/printer/print/resume"))
        told.append(await queue.hear(7))
        await queue.empty()
    assert told[0] == told[1]


async def test_a_jump_is_answered_alike_and_ours_is_told(queues: tuple[Queue, Queue]) -> None:
    answers, told = [], []
    for queue, news in zip(queues, (2, 3), strict=True):
        last = (await queue.add("short.gcode", "waits.gcode"))["queued_jobs"][-1]
        answers.append(await queue.call("jump", job_id=last["job_id"]))
        assert [job["filename"] for job in answers[-1]["queued_jobs"]] == ["waits.gcode", "short.gcode"]
        await queue.call("delete_job", all=True)
        told.append(await queue.hear(news))
    assert not list(unlike(answers[0], answers[1]))
    theirs, mine = told
    assert mine.pop(1) == ("state_changed", "paused", ["waits.gcode", "short.gcode"])
    assert mine == theirs


async def test_a_cancelled_print_pauses_both_queues(queues: tuple[Queue, Queue]) -> None:
    told = []
    for queue in queues:
        await queue.add("waits.gcode", "short.gcode")
        await queue.call("start")
        await queue.prints("paused")
        await queue.side.http(Http("POST", "/printer/print/cancel"))
        heard = await queue.hear(5)
        await queue.add("short.gcode")
        await queue.call("pause")
        await queue.call("start")
        told.append(heard + await queue.hear(3))
        await queue.empty()
    assert told[0] == told[1]


async def test_jobs_that_are_added_while_a_print_goes_on_make_both_ready(queues: tuple[Queue, Queue]) -> None:
    told = []
    for queue in queues:
        await queue.side.http(Http("POST", "/printer/print/start?filename=waits.gcode"))
        await queue.prints("paused")
        await queue.add("short.gcode")
        heard = await queue.hear(2)
        states = [(await queue.call(method))["queue_state"] for method in ("start", "pause", "start", "pause")]
        assert states == ["ready", "paused", "ready", "paused"]
        told.append(heard + await queue.hear(3))
        await queue.side.http(Http("POST", "/printer/print/cancel"))
        await queue.empty()
    assert told[0] == told[1]


async def test_a_job_that_can_not_be_printed_stays_and_pauses_both_queues(
    queues: tuple[Queue, Queue], both_services: Both
) -> None:
    told = []
    assert both_services.klipper is not None
    for queue in queues:
        gone = both_services.klipper.gcodes / "gone.gcode"
        gone.write_text("G28\n")
        await queue.add("gone.gcode")
        gone.unlink()
        await queue.call("start")
        heard = await queue.hear(2)
        with trio.fail_after(READY_TIMEOUT):
            while (await queue.call("status"))["queue_state"] != "paused":
                await trio.sleep(0.05)
        assert len((await queue.call("status"))["queued_jobs"]) == 1
        told.append(heard)
        await queue.empty()
    assert told[0] == told[1]
