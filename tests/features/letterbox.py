"""A client that keeps what it is told."""

from __future__ import annotations

from typing import Any

from trio_moon.kit.json_codec import decode
from trio_moon.kit.status_box import StatusView
from trio_moon.rpc.packet import Packet


class Letterbox:
    """An outbox without a connection."""

    def __init__(self) -> None:
        self.letters: list[dict[str, Any]] = []

    def event(self, packet: Packet) -> None:
        message = decode(packet.payload)
        assert isinstance(message, dict)
        self.letters.append(message)

    def status(self, news: StatusView, eventtime: float, packet: Packet) -> None:
        self.event(packet)

    def close(self, reason: str) -> None:
        self.letters.append({"closed": reason})

    def params_of(self, method: str) -> list[Any]:
        """The first parameter of each notification of this method."""
        return [letter["params"][0] for letter in self.letters if letter.get("method") == method]
