"""The real Moonraker as a peer: installed once, started per test with a configuration of the test's own."""

import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import trio

from tests.peers.environment import prepare_peer
from tests.ports import hold_port

REQUIREMENT = "moonraker[speedups]>=0.11,<0.12"
START_TIMEOUT = 90.0
ASK_EVERY = 0.2
SHOWN_LOG_CHARACTERS = 3000


@dataclass(frozen=True)
class RealMoonraker:
    """A running Moonraker; it ends with the test."""

    url: str
    data_path: Path
    log: Path
    process: trio.Process


StartMoonraker = Callable[..., Awaitable[RealMoonraker]]


@pytest.fixture(scope="session")
def moonraker_bin() -> Path:
    """The programs of an environment in which the real Moonraker is installed."""
    return prepare_peer("moonraker", REQUIREMENT)


@pytest.fixture
async def real_moonraker(moonraker_bin: Path, tmp_path: Path, nursery: trio.Nursery) -> StartMoonraker:
    """Start the real Moonraker: `await real_moonraker(klipper_socket, "[spoolman]\\nserver: ...")`.

    It listens on a free port, trusts this machine, keeps its data under the test's directory (`name` tells several
    apart) and has answered once when this returns. The Klipper socket need not exist.
    """

    async def start(klipper_socket: Path, sections: str = "", name: str = "moonraker") -> RealMoonraker:
        port, data_path = hold_port(), tmp_path / name
        for folder in ("config", "logs", "gcodes", "database", "comms"):
            (data_path / folder).mkdir(parents=True, exist_ok=True)
        (data_path / "config" / "moonraker.conf").write_text(configuration(port, klipper_socket, sections))
        command = [str(moonraker_bin / "python"), "-m", "moonraker", "-d", str(data_path)]
        log = data_path / "logs" / "moonraker.log"
        process = await nursery.start(run_quietly, command)
        running = RealMoonraker(f"http://127.0.0.1:{port}", data_path, log, process)
        with trio.move_on_after(START_TIMEOUT):
            await answers(running)
            return running
        raise TimeoutError(f"Moonraker does not answer:\n{last_words(running)}")

    return start


async def run_quietly(command: list[str], *, task_status: trio.TaskStatus[trio.Process]) -> None:
    """Run a program until it ends or we are cancelled: then it is asked to go, and made to after five seconds."""
    null = subprocess.DEVNULL
    await trio.run_process(command, stdin=null, stdout=null, stderr=null, check=False, task_status=task_status)


def configuration(port: int, klipper_socket: Path, sections: str) -> str:
    return f"""
[server]
host: 127.0.0.1
port: {port}
klippy_uds_address: {klipper_socket}

[authorization]
trusted_clients: 127.0.0.0/8

[machine]
provider: none
validate_service: False
validate_config: False

{sections}
"""


async def answers(moonraker: RealMoonraker) -> None:
    async with httpx.AsyncClient(timeout=START_TIMEOUT) as client:
        while moonraker.process.poll() is None:
            try:
                (await client.get(f"{moonraker.url}/server/info")).raise_for_status()
            except httpx.HTTPError:
                await trio.sleep(ASK_EVERY)
            else:
                return
    raise RuntimeError(f"Moonraker has ended:\n{last_words(moonraker)}")


def last_words(moonraker: RealMoonraker) -> str:
    return moonraker.log.read_text()[-SHOWN_LOG_CHARACTERS:] if moonraker.log.exists() else "(no log)"
