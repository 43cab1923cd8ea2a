"""A server under test: started in a data path of its own, its CPU read from the kernel's clock of the process tree."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from tests.web.world import HttpClient

START_TIMEOUT = 60.0

CONFIGURATION = """\
[server]
host: 127.0.0.1
port: {port}
max_websocket_connections: 1000
klippy_uds_address: {klipper}
[authorization]
trusted_clients:
  127.0.0.0/8
[octoprint_compat]
[spoolman]
server: {spoolman}
[history]
[machine]
provider: none
validate_service: False
[file_manager]
check_klipper_config_path: False
"""


@dataclass
class Server:
    """A process that answers Moonraker's API on `port`."""

    pid: int
    port: int
    ready_after: float

    def cpu(self) -> float:
        """Seconds of CPU that the process tree has used."""
        return sum(_cpu_of(pid) for pid in _tree(self.pid))

    def memory_mib(self) -> float:
        """Proportional set size of the process tree."""
        return sum(_pss_kib(pid) for pid in _tree(self.pid)) / 1024

    async def connect(self) -> HttpClient:
        return HttpClient(await trio.open_tcp_stream("127.0.0.1", self.port))


@asynccontextmanager
async def run_server(
    command: Sequence[str], folder: Path, klipper: Path, spoolman: str, port: int
) -> AsyncIterator[Server]:
    """Start `command -d folder`, wait until it says that Klipper is ready, and end it afterwards."""
    for name in ("config", "gcodes", "logs", "comms"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "config/moonraker.conf").write_text(CONFIGURATION.format(port=port, klipper=klipper, spoolman=spoolman))
    began = time.monotonic()
    with (folder / "output.log").open("wb") as output:
        process = subprocess.Popen([*command, "-d", str(folder)], stdout=output, stderr=output)
    try:
        with trio.fail_after(START_TIMEOUT):
            while not await _is_ready(port):
                await trio.sleep(0.02)
        yield Server(process.pid, port, time.monotonic() - began)
    finally:
        process.terminate()
        try:
            await trio.to_thread.run_sync(process.wait, 10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _is_ready(port: int) -> bool:
    try:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
    except OSError:
        return False
    async with stream:
        try:
            reply = await HttpClient(stream).ask("GET", "/server/info")
        except (EOFError, trio.BrokenResourceError):
            return False
        return reply.status == 200 and json.loads(reply.body)["result"]["klippy_state"] == "ready"


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parent = int(Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry))
    found, todo = list[int](), [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def _cpu_of(pid: int) -> float:
    try:
        return time.clock_gettime((~pid << 3) | 2)  # the kernel's CPU clock of another process
    except OSError:
        return 0.0


def _pss_kib(pid: int) -> int:
    try:
        found = re.search(r"\nPss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0
