"""What the calls of the server take."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Word = Annotated[str, Meta(max_length=1000)]
"""Kept for as long as the client is connected."""
Loose = Word | int | float
"""Should be a text; Moonraker makes one of it."""


class Identity(msgspec.Struct, frozen=True):
    client_name: Loose
    version: Loose | None
    type: Word
    url: Loose | None
    access_token: str | None = None
    api_key: str | None = None


class TemperatureWish(msgspec.Struct, frozen=True):
    include_monitors: bool = False


class LineCount(msgspec.Struct, frozen=True):
    count: Annotated[int, Meta(ge=0)] | None = None


class WhichLog(msgspec.Struct, frozen=True):
    application: str | None = None
