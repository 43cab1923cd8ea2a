"""What Linux tells in /proc and /sys about load, memory, network and heat: parsers, and one cheap reader."""

from __future__ import annotations

import os
import re
from pathlib import Path

PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024
CPU_HEAT = Path("/sys/class/thermal/thermal_zone0/temp")
THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")

_READ_BYTES = 64 * 1024


class ProcFile:
    """A file of the kernel's that is read again and again: opened once, no longer asked when it isn't there."""

    def __init__(self, path: Path | str) -> None:
        try:
            self._fd: int | None = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = None

    def read(self) -> str | None:
        """Its present content; None when there is none."""
        if self._fd is None:
            return None
        try:
            return os.pread(self._fd, _READ_BYTES, 0).decode(errors="replace")
        except OSError:
            return None

    def close(self) -> None:
        """Give the descriptor back."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def parse_cpu_times(stat: str) -> dict[str, tuple[int, int]]:
    """/proc/stat: for `cpu`, `cpu0` …, the ticks since the start, in all and idle."""
    times = {}
    for line in stat.splitlines():
        if not line.startswith("cpu"):
            break
        name, *fields = line.split()
        ticks = [int(field) for field in fields[:8]]
        times[name] = (sum(ticks), sum(ticks[3:5]))
    return times


def cpu_usage(before: dict[str, tuple[int, int]], now: dict[str, tuple[int, int]]) -> dict[str, float]:
    """Percent of the time between two readings that each CPU worked."""
    usage = {}
    for name, (total, idle) in now.items():
        total_before, idle_before = before.get(name, (total, idle))
        passed = total - total_before
        usage[name] = round(100.0 * (1 - (idle - idle_before) / passed), 2) if passed > 0 else 0.0
    return usage


_MEMORY = re.compile(r"MemTotal: +(\d+).*?MemAvailable: +(\d+)", re.DOTALL)


def parse_memory(meminfo: str) -> dict[str, int]:
    """/proc/meminfo: kB of memory in all, available, and used."""
    found = _MEMORY.search(meminfo)
    total, available = map(int, found.groups()) if found else (0, 0)
    return {"total": total, "available": available, "used": total - available}


_NETWORK_FIELDS = {
    "rx_bytes": 0,
    "tx_bytes": 8,
    "rx_packets": 1,
    "tx_packets": 9,
    "rx_errs": 2,
    "tx_errs": 10,
    "rx_drop": 3,
    "tx_drop": 11,
}


def parse_network(dev: str) -> dict[str, dict[str, int]]:
    """/proc/net/dev: the counters of each interface."""
    counters = {}
    for line in dev.splitlines()[2:]:
        name, _, rest = line.partition(":")
        columns = rest.split()
        if len(columns) >= 12:
            counters[name.strip()] = {field: int(columns[column]) for field, column in _NETWORK_FIELDS.items()}
    return counters


def with_bandwidth(
    before: dict[str, dict[str, int]], now: dict[str, dict[str, int]], seconds: float
) -> dict[str, dict[str, float]]:
    """The counters, and the bytes per second in both directions since `before`."""
    found: dict[str, dict[str, float]] = {}
    for name, counters in now.items():
        old = before.get(name, counters)
        moved = counters["rx_bytes"] - old["rx_bytes"] + counters["tx_bytes"] - old["tx_bytes"]
        found[name] = {**counters, "bandwidth": round(moved / seconds, 2) if seconds > 0 and moved > 0 else 0.0}
    return found


def parse_heat(millidegrees: str | None) -> float | None:
    """A thermal zone's temperature in degrees Celsius."""
    try:
        return int(millidegrees or "") / 1000.0
    except ValueError:
        return None


_FLAGS = {
    0: "Under-Voltage Detected",
    1: "Frequency Capped",
    2: "Currently Throttled",
    3: "Temperature Limit Active",
    16: "Previously Under-Volted",
    17: "Previously Frequency Capped",
    18: "Previously Throttled",
    19: "Previously Temperature Limited",
}


def parse_throttled(bits: str | None) -> dict[str, object] | None:
    """The Raspberry Pi's word on its power supply and heat; None on other machines."""
    try:
        value = int(bits or "", 16)
    except ValueError:
        return None
    return {"bits": value, "flags": [text for bit, text in _FLAGS.items() if value >> bit & 1]}
