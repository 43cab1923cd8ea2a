"""What both services tell of the same life of one Klipper: prints, pauses, stops, restarts; and what uploads answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio
from trio_websocket import ConnectionClosed

from tests.peers.both_services import Both
from tests.peers.conformance_rows import IDENTITY
from tests.peers.side_by_side import Http, Side, Wire, unlike, with_json
from tests.peers.test_moonraker_conformance import READY_TIMEOUT, ready, report, unmeant

pytestmark = pytest.mark.peer

SUBSCRIBED_AFTER = 0.5
"""Moonraker says that Klipper is ready a moment before it has subscribed, and misses what happens in between."""

OUR_OWN = {
    "notify_proc_stat_update",  # once a second, whatever happens
    "notify_metadata_update",
    "notify_filelist_changed",
    "notify_job_queue_changed",
}
"""What is told at its own time, and so at another place in the order."""


@pytest.fixture
async def both(both_services: Both) -> Both:
    for side in both_services:
        await ready(side)
    await trio.sleep(SUBSCRIBED_AFTER)
    return both_services


class Frontend:
    """A frontend on one side: it subscribes and writes down what it hears."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.heard: list[tuple[str, Any]] = []
        self.states: list[str] = []
        self.history: list[Any] = []
        self._news = trio.Event()

    async def run(self) -> None:
        while True:
            message = await self._next()
            method = message.get("method", "")
            if method == "notify_status_update":
                state = message["params"][0].get("print_stats", {}).get("state")
                if state is not None:
                    self.states.append(state)
                    self.heard.append(("print_stats", state))
            elif method == "notify_history_changed":
                self.history.append(message["params"])
            elif method and method not in OUR_OWN:
                self.heard.append((method, message.get("params")))
            self._news.set()
            self._news = trio.Event()

    async def _next(self) -> dict[str, Any]:
        while True:
            try:
                message = await self.wire.receive()
            except trio.TooSlowError:
                continue
            assert isinstance(message, dict)
            return message

    async def until(self, happened: Callable[[Frontend], bool], shown: object = "") -> None:
        with trio.move_on_after(READY_TIMEOUT):
            while not happened(self):
                await self._news.wait()
            return
        raise AssertionError(f"it did not happen: {self.order()} {self.states} {shown!s:.2000}")

    def order(self) -> list[str]:
        """What was heard, without what it said."""
        return [f"{name} {said}" if name == "print_stats" else name for name, said in self.heard]


@asynccontextmanager
async def frontends(both: Both) -> AsyncIterator[list[Frontend]]:
    async with both.moonraker.websocket() as one, both.ours.websocket() as two, trio.open_nursery() as nursery:
        people = [Frontend(one), Frontend(two)]
        for someone in people:
            await someone.wire.ask("server.connection.identify", IDENTITY)
            await someone.wire.ask("printer.objects.subscribe", {"objects": {"print_stats": None, "toolhead": None}})
            nursery.start_soon(someone.run)
        yield people
        nursery.cancel_scope.cancel()


async def on_a_third_connection(side: Side, method: str, params: object = None) -> Any:
    async with side.websocket() as wire:
        return await wire.ask(method, params)


def same_order(people: list[Frontend]) -> None:
    theirs, ours = people
    assert ours.order() == theirs.order(), report("order", [], theirs.order(), ours.order())
    for one, two in zip(theirs.heard, ours.heard, strict=True):
        assert not list(unlike(one[1], two[1])), (one, two)


async def test_a_print_with_a_pause_is_told_alike(both: Both) -> None:
    assert both.klipper is not None
    (both.klipper.gcodes / "pause.gcode").write_text("G28\nPAUSE\nM118 goes on\nG1 X20 F6000\n")
    async with frontends(both) as people:
        await on_a_third_connection(both.ours, "printer.print.start", {"filename": "pause.gcode"})
        for someone in people:
            await someone.until(lambda frontend: "paused" in frontend.states)
        await on_a_third_connection(both.ours, "printer.print.resume")
        for someone in people:
            await someone.until(lambda frontend: "complete" in frontend.states)
        theirs, ours = people
        assert ours.states == theirs.states
        spoken = [[said for name, said in someone.heard if name == "notify_gcode_response"] for someone in people]
        spoken[1].remove(["// no spool is set for the printer"])  # ours checks before it prints, and goes on
        assert spoken[0] == spoken[1]
        assert ["echo: goes on"] in spoken[1]
        for someone in people:
            await someone.until(lambda frontend: len(frontend.history) == 2, [each.history for each in people])
        assert [[news[0]["action"] for news in someone.history] for someone in people] == [["added", "finished"]] * 2
        for one, two in zip(theirs.history, ours.history, strict=True):
            found = unmeant(list(unlike(one, two)), ("$[].job.auxiliary_data[] 1 -> 0 items",))  # asked at the end
            assert not found, (one, two)
    one, two = [(await side.http(Http("GET", "/server/history/list?limit=1"))).body for side in both]
    assert not list(unlike(one, two)), (one, two)


