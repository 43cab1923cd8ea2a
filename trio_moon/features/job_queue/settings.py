"""`[job_queue]`: when the next job is loaded, and what happens before."""

from __future__ import annotations

from msgspec import Struct

from trio_moon.config import Section


class JobQueueSettings(Struct, frozen=True):
    """The settings of the queue; by default nothing starts unless somebody says so."""

    load_on_startup: bool = False
    automatic: bool = False
    transition_delay: float = 0.01
    transition_gcode: str = ""

    @classmethod
    def from_section(cls, section: Section) -> JobQueueSettings:
        """Read `[job_queue]`."""
        return cls(
            load_on_startup=section.boolean("load_on_startup", False),
            automatic=section.boolean("automatic_transition", False),
            transition_delay=section.number("job_transition_delay", 0.01, above=0),
            transition_gcode=section.text("job_transition_gcode", "").strip(),
        )
