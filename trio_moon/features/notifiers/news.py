"""What a notifier is told, and what it makes of it: news become letters."""

from __future__ import annotations

import time
from typing import Any

from msgspec import Struct, field

REMOTE_ACTION = "remote_action"
"""The event's name in templates when a macro calls `notify`, as in Moonraker."""


class News(Struct, frozen=True):
    """Something happened. `event_args` holds print_stats before and after where there are any; nobody changes them."""

    event_name: str
    event_args: tuple[dict[str, Any], ...] = ()
    message: str = ""
    at: float = field(default_factory=time.time)

    def context(self) -> dict[str, object]:
        """What templates see."""
        return {"event_name": self.event_name, "event_args": list(self.event_args), "event_message": self.message}


class Picture(Struct, frozen=True):
    """A file that goes along with a letter."""

    name: str
    content_type: str
    content: bytes


class Letter(Struct, frozen=True):
    """A message as it will be sent, but for the address: that may hold passwords and is never stored."""

    title: str
    body: str
    pictures: tuple[Picture, ...] = ()

    @property
    def blank(self) -> bool:
        """Whether there is nothing to send: the templates' way of saying "not this time"."""
        return not (self.title or self.body or self.pictures)