async def test_a_cancelled_print_is_told_alike(both: Both) -> None:
    assert both.klipper is not None
    (both.klipper.gcodes / "cancel.gcode").write_text("G28\nPAUSE\nG1 X20 F6000\n")
    async with frontends(both) as people:
        await on_a_third_connection(both.ours, "printer.print.start", {"filename": "cancel.gcode"})
        for someone in people:
            await someone.until(lambda frontend: "paused" in frontend.states)
        await on_a_third_connection(both.ours, "printer.print.cancel")
        for someone in people:
            await someone.until(lambda frontend: "cancelled" in frontend.states)
        assert people[0].states == people[1].states
    one, two = [(await side.http(Http("GET", "/printer/objects/query?print_stats"))).body for side in both]
    assert not list(unlike(one, two))


async def state_of(side: Side) -> str:
    seen = await side.http(Http("GET", "/server/info"))
    assert isinstance(seen.body, dict)
    return str(seen.body["result"]["klippy_state"])


async def test_an_emergency_stop_and_the_restart_after_it_are_told_alike(both: Both) -> None:
    async with frontends(both) as people:
        await on_a_third_connection(both.ours, "printer.emergency_stop")
        for someone in people:
            await someone.until(lambda frontend: "notify_klippy_shutdown" in frontend.order())
        assert [await state_of(side) for side in both] == ["shutdown", "shutdown"]
        one, two = [(await side.http(Http("GET", "/printer/info"))).body for side in both]
        assert not list(unlike(one, two))
        refused = [await on_a_third_connection(side, "printer.gcode.script", {"script": "G28"}) for side in both]
        assert refused[0]["error"]["code"] == refused[1]["error"]["code"] == 400
        assert await on_a_third_connection(both.ours, "printer.restart") is not None
        for someone in people:
            await someone.until(lambda frontend: "notify_klippy_ready" in frontend.order())
        for someone in people:
            someone.heard = [(name, said) for name, said in someone.heard if name.startswith("notify_klippy")]
        same_order(people)
        assert people[1].order() == ["notify_klippy_shutdown", "notify_klippy_disconnected", "notify_klippy_ready"]
    for side in both:
        await ready(side)


@pytest.mark.parametrize("call", ["printer.restart", "printer.firmware_restart"])
async def test_a_restart_of_klipper_by_either_is_told_alike(both: Both, call: str) -> None:
    for side in both:
        async with frontends(both) as people:
            answer = await on_a_third_connection(side, call)
            assert answer["result"] == "ok", side.name
            for someone in people:
                await someone.until(lambda frontend: "notify_klippy_ready" in frontend.order())
                someone.heard = [(name, said) for name, said in someone.heard if name.startswith("notify_klippy")]
            same_order(people)
        for each in both:
            await ready(each)


async def test_a_klipper_that_dies_and_returns_is_told_alike(both: Both) -> None:
    assert both.klipper is not None
    async with frontends(both) as people:
        both.klipper.kill()
        for someone in people:
            await someone.until(lambda frontend: "notify_klippy_disconnected" in frontend.order())
        with trio.fail_after(READY_TIMEOUT):
            while [await state_of(side) for side in both] != ["disconnected", "disconnected"]:
                await trio.sleep(0.1)
        for ask in (
            Http("GET", "/printer/info"),
            Http("GET", "/printer/objects/list"),
            with_json("POST", "/printer/gcode/script", {"script": "G28"}),
            with_json("POST", "/printer/print/start", {"filename": "x.gcode"}),
        ):
            assert [(await side.http(ask)).status for side in both] == [503, 503], ask
        answers = [await on_a_third_connection(side, "printer.info") for side in both]
        assert [answer["error"]["code"] for answer in answers] == [503, 503]
        octoprint = [(await side.http(Http("GET", "/api/printer"))).status for side in both]
        assert octoprint[1] in (200, 409)
        both.klipper.start()
        for someone in people:
            await someone.until(lambda frontend: "notify_klippy_ready" in frontend.order())
            someone.heard = [(name, said) for name, said in someone.heard if name.startswith("notify_klippy")]
        same_order(people)


async def listen(wire: Wire) -> None:
    while True:
        await wire.receive()


async def back_again(side: Side) -> None:
    with trio.fail_after(READY_TIMEOUT):
        while True:
            try:
                await ready(side)
                return
            except (httpx.HTTPError, OSError):
                await trio.sleep(0.1)


async def test_a_restarted_server_closes_its_websockets_and_is_back(both: Both) -> None:
    for side in both:
        async with side.websocket() as wire:
            await wire.ask("server.connection.identify", IDENTITY)
            assert (await wire.ask("server.restart"))["result"] == "ok"
            with pytest.raises(ConnectionClosed), trio.fail_after(READY_TIMEOUT):
                await listen(wire)
        await trio.sleep(0.5)
        await back_again(side)


