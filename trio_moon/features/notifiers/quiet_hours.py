"""Hours in which a notifier keeps its messages for the morning. Pure."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from msgspec import Struct


class QuietHours(Struct, frozen=True):
    """From `begin` to `end`, every day, over midnight if `end` is the earlier."""

    begin: time
    end: time

    def until(self, moment: float) -> float | None:
        """When the quiet hours end that hold this moment (Unix seconds, the host's time zone); None outside them."""
        local = datetime.fromtimestamp(moment)
        now = local.time()
        if self.begin <= self.end:
            quiet, tomorrow = self.begin <= now < self.end, False
        else:
            quiet, tomorrow = now >= self.begin or now < self.end, now >= self.begin
        if not quiet:
            return None
        day = local.date() + timedelta(days=1) if tomorrow else local.date()
        return datetime.combine(day, self.end).timestamp()
