"""`/server/openapi.json`: the whole API as an OpenAPI document, written when somebody asks for the first time."""

from __future__ import annotations

import trio

from trio_moon import __version__
from trio_moon.kit.json_codec import Raw, encode
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller, Transport
from trio_moon.rpc.endpoint import Endpoint
from trio_moon.rpc.registry import Registry

PATH = "/server/openapi.json"


class ApiDocument:
    """The document of a registry that no longer changes."""

    def __init__(self, registry: Registry, prefix: str) -> None:
        """`prefix` is what stands before every path."""
        self._registry = registry
        self._prefix = prefix
        self._text: Raw | None = None

    def endpoints(self) -> tuple[Endpoint, ...]:
        """For who may call the API; it tells strangers too much of what is configured here."""
        return (Endpoint(PATH, NoParams, GET=self.show, transports=Transport.HTTP, wrapped=False),)

    async def show(self, params: NoParams, caller: Caller) -> Raw:
        """The document."""
        if self._text is None:
            self._text = await trio.to_thread.run_sync(self._write)  # a tenth of a second on a small board
        return self._text

    def _write(self) -> Raw:
        from trio_moon.features.server.summaries import SUMMARIES  # what is seldom needed costs no memory
        from trio_moon.rpc.openapi import describe

        document = describe(self._registry, version=__version__, summaries=SUMMARIES, prefix=self._prefix)
        return Raw(encode(document))
