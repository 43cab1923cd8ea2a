"""Our own API, as the emulation uses it: by the methods' names, with the caller's own rights."""

from __future__ import annotations

from collections.abc import Mapping

from trio_moon.model.errors import MoonError, UnknownMethod
from trio_moon.rpc.caller import Caller
from trio_moon.rpc.registry import Registry
from trio_moon.rpc.replies import Receive

UPLOAD_PATH = "/server/files/upload"


class OwnApi:
    """Calls between rooms that must not know each other."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def offers(self, name: str) -> bool:
        """Whether there is a method of this name now."""
        try:
            self._registry.named(name)
        except MoonError:
            return False
        return True

    async def call(self, name: str, caller: Caller, **arguments: object) -> object:
        """What a method answers; raises what it raises."""
        return await self._registry.named(name)(arguments, caller)

    async def ask(self, name: str, caller: Caller, **arguments: object) -> Mapping[str, object]:
        """What a method answers that answers with an object; {} if there is no such method."""
        try:
            answer = await self.call(name, caller, **arguments)
        except UnknownMethod:
            return {}
        return answer if isinstance(answer, Mapping) else {}

    def upload(self) -> Receive:
        """Where an upload goes."""
        method, _ = self._registry.route("POST", UPLOAD_PATH)
        assert method.endpoint.upload is not None
        return method.endpoint.upload
