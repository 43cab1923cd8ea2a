"""What the calls of agents take."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class AgentEvent(msgspec.Struct, frozen=True):
    event: str
    data: object = None


class AgentRequest(msgspec.Struct, frozen=True):
    agent: str
    method: str
    arguments: dict[str, object] | list[object] | None = None


class RemoteMethod(msgspec.Struct, frozen=True):
    method_name: Annotated[str, Meta(min_length=1, max_length=100)]
