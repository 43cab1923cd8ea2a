"""The console store."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from trio_moon.features.server import ConsoleStore
from trio_moon.kit.topics import Topic
from trio_moon.model.events import ConsoleLine


async def test_it_keeps_the_newest_lines_in_order(nursery: trio.Nursery) -> None:
    console: Topic[ConsoleLine] = Topic()
    store = ConsoleStore(console, 3)
    await nursery.start(store.run)
    for number in range(5):
        console.publish(ConsoleLine(f"line {number}", float(number), "response"))
    await wait_all_tasks_blocked()
    assert [line["message"] for line in store.newest(None)] == ["line 2", "line 3", "line 4"]
    assert store.newest(1) == [{"message": "line 4", "time": 4.0, "type": "response"}]
    assert store.newest(0) == []
    assert len(store.newest(99)) == 3


async def test_an_empty_script_is_no_line(nursery: trio.Nursery) -> None:
    console: Topic[ConsoleLine] = Topic()
    store = ConsoleStore(console, 9)
    await nursery.start(store.run)
    for script in ("", " \n", "G28"):
        console.publish(ConsoleLine(script, 1.0, "command"))
    console.publish(ConsoleLine("", 1.0, "response"))
    await wait_all_tasks_blocked()
    assert [line["message"] for line in store.newest(None)] == ["G28", ""]


async def test_it_listens_again_after_a_flood(nursery: trio.Nursery) -> None:
    console: Topic[ConsoleLine] = Topic(buffer=2)
    store = ConsoleStore(console, 100)
    await nursery.start(store.run)
    for number in range(50):  # without a pause: the reader can't keep up
        console.publish(ConsoleLine(f"line {number}", 0.0, "command"))
    await wait_all_tasks_blocked()
    console.publish(ConsoleLine("after", 0.0, "command"))
    await wait_all_tasks_blocked()
    assert store.newest(1)[0]["message"] == "after"


async def test_of_a_script_as_long_as_a_book_the_beginning_is_kept(nursery: trio.Nursery) -> None:
    console: Topic[ConsoleLine] = Topic()
    store = ConsoleStore(console, 3)
    await nursery.start(store.run)
    console.publish(ConsoleLine("G1\n" * 1_000_000, 0.0, "command"))
    await wait_all_tasks_blocked()
    [line] = store.newest(None)
    assert str(line["message"]).startswith("G1\nG1\n")
    assert len(str(line["message"])) < 10_000