async def test_a_print_goes_on_through_a_restart_of_the_server(both: Both) -> None:
    assert both.klipper is not None
    (both.klipper.gcodes / "through.gcode").write_text("G28\nPAUSE\nG1 X20 F6000\n")
    await on_a_third_connection(both.ours, "printer.print.start", {"filename": "through.gcode"})
    with trio.fail_after(READY_TIMEOUT):
        while await newest_job(both.ours) != ("through.gcode", "in_progress"):
            await trio.sleep(0.1)
    assert (await on_a_third_connection(both.ours, "server.restart"))["result"] == "ok"
    await trio.sleep(0.5)
    await back_again(both.ours)
    async with frontends(both) as people:
        await on_a_third_connection(both.ours, "printer.print.resume")
        for someone in people:
            await someone.until(lambda frontend: "complete" in frontend.states)
    with trio.fail_after(READY_TIMEOUT):
        while await newest_job(both.ours) != ("through.gcode", "completed"):
            await trio.sleep(0.1)


async def newest_job(side: Side) -> tuple[str, str]:
    told: Any = (await side.http(Http("GET", "/server/history/list?limit=1"))).body
    jobs = told["result"]["jobs"]
    return (jobs[0]["filename"], jobs[0]["status"]) if jobs else ("", "")


Change = tuple[str, dict[str, object], str]

CHANGES: list[Change] = [
    ("server.webcams.post_item", {"name": "two", "stream_url": "/x"}, "notify_webcams_changed"),
    ("server.webcams.delete_item", {"name": "two"}, "notify_webcams_changed"),
    ("server.files.post_directory", {"path": "config/dd"}, "notify_filelist_changed"),
    ("server.files.move", {"source": "config/dd", "dest": "config/ee"}, "notify_filelist_changed"),
    ("server.files.copy", {"source": "config/moonraker.conf", "dest": "config/ee/x.conf"}, "notify_filelist_changed"),
    ("server.files.delete_directory", {"path": "config/ee", "force": True}, "notify_filelist_changed"),
    ("access.post_user", {"username": "ann", "password": "p"}, "notify_user_created"),
    ("access.delete_user", {"username": "ann"}, "notify_user_deleted"),
]


async def test_news_of_a_change_follow_its_answer_and_look_alike(both: Both) -> None:
    told = []
    for side in both:
        answers = []
        async with side.websocket() as wire:
            for method, params, news in CHANGES:
                wire.news.clear()
                answer = await wire.ask(method, params)
                too_early = [message for message in wire.news if message["method"] == news]
                assert not too_early, f"{side.name}: {method}"
                answers.append((answer, await first(wire, news)))
        told.append(answers)
    for (method, *_), theirs, ours in zip(CHANGES, *told, strict=True):
        found = [*unlike(theirs[0], ours[0]), *unlike(theirs[1], ours[1])]
        assert not found, report(method, found, theirs, ours)


async def first(wire: Wire, method: str) -> dict[str, Any]:
    while True:
        message = await wire.receive()
        if isinstance(message, dict) and message.get("method") == method:
            return message


Upload = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


def upload(to: str, name: str, content: bytes, **fields: str) -> Upload:
    def send(client: httpx.AsyncClient) -> Awaitable[httpx.Response]:
        return client.post(to, files={"file": (name, content)}, data=fields)

    return send


UPLOADS: list[tuple[Upload, tuple[str, ...]]] = [
    (upload("/server/files/upload", "a.gcode", b"G28\n"), ()),
    (upload("/server/files/upload", "b.gcode", b"G28\n", path="sub/folder"), ()),
    (upload("/server/files/upload", "c.cfg", b"[x]\n", root="config"), ()),
    (upload("/server/files/upload", "c.cfg", b"[x]\n", root="logs"), ()),
    (upload("/server/files/upload", "c.cfg", b"[x]\n", root="nope"), ()),
    (upload("/server/files/upload", "d.gcode", b"G28\n", checksum="00"), ()),
    (upload("/api/files/local", "e.gcode", b"G28\n"), ("$*",)),
    (upload("/api/files/local", "f.gcode", b"M118 printed\n", print="true"), ("$*",)),
]


async def test_uploads_are_answered_alike(both: Both) -> None:
    for send, meant in UPLOADS:
        seen = []
        for side in both:
            async with httpx.AsyncClient(base_url=side.url, trust_env=False, timeout=60) as client:
                answer = await send(client)
                where = answer.headers.get("location", "").replace(side.url, "")
                seen.append((answer.status_code, where, answer.json()))
            await ready(side)
        theirs, ours = seen
        assert ours[:2] == theirs[:2] or "$*" in meant, (theirs, ours)
        assert ours[0] == theirs[0], (theirs, ours)
        if theirs[0] == 201 and not meant:
            assert not list(unlike(theirs[2], ours[2])), json.dumps([theirs, ours])
