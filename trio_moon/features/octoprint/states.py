"""The printer's state in OctoPrint's words. Pure."""

from __future__ import annotations

from msgspec import Struct

_AWAY = {"disconnected": "Offline", "startup": "Connecting"}
_AT_WORK = {"printing": "Printing", "paused": "Paused"}


class PrinterState(Struct, frozen=True):
    """One moment: OctoPrint's text, and what follows from it."""

    text: str

    @classmethod
    def of(cls, klippy: str, printing: object, on_the_way: str | None = None) -> PrinterState:
        """From Klipper's state, `print_stats.state`, and what a client has just asked for (`Cancelling` …).

        A print that was cancelled or failed leaves a printer that can print again.
        """
        if klippy != "ready":
            return cls(_AWAY.get(klippy, "Error"))
        text = _AT_WORK.get(str(printing), "Operational")
        return cls(on_the_way if on_the_way is not None and text != "Operational" else text)

    @property
    def operational(self) -> bool:
        """Whether commands make sense."""
        return self.text not in ("Offline", "Connecting", "Error")

    @property
    def at_work(self) -> bool:
        """Whether a print is under way, if only paused."""
        return self.operational and self.text != "Operational"

    def flags(self) -> dict[str, bool]:
        return {
            "operational": self.operational,
            "printing": self.text == "Printing",
            "paused": self.text == "Paused",
            "cancelling": self.text == "Cancelling",
            "pausing": self.text == "Pausing",
            "resuming": self.text == "Resuming",
            "finishing": False,
            "ready": self.text == "Operational",
            "error": self.text == "Error",
            "closedOrError": not self.operational,
            "sdReady": False,
        }

    def as_wire(self) -> dict[str, object]:
        return {"text": self.text, "flags": self.flags()}
