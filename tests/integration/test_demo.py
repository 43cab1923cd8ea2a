"""The README's first command: it must show the main job, keep exact accounts, and leave when asked."""

from __future__ import annotations

import signal
import subprocess
import sys

import httpx
import pytest
import trio

COMMAND = [sys.executable, "-m", "trio_moon", "demo", "-p", "0"]


@pytest.mark.slow
async def test_one_print_is_accounted_for_exactly() -> None:
    with trio.fail_after(90):
        done = await trio.run_process([*COMMAND, "--once"], capture_stdout=True, capture_stderr=True, check=False)
    assert done.stderr == b""
    assert b": exact" in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_demo_shows_pending_usage_and_leaves_cleanly_when_asked(number: int) -> None:
    process = await trio.lowlevel.open_process(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    async with process.stdout, process.stderr:
        try:
            with trio.fail_after(60):
                said = b""
                while b"printing" not in said:
                    said += await process.stdout.receive_some()
                url = said.decode().partition("serves its API at ")[2].split()[0]
                async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
                    status = (await http.get("/server/spoolman/status")).json()["result"]
                assert status["spoolman_connected"] is True
                assert status["spool_id"] == 1
                process.send_signal(number)
                assert await process.wait() == 0
                assert await process.stderr.receive_some() == b""
        finally:
            process.kill()
            await process.wait()
