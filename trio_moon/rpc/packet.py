"""One message for many clients: encoded once, framed once for each kind of transport."""

from __future__ import annotations

from collections.abc import Callable

from trio_moon.kit.json_codec import encode


class Packet:
    """An encoded JSON-RPC message with its framed forms."""

    __slots__ = ("_framed", "payload")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self._framed: dict[Callable[[bytes], bytes], bytes] = {}

    def framed(self, frame: Callable[[bytes], bytes]) -> bytes:
        """`frame(payload)`, computed once however many clients want it."""
        known = self._framed.get(frame)
        if known is None:
            known = self._framed[frame] = frame(self.payload)
        return known


def notification(method: str, *params: object) -> Packet:
    """A JSON-RPC notification; without parameters there is no `params` key, as Moonraker has it."""
    message: dict[str, object] = {"jsonrpc": "2.0", "method": method}
    if params:
        message["params"] = params
    return Packet(encode(message))
