"""Klipper boards on a CAN bus that have no node id yet: they answer a query with their UUID."""

from __future__ import annotations

import socket
import struct

import trio

from trio_moon.model.errors import BadParams, Conflict

ADMIN_ID, ANSWER_ID = 0x3F0, 0x3F1
QUERY, ANSWER = 0x00, 0x20
LISTEN_FOR = 2.0

_FRAME = struct.Struct("<IB3x8s")
_APPLICATIONS = {0x01: "Klipper", 0x11: "Katapult"}


async def find_uuids(interface: str) -> list[dict[str, object]]:
    """Ask on the bus and listen for two seconds. BadParams without such an interface, Conflict when it is down."""
    if interface not in (name for _, name in socket.if_nameindex()):
        raise BadParams(f"argument 'interface': there is no interface {interface!r:.40}")
    found: dict[str, dict[str, object]] = {}
    try:
        with trio.socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) as bus:
            await bus.bind((interface,))
            await bus.send(_FRAME.pack(ADMIN_ID, 1, bytes([QUERY])))
            with trio.move_on_after(LISTEN_FOR):
                while True:
                    for uuid, application in parse_answer(await bus.recv(_FRAME.size)):
                        found[uuid] = {"uuid": uuid, "application": application}
    except OSError as error:
        raise Conflict(f"{interface}: {error.strerror or error}") from error
    return list(found.values())


def parse_answer(frame: bytes) -> list[tuple[str, str]]:
    """The UUID and the application in one frame; [] when it is something else."""
    if len(frame) != _FRAME.size:
        return []
    can_id, length, data = _FRAME.unpack(frame)
    if can_id != ANSWER_ID or length < 7 or data[0] != ANSWER:
        return []
    application = _APPLICATIONS.get(data[7], "Unknown") if length > 7 else "Klipper"
    return [(data[1:7].hex(), application)]
