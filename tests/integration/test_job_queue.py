"""The job queue of a whole service with a simulated printer: prints that follow each other, and some that must not."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.integration.service import Client, Process, RpcSocket, configure, with_printer
from tests.until import until
from trio_moon.model.paths import DataPaths
from trio_moon.printer.printer import Printer
from trio_moon.testing import SimulatedKlipper

SHORT = b"G28\nG1 X100 F600\nG1 X0 F600\n"
"""Several status updates long: of two prints of a moment that are alike nobody is told that they were two."""
ENDLESS = b"G28\n" + b"G1 X100 F600\nG1 X0 F600\n" * 5000
AUTOMATIC = "[job_queue]\nautomatic_transition: True\n"
ON_STARTUP = "[job_queue]\nload_on_startup: True\n"
QUEUED_UPLOADS = "[file_manager]\nqueue_gcode_uploads: True\n"
PRINT = "SDCARD_PRINT_FILE"
LONG_ENOUGH = 2.5
"""Seconds after which a job that must not be loaded would have been."""


class Bench:
    """A service, its printer, and a frontend that listens."""

    def __init__(
        self, klipper: SimulatedKlipper, printer: Printer, client: Client, socket: RpcSocket, paths: DataPaths
    ) -> None:
        self.klipper = klipper
        self.printer = printer
        self.client = client
        self.paths = paths
        self._socket = socket
        self.write("short.gcode", SHORT)
        self.write("long.gcode", ENDLESS)

    def write(self, name: str, content: bytes) -> None:
        path = self.paths.gcodes / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    async def call(self, method: str, /, **params: object) -> Any:
        return await self._socket.call(f"server.job_queue.{method}", **params)

    async def add(self, *names: str, **more: object) -> list[str]:
        """Queue files; returns the ids of all that wait."""
        return [job["job_id"] for job in (await self.call("post_job", filenames=list(names), **more))["queued_jobs"]]

    async def queue(self) -> tuple[str, list[str]]:
        status = await self.call("status")
        return status["queue_state"], [job["filename"] for job in status["queued_jobs"]]

    async def hear(self) -> tuple[str, str, list[str] | None]:
        """The next word about the queue."""
        [news] = (await self._socket.hear("notify_job_queue_changed"))["params"]
        waiting = news["updated_queue"]
        return news["action"], news["queue_state"], None if waiting is None else [job["filename"] for job in waiting]

    async def begun_by(self) -> list[str]:
        """Who has begun the prints of the history."""
        jobs = (await self._socket.call("server.history.list", order="asc"))["jobs"]
        return [job["user"] for job in jobs]

    def asked(self) -> list[str]:
        """The prints that Klipper was asked for."""
        scripts = [str(request.params.get("script")) for request in self.klipper.requests("gcode/script")]
        return [script.partition('"')[2].rstrip('"') for script in scripts if script.startswith(PRINT)]

    async def printing(self, name: str) -> None:
        await until(lambda: self._stats() == ("printing", name))

    async def ended(self, state: str) -> None:
        await until(lambda: self._stats()[0] == state)

    def _stats(self) -> tuple[object, object]:
        if self.klipper.state is None:
            return (None, None)
        stats = self.klipper.status("print_stats")
        return stats["state"], stats["filename"]

    async def nothing_starts(self) -> None:
        before = self.asked()
        await trio.sleep(LONG_ENOUGH)
        assert self.asked() == before

    async def stays(self, *queue: object) -> None:
        await until_equal(self.queue, queue)


async def until_equal(ask: Callable[[], Any], wanted: object) -> None:
    found = None
    with trio.move_on_after(30):
        while (found := await ask()) != wanted:
            await trio.sleep(0.05)
    assert found == wanted


@asynccontextmanager
async def bench(
    folder: Path, sections: str = "", *, speed: float = 100.0, macros: Mapping[str, Any] | None = None
) -> AsyncIterator[Bench]:
    paths = configure(folder, sections)
    house = with_printer(paths, speed=speed, status_interval=0.05, macros=macros, startup_time=0.3)
    async with house as (klipper, app, client), client.websocket() as socket:
        yield Bench(klipper, app.printer, client, socket, paths)


# --- the queue as frontends see it


async def test_jobs_are_added_moved_and_removed_and_everybody_hears_of_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as house:
        first, second, third = await house.add("short.gcode", "long.gcode", "short.gcode")
        assert await house.hear() == ("jobs_added", "paused", ["short.gcode", "long.gcode", "short.gcode"])
        jumped = (await house.client.post(f"/server/job_queue/jump?job_id={third}")).json()["result"]
        assert [job["job_id"] for job in jumped["queued_jobs"]] == [third, first, second]
        assert (await house.hear())[0] == "state_changed"
        answer = await house.client.request("DELETE", f"/server/job_queue/job?job_ids={first},{second}")
        assert [job["job_id"] for job in answer.json()["result"]["queued_jobs"]] == [third]
        assert await house.hear() == ("jobs_removed", "paused", ["short.gcode"])
        await house.client.post("/server/job_queue/job?filenames=long.gcode,/short.gcode&reset=true")
        assert await house.hear() == ("jobs_added", "paused", ["long.gcode", "short.gcode"])
        await house.call("delete_job", all=True)
        assert await house.queue() == ("paused", [])


@pytest.mark.parametrize(
    ("verb", "path", "words"),
    [
        ("POST", "job?filenames=short.gcode,nope.gcode", "G-Code File nope.gcode does not exist"),
        ("POST", "job?filenames=../config/moonraker.conf", "does not exist"),
        ("POST", "job", "filenames"),
        ("DELETE", "job", "job_ids"),
        ("POST", "jump?job_id=1", "Invalid job id: 1"),
        ("POST", "jump", "job_id"),
    ],
)
async def test_what_can_not_be_done_is_said_and_changes_nothing(
    tmp_path: Path, verb: str, path: str, words: str
) -> None:
    async with bench(tmp_path) as house:
        answer = await house.client.request(verb, f"/server/job_queue/{path}")
        assert answer.status_code == 400
        assert words in answer.json()["error"]["message"]
        assert await house.queue() == ("paused", [])


async def test_no_client_can_make_the_queue_grow_without_bound(tmp_path: Path) -> None:
    async with bench(tmp_path) as house:
        await house.add(*["short.gcode"] * 999)
        for names in (["short.gcode"] * 2, ["short.gcode"] * 1001):
            answer = await house.client.post("/server/job_queue/job", json={"filenames": names})
            assert answer.status_code == 429
        assert len((await house.queue())[1]) == 999
        assert len(await house.add(*["short.gcode"] * 1000, reset=True)) == 1000


async def test_a_file_that_is_moved_is_printed_under_its_new_name_and_a_deleted_one_pauses_the_queue(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as house:
        house.write("old/part.gcode", SHORT)
        await house.add("old/part.gcode", "short.gcode")
        await house.hear()
        await house.client.post("/server/files/move", json={"source": "gcodes/old", "dest": "gcodes/new"})
        assert await house.hear() == ("state_changed", "paused", ["new/part.gcode", "short.gcode"])
        await house.call("start")
        await house.stays("paused", ["short.gcode"])
        await house.ended("complete")
        (house.paths.gcodes / "short.gcode").unlink()
        await until(lambda: house.klipper.status("print_stats")["state"] == "complete")
        await house.call("start")
        await house.stays("paused", ["short.gcode"])
        assert house.asked() == ["new/part.gcode"]


# --- prints that follow each other


async def test_an_automatic_queue_prints_everything_with_the_transition_between(tmp_path: Path) -> None:
    more = "job_transition_delay: 0.1\njob_transition_gcode:\n  M118 sweep\n  G28\n"
    async with bench(tmp_path, AUTOMATIC + more, speed=25.0) as house:
        await house.add("short.gcode", "short.gcode", "short.gcode")
        assert (await house.call("start"))["queue_state"] == "loading"
        await until(lambda: house.asked() == ["short.gcode"] * 3)
        await house.stays("paused", [])
        await house.ended("complete")
        assert [line for line in house.klipper.console if "sweep" in line] == ["echo: sweep"] * 2
        heard = [await house.hear() for _ in range(10)]
        assert [(action, state) for action, state, _ in heard] == [
            ("jobs_added", "paused"),
            ("state_changed", "loading"),
            ("state_changed", "starting"),
            ("job_loaded", "ready"),
            ("state_changed", "loading"),
            ("state_changed", "starting"),
            ("job_loaded", "ready"),
            ("state_changed", "loading"),
            ("state_changed", "starting"),
            ("job_loaded", "paused"),
        ]


async def test_a_queue_that_is_not_automatic_prints_one_job_for_each_start(tmp_path: Path) -> None:
    async with bench(tmp_path) as house:
        await house.add("short.gcode", "short.gcode")
        await house.call("start")
        await house.ended("complete")
        await house.stays("paused", ["short.gcode"])
        await house.nothing_starts()


async def test_an_upload_to_a_busy_printer_is_queued_and_printed_next(tmp_path: Path) -> None:
    async with bench(tmp_path, AUTOMATIC + QUEUED_UPLOADS + "[octoprint_compat]\n") as house:
        house.write("first.gcode", ENDLESS)
        await house.klipper.print_file("first.gcode")
        await house.printing("first.gcode")
        await trio.sleep(0.3)
        for to in ("/server/files/upload", "/api/files/local"):
            files = {"file": (f"{to[1:4]}.gcode", SHORT)}
            answer = (await house.client.post(to, files=files, data={"print": "true"})).json()
            assert (answer["print_started"], answer["print_queued"]) == (False, True)
        answer = await house.client.post("/api/files/local/short.gcode", json={"command": "select", "print": True})
        assert answer.status_code == 204
        await house.stays("ready", ["ser.gcode", "api.gcode", "short.gcode"])
        house.klipper.speed = float("inf")
        await until(lambda: house.asked() == ["ser.gcode", "api.gcode", "short.gcode"])
        await until_equal(house.begun_by, ["No User", *["_TRUSTED_USER_"] * 3])


async def test_macros_may_start_and_pause_the_queue(tmp_path: Path) -> None:
    async with bench(tmp_path) as house:
        await house.add("short.gcode")
        await house.klipper.call_remote("start_job_queue")
        await until(lambda: house.asked() == ["short.gcode"])
        await house.klipper.call_remote("pause_job_queue")


# --- prints that must not start


async def test_while_a_transition_hangs_the_queue_can_be_seen_changed_and_paused(tmp_path: Path) -> None:
    gate = trio.Event()

    async def hang(params: Mapping[str, str]) -> None:
        await gate.wait()

    more = "job_transition_gcode: HANG\n"
    async with bench(tmp_path, QUEUED_UPLOADS + AUTOMATIC + more, macros={"HANG": hang}) as house:
        await house.add("short.gcode", "short.gcode")
        await house.call("start")
        await until(lambda: any(request.params.get("script") == "HANG" for request in house.klipper.received))
        files = {"file": ("late.gcode", SHORT)}
        answer = (await house.client.post("/server/files/upload", files=files, data={"print": "true"})).json()
        assert answer["print_queued"]
        assert await house.queue() == ("loading", ["short.gcode", "late.gcode"])
        assert (await house.call("pause"))["queue_state"] == "paused"
        gate.set()
        await house.nothing_starts()
        assert await house.queue() == ("paused", ["short.gcode", "late.gcode"])


@pytest.mark.slow
@pytest.mark.parametrize("how", ["printer.print.cancel", "printer.emergency_stop", "printer.restart"])
async def test_who_ends_a_print_ends_the_queue(tmp_path: Path, how: str) -> None:
    async with bench(tmp_path, "[job_queue]\nautomatic_transition: True\nload_on_startup: True\n") as house:
        await house.add("long.gcode", "short.gcode")
        await house.call("start")
        await house.stays("ready", ["short.gcode"])
        await house.printing("long.gcode")
        await trio.sleep(0.3)
        await house.client.post("/" + how.replace(".", "/"))
        await house.stays("paused", ["short.gcode"])
        if how == "printer.emergency_stop":
            await house.client.post("/printer/firmware_restart")
        await house.nothing_starts()
        await house.call("start")
        await until(lambda: house.asked() == ["long.gcode", "short.gcode"])


@pytest.mark.slow
async def test_an_emergency_stop_between_two_jobs_is_the_end_of_it(tmp_path: Path) -> None:
    more = "job_transition_delay: 1.5\nload_on_startup: True\n"
    async with bench(tmp_path, AUTOMATIC + more) as house:
        await house.add("short.gcode", "short.gcode")
        await house.call("start")
        await house.stays("loading", ["short.gcode"])
        await until(lambda: house.asked() == ["short.gcode"])
        await house.ended("complete")
        await house.client.post("/printer/emergency_stop")
        await house.stays("paused", ["short.gcode"])
        await house.client.post("/printer/firmware_restart")
        await house.nothing_starts()
        assert await house.queue() == ("paused", ["short.gcode"])


async def test_what_klipper_refuses_stays_in_the_queue_and_is_said(tmp_path: Path) -> None:
    async with bench(tmp_path) as house:
        await house.add("short.gcode")
        house.klipper.faults.refuse["gcode/script"] = "Must home first"
        await house.call("start")
        await until_equal(house.queue, ("paused", ["short.gcode"]))
        actions = [(await house.hear())[1] for _ in range(4)]
        assert actions == ["paused", "loading", "starting", "paused"]
        house.klipper.faults.clear()
        await house.call("start")
        await house.stays("paused", [])


async def test_on_startup_an_idle_printer_loads_the_next_job(tmp_path: Path) -> None:
    async with bench(tmp_path, ON_STARTUP) as house:
        await house.add("short.gcode", "short.gcode")
        house.klipper.shut_down()
        await until(lambda: house.printer.state == "shutdown")  # one that is over at once has no known cause
        await house.client.post("/printer/firmware_restart")
        await until(lambda: house.asked() == ["short.gcode"])
        await house.stays("paused", ["short.gcode"])


# --- kills


def jobs_on_disk(paths: DataPaths) -> list[str]:
    with sqlite3.connect(paths.database / "trio_moon.db") as connection:
        return [row[0] for row in connection.execute("SELECT filename FROM queued_jobs ORDER BY place")]


@asynccontextmanager
async def process(paths: DataPaths) -> AsyncIterator[tuple[Process, Client]]:
    service = Process(paths)
    try:
        yield service, await service.start()
    finally:
        service.clean_up()


async def state_of(client: Client) -> tuple[str, list[str]]:
    status = await client.result("/server/job_queue/status")
    return status["queue_state"], [job["filename"] for job in status["queued_jobs"]]


@pytest.mark.slow
async def test_the_queue_survives_kill_9_and_goes_on_after_the_print(tmp_path: Path, nursery: trio.Nursery) -> None:
    paths = configure(tmp_path, AUTOMATIC)
    for name, content in (("long.gcode", ENDLESS), ("short.gcode", SHORT)):
        (paths.gcodes / name).write_bytes(content)
    klipper = SimulatedKlipper(paths.comms / "klippy.sock", gcodes=paths.gcodes, speed=50.0, status_interval=0.05)
    await nursery.start(klipper.run)
    async with process(paths) as (service, client):
        await client.klippy_ready()
        await client.post("/server/job_queue/job", json={"filenames": ["long.gcode", "short.gcode", "short.gcode"]})
        await client.post("/server/job_queue/start")
        await until_equal(lambda: state_of(client), ("ready", ["short.gcode", "short.gcode"]))
        before = (await client.result("/server/job_queue/status"))["queued_jobs"]
        await until(lambda: klipper.status("print_stats")["state"] == "printing")
        await trio.sleep(0.5)
        await service.kill()
        client = await service.start()
        await client.klippy_ready()
        after = await client.result("/server/job_queue/status")
        assert after["queue_state"] == "ready"
        assert [job["job_id"] for job in after["queued_jobs"]] == [job["job_id"] for job in before]
        klipper.speed = float("inf")
        await until_equal(lambda: state_of(client), ("paused", []))


@pytest.mark.slow
@pytest.mark.parametrize("klipper_goes_on", [True, False])
async def test_a_kill_while_klipper_is_asked_neither_loses_a_job_nor_prints_it_twice(
    tmp_path: Path, nursery: trio.Nursery, klipper_goes_on: bool
) -> None:
    paths = configure(tmp_path, AUTOMATIC + "load_on_startup: True\n")
    (paths.gcodes / "long.gcode").write_bytes(ENDLESS)
    gate = trio.Event()

    async def busy(params: Mapping[str, str]) -> None:
        await gate.wait()

    klipper = SimulatedKlipper(
        paths.comms / "klippy.sock", gcodes=paths.gcodes, speed=1.0, status_interval=0.05, macros={"BUSY": busy}
    )
    await nursery.start(klipper.run)
    nursery.start_soon(lambda: klipper.run_gcode("BUSY", wait_moves=False))
    async with process(paths) as (service, client):
        await client.klippy_ready()
        await client.post("/server/job_queue/job", json={"filenames": ["long.gcode", "long.gcode"]})
        await client.post("/server/job_queue/start")
        await until(lambda: any(PRINT in str(request.params) for request in klipper.received))
        await service.kill()
        assert jobs_on_disk(paths) == ["long.gcode", "long.gcode"]
        if not klipper_goes_on:
            klipper.crash()
        client = await service.start()
        await trio.sleep(1.0)
        gate.set()
        await client.klippy_ready()
        expected = ("ready", ["long.gcode"]) if klipper_goes_on else ("paused", ["long.gcode", "long.gcode"])
        await until_equal(lambda: state_of(client), expected)
        await trio.sleep(1.5)
        assert await state_of(client) == expected
        asked = [request for request in klipper.received if PRINT in str(request.params)]
        assert len(asked) == 1


KILLS = 8


@pytest.mark.slow
async def test_kills_at_any_moment_cost_no_job_and_print_none_twice(tmp_path: Path, nursery: trio.Nursery) -> None:
    chance = random.Random(7)
    paths = configure(tmp_path, AUTOMATIC)
    names = [f"part{number}.gcode" for number in range(60)]
    for name in names:
        (paths.gcodes / name).write_bytes(SHORT)
    klipper = SimulatedKlipper(
        paths.comms / "klippy.sock", gcodes=paths.gcodes, speed=float("inf"), status_interval=0.02
    )
    await nursery.start(klipper.run)
    async with process(paths) as (service, client):
        await client.klippy_ready()
        await client.post("/server/job_queue/job", json={"filenames": names})
        for _ in range(KILLS):
            await client.post("/server/job_queue/start")
            await trio.sleep(chance.uniform(0.0, 0.3))
            await service.kill()
            client = await service.start()
            await client.klippy_ready()
        with trio.fail_after(60):
            while (status := await state_of(client))[1]:
                if status[0] == "paused":
                    await client.post("/server/job_queue/start")
                await trio.sleep(0.05)
    printed = [
        str(request.params["script"]).partition('"')[2].rstrip('"')
        for request in klipper.received
        if request.method == "gcode/script" and PRINT in str(request.params)
    ]
    assert printed == names
