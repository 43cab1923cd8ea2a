"""Services and power of the host, by `systemctl`."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import trio
from msgspec import Struct

from trio_moon.model.errors import BadParams, Conflict, Forbidden, PeerTimeout

ACTION_TIMEOUT = 60.0
LIST_TIMEOUT = 10.0

Action = Literal["start", "stop", "restart"]

ALLOWED_FILE = "moonraker.asvc"
DEFAULT_ALLOWED = (
    "klipper_mcu",
    "webcamd",
    "MoonCord",
    "KlipperScreen",
    "moonraker-telegram-bot",
    "moonraker-obico",
    "sonar",
    "crowsnest",
    "octoeverywhere",
    "ratos-configurator",
)
_OURS = re.compile(r"(klipper|moonraker|trio-moon)([-_]?\w+)?")


class Unit(Struct, frozen=True):
    """A service as systemd sees it."""

    active_state: str
    sub_state: str


class Systemd:
    """Runs `systemctl` for the services that the API may touch: Klipper, ourselves, and those listed in a file."""

    def __init__(self, data_path: Path, *, enabled: bool, systemctl: str | None = None) -> None:
        self._data_path = data_path
        booted = Path("/run/systemd/system").is_dir() or systemctl is not None
        self._systemctl = (systemctl or shutil.which("systemctl")) if enabled and booted else None
        self._units: dict[str, Unit] = {}

    @property
    def provider(self) -> str:
        """What `machine.system_info` calls it."""
        return "systemd_cli" if self._systemctl else "none"

    def allowed(self) -> frozenset[str]:
        """The services named in `moonraker.asvc`, or the usual ones without that file."""
        try:
            words = (self._data_path / ALLOWED_FILE).read_text(errors="replace").split()
        except OSError:
            words = list(DEFAULT_ALLOWED)
        return frozenset(words)

    @property
    def units(self) -> dict[str, Unit]:
        """The services at the last `look`."""
        return self._units

    async def look(self) -> None:
        """Ask systemd which of our services there are, and their state."""
        if self._systemctl is None:
            return
        listing = [self._systemctl, "list-units", "--all", "--type=service", "--plain", "--no-legend", "--no-pager"]
        with trio.move_on_after(LIST_TIMEOUT):
            done = await trio.run_process(listing, capture_stdout=True, capture_stderr=True, check=False)
            allowed = self.allowed()
            self._units = {
                name: unit
                for name, unit in parse_units(done.stdout.decode(errors="replace")).items()
                if _OURS.fullmatch(name) or name in allowed
            }

    async def act(self, action: Action, service: str) -> None:
        """Start, stop or restart a service. Forbidden for services that aren't ours."""
        name = service.removesuffix(".service")
        if not re.fullmatch(r"[\w@.:-]{1,100}", name) or name.startswith("-"):
            raise BadParams(f"argument 'service': {service!r:.100} is no service's name")
        if not (_OURS.fullmatch(name) or name in self.allowed()):
            raise Forbidden(f"Service '{name}' may not be controlled: list it in {ALLOWED_FILE} to allow it")
        await self._run(action, f"{name}.service")

    async def power(self, action: Literal["reboot", "poweroff", "halt"]) -> None:
        """Reboot the host or switch it off."""
        await self._run(action)

    async def _run(self, *words: str) -> None:
        """Run `systemctl`, with `sudo` if it wants more rights. Conflict tells systemd's own words."""
        if self._systemctl is None:
            raise Conflict("services can't be controlled here: systemd isn't running, or provider is 'none'")
        commands: list[Sequence[str]] = [[self._systemctl, "--no-ask-password", *words]]
        if sudo := shutil.which("sudo"):
            commands.append([sudo, "-n", self._systemctl, *words])
        complaint = ""
        for command in commands:
            with trio.move_on_after(ACTION_TIMEOUT) as deadline:
                done = await trio.run_process(
                    command, stdin=subprocess.DEVNULL, capture_stdout=True, capture_stderr=True, check=False
                )
            if deadline.cancelled_caught:
                raise PeerTimeout(f"systemctl {' '.join(words)} took longer than {ACTION_TIMEOUT:g} s")
            if done.returncode == 0:
                return
            complaint = complaint or done.stderr.decode(errors="replace").strip()
        raise Conflict(f"systemctl {' '.join(words)}: {complaint or 'failed without a word'}"[:500])


def parse_units(listing: str) -> dict[str, Unit]:
    """The output of `systemctl list-units --plain --no-legend`."""
    units = {}
    for line in listing.splitlines():
        words = line.split(None, 4)
        if len(words) >= 4 and words[0].endswith(".service") and words[1] == "loaded":
            units[words[0].removesuffix(".service")] = Unit(words[2], words[3])
    return units
