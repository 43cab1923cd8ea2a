"""Tells the printer's owner when Spoolman is away for long, and when it is back."""

from __future__ import annotations

import math

import trio

from trio_moon.kit.connect import LinkState
from trio_moon.kit.topics import Topic
from trio_moon.model.events import SpoolmanAlert

AWAY_FOR = 30.0
"""Seconds after which a user hears that Spoolman is away; a restart of it is not worth a message."""


class AbsenceWatch:
    """One alert for a long absence, one for its end."""

    def __init__(self, link: LinkState, alerts: Topic[SpoolmanAlert]) -> None:
        self._link = link
        self._alerts = alerts
        self._changed = trio.Event()

    def link_changed(self) -> None:
        """Spoolman's websocket has come or gone."""
        self._changed.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        told = False
        while True:
            self._changed = trio.Event()
            with trio.move_on_after(math.inf if self._link.connected or told else AWAY_FOR) as waiting:
                await self._changed.wait()
            if waiting.cancelled_caught:
                told = True
                message = f"Spoolman is away ({self._link.reason}); what is used is kept, and reported when it returns"
                self._alerts.publish(SpoolmanAlert("spoolman_lost", message))
            elif told and self._link.connected:
                told = False
                self._alerts.publish(
                    SpoolmanAlert("spoolman_back", "Spoolman is back, and is told what was used meanwhile")
                )
