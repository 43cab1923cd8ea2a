"""Parsers of the kernel's files, on texts as Linux writes them."""

from __future__ import annotations

from pathlib import Path

from trio_moon.features.machine import proc_files

STAT = """cpu  100 0 100 700 100 0 0 0 0 0
cpu0 50 0 50 350 50 0 0 0 0 0
cpu1 50 0 50 350 50 0 0 0 0 0
intr 1 2 3
"""
LATER = STAT.replace("cpu  100 0 100 700", "cpu  150 0 100 750").replace("cpu0 50", "cpu0 100")
DEV = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier
    lo: 1000      10    0    0    0     0          0         0     1000      10    0    0    0     0       0          0
  eth0:5000      50    1    2    0     0          0         0     7000      70    3    4    0     0       0          0
"""


def test_cpu_usage_is_what_happened_between_two_readings() -> None:
    before, now = proc_files.parse_cpu_times(STAT), proc_files.parse_cpu_times(LATER)
    assert list(now) == ["cpu", "cpu0", "cpu1"]
    assert proc_files.cpu_usage(before, now) == {"cpu": 50.0, "cpu0": 100.0, "cpu1": 0.0}
    assert proc_files.cpu_usage({}, now)["cpu"] == 0.0


def test_network_counters_and_bandwidth() -> None:
    now = proc_files.parse_network(DEV)
    assert now["eth0"] == {
        "rx_bytes": 5000,
        "tx_bytes": 7000,
        "rx_packets": 50,
        "tx_packets": 70,
        "rx_errs": 1,
        "tx_errs": 3,
        "rx_drop": 2,
        "tx_drop": 4,
    }
    before = {"eth0": {**now["eth0"], "rx_bytes": 4000, "tx_bytes": 6000}}
    moving = proc_files.with_bandwidth(before, now, 2.0)
    assert moving["eth0"]["bandwidth"] == 1000.0
    assert moving["lo"]["bandwidth"] == 0.0


def test_memory_heat_and_throttling() -> None:
    text = "MemTotal:  1000 kB\nMemFree: 10 kB\nMemAvailable:  400 kB\n"
    assert proc_files.parse_memory(text) == {"total": 1000, "available": 400, "used": 600}
    assert proc_files.parse_heat("44008\n") == 44.008
    assert proc_files.parse_heat(None) is None
    assert proc_files.parse_throttled("50005\n") == {
        "bits": 0x50005,
        "flags": ["Under-Voltage Detected", "Currently Throttled", "Previously Under-Volted", "Previously Throttled"],
    }
    assert proc_files.parse_throttled(None) is None


def test_a_file_is_read_anew_each_time_and_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "temp"
    path.write_text("1")
    file = proc_files.ProcFile(path)
    assert file.read() == "1"
    path.write_text("2")
    assert file.read() == "2"
    file.close()
    assert file.read() is None
    assert proc_files.ProcFile(tmp_path / "nowhere").read() is None
