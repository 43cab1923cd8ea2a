"""`python -m tests.benchmarks --moonraker PATH/bin/moonraker [--rounds 3] [http rpc fanout upload idle]`

Measures both servers in turns at the same work and prints a table: the best of the rounds, because the noise of a
shared machine only adds, and Moonraker's cost divided by ours.
"""

from __future__ import annotations

import argparse
import shlex
import socket
import sys
import tempfile
from functools import partial
from pathlib import Path

import trio

from tests.benchmarks.loads import LOADS, Rows
from tests.benchmarks.printer import BusyPrinter
from tests.benchmarks.server import run_server
from trio_moon.testing import MockSpoolman

OURS = [sys.executable, "-m", "trio_moon", "run", "-n"]


async def measure(command: list[str], loads: list[str], seconds: float, folder: Path) -> Rows:
    """One server, alone, at each of the loads."""
    rows: Rows = {}
    klipper = folder / "klipper.sock"
    printer, spoolman = BusyPrinter(klipper), MockSpoolman()
    async with trio.open_nursery() as nursery:
        await nursery.start(printer.run)
        await nursery.start(spoolman.run)
        async with run_server(command, folder / "data", klipper, spoolman.url, _free_port()) as server:
            for load in loads:
                rows |= await LOADS[load](server, printer, seconds)
        nursery.cancel_scope.cancel()
    return rows


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def best(rounds: list[Rows]) -> Rows:
    """The least of each row."""
    return {what: min(rows[what] for rows in rounds if what in rows) for what in rounds[0]}


def table(ours: Rows, theirs: Rows) -> str:
    """Markdown, with the ratio where there is something to divide."""
    lines = ["| work | Moonraker | trio_moon | ratio |", "|---|--:|--:|--:|"]
    for what, cost in ours.items():
        other = theirs.get(what)
        ratio = f"{other / cost:.1f}" if other and cost else ""
        lines.append(f"| {what} | {'' if other is None else f'{other:.3g}'} | {cost:.3g} | {ratio} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("loads", nargs="*", choices=[[], *LOADS], help="default: all")
    parser.add_argument("--moonraker", help="the command that starts Moonraker; without it only trio_moon is measured")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    commands = {"ours": OURS} | ({"theirs": shlex.split(options.moonraker)} if options.moonraker else {})
    found: dict[str, list[Rows]] = {name: [] for name in commands}
    for number in range(options.rounds):
        for name in sorted(commands, reverse=bool(number % 2)):
            with tempfile.TemporaryDirectory(prefix="bench") as folder:
                work = partial(measure, commands[name], options.loads or list(LOADS), options.seconds, Path(folder))
                found[name].append(trio.run(work))
    print(table(best(found["ours"]), best(found["theirs"]) if "theirs" in found else {}))


if __name__ == "__main__":
    main()
