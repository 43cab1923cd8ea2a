"""`machine.proc_stats`, on the machine that runs the tests."""

from __future__ import annotations

import trio

from tests.features.asking import ask
from tests.features.letterbox import Letterbox
from trio_moon.features.machine import ProcStats, proc_stats_endpoints
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.caller import Session


async def test_everybody_hears_of_the_machine_once_a_second(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    audience, letters = Audience(), Letterbox()
    audience.join(Session(letters))
    stats = ProcStats(audience)
    await nursery.start(stats.run)
    await trio.sleep(9.5)
    news = letters.params_of("notify_proc_stat_update")
    assert len(news) == 10
    assert set(news[-1]) == {
        "moonraker_stats",
        "cpu_temp",
        "network",
        "system_cpu_usage",
        "system_memory",
        "websocket_connections",
    }
    assert news[-1]["websocket_connections"] == 1
    assert news[-1]["moonraker_stats"]["memory"] > 1000
    assert news[-1]["system_memory"]["total"] > 10_000
    assert "lo" in news[-1]["network"]
    answer = await ask(proc_stats_endpoints(stats), "machine.proc_stats")
    assert [set(sample) for sample in answer["moonraker_stats"]] == [{"time", "cpu_usage", "memory", "mem_units"}] * 10
    assert answer["system_uptime"] > 0
    assert "throttled_state" in answer
    await trio.sleep(60)
    assert len((await ask(proc_stats_endpoints(stats), "machine.proc_stats"))["moonraker_stats"]) == 30
