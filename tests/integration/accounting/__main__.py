"""Play scenarios: `python -m tests.integration.accounting [-n ROUNDS] [-j TOGETHER] [NAME or FAMILY …]`."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

import trio

from tests.integration.accounting import (
    anything_happens,
    klipper_fails,
    service_dies,
    spoolman_fails,
    spoolman_returns,
    spools_change,
)
from tests.integration.accounting.scenario import SCENARIOS, Scenario

__all__ = ["anything_happens", "klipper_fails", "service_dies", "spoolman_fails", "spoolman_returns", "spools_change"]


async def play_all(chosen: list[Scenario], together: int, keep: Path) -> list[str]:
    failed = []
    places = trio.CapacityLimiter(together)

    async def play(each: Scenario) -> None:
        async with places:
            began = trio.current_time()
            root = Path(tempfile.mkdtemp(prefix=f"{each.name[:40]}-", dir=keep))
            try:
                recovered = await each.run(root)
            except Exception as error:
                failed.append(each.name)
                lines = traceback.format_exception(error)
                print(f"FAIL {each.name} {trio.current_time() - began:.1f} s in {root}", flush=True)
                print("".join(lines)[-6000:], flush=True)
            else:
                shutil.rmtree(root, ignore_errors=True)

                print(f"ok   {each.name} {trio.current_time() - began:.1f} s, settled {recovered:.1f} s", flush=True)

    async with trio.open_nursery() as nursery:
        for each in chosen:
            nursery.start_soon(play, each)
    return failed


parser = argparse.ArgumentParser()
parser.add_argument("-n", type=int, default=1)
parser.add_argument("-j", type=int, default=4)
parser.add_argument("names", nargs="*")
options = parser.parse_args()
names = options.names or [""]
chosen = [s for s in SCENARIOS.values() if any(name == s.family or name in s.name for name in names)]
bad = []
keep = Path(tempfile.mkdtemp(prefix="accounting-"))
for _ in range(options.n):
    bad += trio.run(play_all, chosen, options.j, keep)
print(f"{len(chosen) * options.n} played, failed: {bad}")
sys.exit(bool(bad))
