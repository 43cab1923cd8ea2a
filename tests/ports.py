"""Ports of loopback for servers that must know theirs before they listen, or return to it."""

from __future__ import annotations

import socket

_HELD: list[socket.socket] = []


def hold_port() -> int:
    """A port that is given to nobody else until the tests end, neither to listen nor to connect from.

    Connections to it are refused until the server listens there, which must set SO_REUSEADDR, as servers do.
    """
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.bind(("127.0.0.1", 0))
    _HELD.append(place)
    port: int = place.getsockname()[1]
    return port
