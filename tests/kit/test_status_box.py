from __future__ import annotations

import trio
import trio.testing

from trio_moon.kit.status_box import Status, StatusBox


async def test_new_values_overwrite_old_ones_field_by_field() -> None:
    box = StatusBox()
    box.put({"extruder": {"temperature": 20.0, "target": 0.0}})
    box.put({"extruder": {"temperature": 21.0}, "fan": {"speed": 0.5}})
    assert box.take_now() == {"extruder": {"temperature": 21.0, "target": 0.0}, "fan": {"speed": 0.5}}
    assert not box
    assert box.take_now() == {}


async def test_taking_waits_for_news_and_loses_none_when_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    box = StatusBox()
    with trio.move_on_after(1) as patience:
        await box.take()
    assert patience.cancelled_caught
    box.put({"fan": {"speed": 1.0}})
    assert await box.take() == {"fan": {"speed": 1.0}}


async def test_what_was_put_is_not_changed_by_later_puts() -> None:
    shared: Status = {"fan": {"speed": 1.0}}
    box = StatusBox()
    box.put(shared)
    box.put({"fan": {"speed": 0.0}})
    assert shared == {"fan": {"speed": 1.0}}
