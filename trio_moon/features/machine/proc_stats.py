"""`machine.proc_stats`: how the machine and this process are doing, told to everybody once a second.

The notification is more than a courtesy: Mainsail hangs up when it hears nothing for ten seconds.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import NoReturn

import trio

from trio_moon.features.machine import proc_files
from trio_moon.features.machine.proc_files import ProcFile
from trio_moon.kit.periodic import periodic
from trio_moon.rpc.audience import Audience

PERIOD = 1.0
SAMPLES = 30


class ProcStats:
    """A service that reads a few of the kernel's files every second."""

    def __init__(self, audience: Audience) -> None:
        self._audience = audience
        self._samples: deque[dict[str, object]] = deque(maxlen=SAMPLES)
        self._files: dict[str, ProcFile] = {}
        self._cpu_times: dict[str, tuple[int, int]] = {}
        self._counters: dict[str, dict[str, int]] = {}
        self._own_seconds = time.process_time()
        self._sampled = time.monotonic()
        self._present: dict[str, object] = {}
        self._throttled: dict[str, object] | None = None

    async def run(self, *, task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Sample and tell every second."""
        self._files = {
            "statm": ProcFile("/proc/self/statm"),
            "stat": ProcFile("/proc/stat"),
            "meminfo": ProcFile("/proc/meminfo"),
            "net": ProcFile("/proc/net/dev"),
            "heat": ProcFile(proc_files.CPU_HEAT),
            "throttled": ProcFile(proc_files.THROTTLED),
        }
        try:
            self._tick()
            task_status.started()
            await periodic(PERIOD, self._tick)
        finally:
            for file in self._files.values():
                file.close()

    def _tick(self) -> None:
        own = self._sample_own()
        self._sample_machine()
        self._samples.append(own)
        self._audience.announce("notify_proc_stat_update", {"moonraker_stats": own, **self._present_for_all()})

    def _read(self, name: str) -> str | None:
        return self._files[name].read()

    def _sample_own(self) -> dict[str, object]:
        now, seconds = time.monotonic(), time.process_time()
        passed = now - self._sampled
        usage = 100.0 * (seconds - self._own_seconds) / passed if passed > 0 else 0.0
        self._own_seconds = seconds
        pages = (self._read("statm") or "0 0").split()[1]
        memory_kb = int(pages) * proc_files.PAGE_KB
        return {"time": time.time(), "cpu_usage": round(usage, 2), "memory": memory_kb, "mem_units": "kB"}

    def _sample_machine(self) -> None:
        now = time.monotonic()
        passed, self._sampled = now - self._sampled, now
        cpu_times = proc_files.parse_cpu_times(self._read("stat") or "")
        counters = proc_files.parse_network(self._read("net") or "")
        self._present = {
            "cpu_temp": proc_files.parse_heat(self._read("heat")),
            "network": proc_files.with_bandwidth(self._counters, counters, passed),
            "system_cpu_usage": proc_files.cpu_usage(self._cpu_times, cpu_times),
            "system_memory": proc_files.parse_memory(self._read("meminfo") or ""),
        }
        self._cpu_times, self._counters = cpu_times, counters
        throttled = proc_files.parse_throttled(self._read("throttled"))
        if throttled is not None and throttled != self._throttled:
            self._audience.announce("notify_cpu_throttled", throttled)
        self._throttled = throttled

    def _present_for_all(self) -> dict[str, object]:
        return {**self._present, "websocket_connections": len(self._audience)}

    def as_wire(self) -> Mapping[str, object]:
        """`machine.proc_stats`."""
        return {
            "moonraker_stats": list(self._samples),
            "throttled_state": self._throttled,
            "system_uptime": time.clock_gettime(time.CLOCK_BOOTTIME),
            **self._present_for_all(),
        }
