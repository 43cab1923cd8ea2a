"""The switches that make a SimulatedKlipper misbehave, all of them at run time."""

from dataclasses import dataclass, field, fields

import trio


@dataclass
class Faults:
    """What goes wrong on the wire or in the answers, until it is switched off again."""

    silent: bool = False
    """The host is frozen to its clients: it reads, makes and sends nothing, and goes on with all of it later."""
    stop_reading: bool = False
    """Clients' bytes stay in the socket."""
    split_frames: bool = False
    """Every byte is sent by itself."""
    hold_frames: float = 0.0
    """Frames are held back this many seconds and leave glued together."""
    never_answer: set[str] = field(default_factory=set)
    """Requests with these methods get no answer, e.g. {"info"}."""
    refuse: dict[str, str] = field(default_factory=dict)
    """Requests with these methods get this error message instead of being done."""
    update_overtakes_subscribe: bool = False
    """The first status update arrives before the answer to objects/subscribe."""
    nan_positions: bool = False
    """Every position in toolhead, gcode_move and motion_report is NaN."""

    async def pass_while(self, *switches: str) -> None:
        """Wait until none of these is on."""
        while any(getattr(self, name) for name in switches):  # noqa: ASYNC110 - plain switches, rarely on
            await trio.sleep(0.05)

    def clear(self) -> None:
        """Switch every fault off."""
        fresh = Faults()
        for setting in fields(self):
            setattr(self, setting.name, getattr(fresh, setting.name))
