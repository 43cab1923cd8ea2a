"""Calls to a room's endpoints by their JSON-RPC names, as the registry makes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from trio_moon.kit.json_codec import Raw, decode
from trio_moon.rpc.caller import Caller, Session, Transport
from trio_moon.rpc.endpoint import Endpoint
from trio_moon.rpc.registry import Registry

TRUSTED = Caller(Transport.HTTP, "192.168.1.5", "_TRUSTED_USER_")


async def ask(endpoints: Iterable[Endpoint], method: str, caller: Caller = TRUSTED, /, **arguments: object) -> Any:
    registry = Registry()
    registry.add(endpoints)
    value = await registry.call(registry.named(method), arguments, caller)
    return decode(bytes(value)) if isinstance(value, Raw) else value


def session_caller(session: Session, user: str | None = "_TRUSTED_USER_") -> Caller:
    return Caller(Transport.WEBSOCKET, "192.168.1.5", user, session)
