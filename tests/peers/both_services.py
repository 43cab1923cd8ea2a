"""The real Klipper host with the real Moonraker and ourselves beside it, for as many tests as want to compare them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.peers.kalico import PARTS
from tests.peers.side_by_side import Side
from tests.ports import hold_port

START_TIMEOUT = 90.0
ENDED_WITHIN = 10.0

SECTIONS = """
[authorization]
trusted_clients: 127.0.0.0/8
cors_domains:
  http://good.example
  *.local

[octoprint_compat]

[job_queue]
automatic_transition: True
job_transition_gcode: M118 sweep

[spoolman]
server: {spoolman}

[webcam front]
location: printer
stream_url: /webcam/?action=stream
snapshot_url: /webcam/?action=snapshot

[notifier print_complete]
url: json://127.0.0.1:9/
events: complete
body: Your printer completed printing '{{event_args[1].filename}}'
attach: http://127.0.0.1:9/webcam/?action=snapshot
"""

STRANGERS = """
[authorization]
trusted_clients: 10.255.255.0/24
cors_domains: http://good.example

[octoprint_compat]
"""

SPOOLMAN = """
import trio
from trio_moon.testing import MockSpoolman

async def main():
    spoolman = MockSpoolman()
    async with trio.open_nursery() as nursery:
        await nursery.start(spoolman.run)
        print(spoolman.url, flush=True)

trio.run(main)
"""


@dataclass(frozen=True)
class Both:
    """The two services, and what they share."""

    moonraker: Side
    ours: Side
    klipper: KlipperProcess | None = None
    spoolman: str = ""

    def __iter__(self) -> Iterator[Side]:
        return iter((self.moonraker, self.ours))


class KlipperProcess:
    """The real Klipper host."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self.gcodes = folder / "gcodes"
        self.socket_path = folder / "klippy.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.gcodes.mkdir(parents=True, exist_ok=True)
        shutil.copy(PARTS / "mcu.dict", self._folder)
        config = (PARTS / "printer.cfg").read_text().replace("GCODES", str(self.gcodes))
        (self._folder / "printer.cfg").write_text(config)
        simulated = "-o /dev/null -d mcu.dict -a klippy.sock -I tty -l klippy.log"
        self._process = _popen([str(self._program), "printer.cfg", *simulated.split()], cwd=self._folder)

    def kill(self) -> None:
        """As a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture(scope="session")
def both_services(
    kalico_program: Path, moonraker_bin: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Both]:
    """Both services on one Klipper and one Spoolman, trusting this machine; wait for what you need of Klipper."""
    folder = tmp_path_factory.mktemp("both")
    klipper = KlipperProcess(kalico_program, folder / "klipper")
    spoolman = subprocess.Popen([sys.executable, "-c", SPOOLMAN], stdout=subprocess.PIPE, text=True)
    assert spoolman.stdout is not None
    try:
        klipper.start()
        url = spoolman.stdout.readline().strip()
        sections = SECTIONS.format(spoolman=url)
        with _both(moonraker_bin, folder, klipper.socket_path, sections, klipper.gcodes) as (moonraker, ours):
            yield Both(moonraker, ours, klipper, url)
    finally:
        klipper.kill()
        spoolman.kill()
        spoolman.wait()
        spoolman.stdout.close()


@pytest.fixture(scope="session")
def both_for_strangers(moonraker_bin: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Both services, trusting nobody, without a Klipper."""
    folder = tmp_path_factory.mktemp("strangers")
    with _both(moonraker_bin, folder, folder / "no_klippy.sock", STRANGERS) as (moonraker, ours):
        yield Both(moonraker, ours)


@contextmanager
def _both(
    moonraker_bin: Path, folder: Path, klipper: Path, sections: str, gcodes: Path | None = None
) -> Iterator[tuple[Side, Side]]:
    programs = {
        "moonraker": [str(moonraker_bin / "python"), "-m", "moonraker"],
        "trio_moon": [sys.executable, "-m", "trio_moon", "run"],
    }
    sides, processes = [], []
    try:
        for name, program in programs.items():
            root, port = folder / name, hold_port()
            for kind in ("config", "logs", "database", "comms"):
                (root / kind).mkdir(parents=True, exist_ok=True)
            if gcodes is not None:
                (root / "gcodes").symlink_to(gcodes)
            server = f"[server]\nhost: 127.0.0.1\nport: {port}\nklippy_uds_address: {klipper}\n"
            machine = "[machine]\nprovider: none\n"
            if name == "moonraker":
                machine += "validate_service: False\nvalidate_config: False\n"
            (root / "config" / "moonraker.conf").write_text(server + machine + sections)
            processes.append(_popen([*program, "-d", str(root)]))
            sides.append(Side(name, f"http://127.0.0.1:{port}", root))
        for side in sides:
            _wait_for(side)
        yield sides[0], sides[1]
    finally:
        for process in processes:
            _end(process)


def _popen(command: list[str], cwd: Path | None = None) -> subprocess.Popen[bytes]:
    null = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=cwd, stdin=null, stdout=null, stderr=null, start_new_session=True)


def _wait_for(side: Side) -> None:
    until = time.monotonic() + START_TIMEOUT
    while time.monotonic() < until:
        try:
            httpx.get(f"{side.url}/access/info", timeout=START_TIMEOUT, trust_env=False).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"{side.name} does not answer")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a service and what it may have become after a restart: it leads its own process group."""
    process.terminate()
    try:
        process.wait(ENDED_WITHIN)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
