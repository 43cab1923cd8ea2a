from __future__ import annotations

import trio

from tests.until import until
from trio_moon.kit.json_codec import Raw, decode
from trio_moon.kit.status_box import Status
from trio_moon.printer.calls import Calls
from trio_moon.printer.codec import Message, StatusUpdate
from trio_moon.printer.status_feed import StatusFeed


def fan(speed: float, at: float) -> StatusUpdate:
    return StatusUpdate(eventtime=at, status={"fan": {"speed": speed}})


async def test_what_was_told_before_the_answer_does_not_undo_it(nursery: trio.Nursery) -> None:
    """Klipper's updates name only what has changed: an old value that came last would stay."""
    calls = Calls(lambda: "")
    asked: list[bytes] = []
    told: list[Status] = []
    calls.connect(asked.append)
    feed = StatusFeed(calls, told.append)
    feed.need({"fan": None})
    nursery.start_soon(feed.cover_wishes)
    await until(lambda: len(asked) == 1)
    feed.receive(fan(0.1, at=1.0))
    feed.receive(fan(0.3, at=3.0))
    assert "fan" not in feed.mirror
    question = decode(asked[0].rstrip(b"\x03"))
    assert isinstance(question, dict)
    answer = Raw(b'{"eventtime": 2.0, "status": {"fan": {"speed": 0.2}, "webhooks": {"state": "ready"}}}')
    calls.settle(Message(id=question["id"], result=answer))
    await until(lambda: "fan" in feed.mirror)
    assert [status["fan"]["speed"] for status in told] == [0.2, 0.3]
    assert feed.mirror.get("fan") == {"speed": 0.3}
