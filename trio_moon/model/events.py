"""What happens, in the past tense: frozen facts that rooms tell each other."""

from __future__ import annotations

from msgspec import Struct


class KlippyConnected(Struct, frozen=True):
    """Klipper's socket is open and it has told who it is and its state; its objects may not be there yet."""

    process_id: int
    state: str


class KlippyReady(Struct, frozen=True):
    """Klipper is ready, our subscriptions exist, remote methods are registered."""

    process_id: int


class KlippyShutdown(Struct, frozen=True):
    """Klipper has shut itself down (emergency stop, lost MCU …)."""

    message: str


class KlippyLost(Struct, frozen=True):
    """The connection to Klipper ended."""

    reason: str


KlippyEvent = KlippyConnected | KlippyReady | KlippyShutdown | KlippyLost


class ConsoleLine(Struct, frozen=True):
    """One line of the G-code console. `type` is "command" or "response"; `time` Unix seconds."""

    message: str
    time: float
    type: str


class FileMoved(Struct, frozen=True):
    """A file or folder below `gcodes` has another path there."""

    source: str
    path: str

    def new_name(self, filename: str) -> str | None:
        """What a file is called now; None if it is none of those that were moved."""
        if filename == self.source or filename.startswith(f"{self.source}/"):
            return self.path + filename[len(self.source) :]
        return None


class SpoolSelected(Struct, frozen=True):
    """A tool has got another spool, or the active tool changed to one with another spool. None: no spool."""

    tool: int
    spool_id: int | None


class SpoolmanAlert(Struct, frozen=True):
    """Something about filament that a user wants to hear of.

    `name` is `filament_low`, `filament_runs_out`, `spool_gone`, `print_check`, `spoolman_lost` or `spoolman_back`.
    """

    name: str
    message: str
    spool_id: int | None = None
    tool: int | None = None
    filename: str = ""
