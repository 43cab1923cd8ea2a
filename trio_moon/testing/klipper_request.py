"""What clients ask, and what they offer: requests and remote methods."""

import json
from typing import Any

from trio_moon.testing.klipper_gcode import KlipperError
from trio_moon.testing.klipper_wire import Connection

JsonObject = dict[str, Any]

MISSING: Any = object()


class Request:
    """A client's request; it is answered once, and not at all without an id."""

    def __init__(self, connection: Connection, message: JsonObject) -> None:
        self.connection = connection
        self.method: str = message["method"]
        self.params: JsonObject = message.get("params", {})
        self.id: object = message.get("id")

    @classmethod
    def from_wire(cls, connection: Connection, frame: bytes) -> "Request | None":
        """None for what is not a request; Klipper logs and forgets such frames."""
        try:
            message = json.loads(frame)
        except ValueError:
            return None
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            return None
        return cls(connection, message) if isinstance(message.get("params", {}), dict) else None

    def get(self, name: str, kind: type, default: Any = MISSING) -> Any:
        """A parameter of that type."""
        value = self.params.get(name, default)
        if value is MISSING:
            raise KlipperError(f"Missing Argument [{name}]")
        if name in self.params and type(value) is not kind:
            raise KlipperError(f"Invalid Argument Type [{name}]")
        return value

    def answer(self, result: object) -> None:
        """Send the result."""
        if self.id is not None:
            self.connection.send({"id": self.id, "result": result})

    def refuse(self, message: str) -> None:
        """Send an error."""
        if self.id is not None:
            self.connection.send({"id": self.id, "error": {"error": "WebRequestError", "message": message}})


class RemoteMethods:
    """What clients registered for macros to call."""

    def __init__(self) -> None:
        self._clients: dict[str, dict[Connection, JsonObject]] = {}

    def register(self, method: str, connection: Connection, template: JsonObject) -> None:
        """A client offers a method."""
        self._clients.setdefault(method, {})[connection] = template

    def registered(self) -> dict[str, list[JsonObject]]:
        """The templates of the live clients of each method."""
        live = {
            method: [template for connection, template in clients.items() if not connection.closed]
            for method, clients in self._clients.items()
        }
        return {method: templates for method, templates in live.items() if templates}

    def call(self, method: str, **params: object) -> None:
        """Tell every client that offers it; an error when there is none."""
        if method not in self._clients:
            raise KlipperError(f"Remote method '{method}' not registered")
        live = {connection: template for connection, template in self._clients[method].items() if not connection.closed}
        if not live:
            del self._clients[method]
            raise KlipperError(f"No active connections for method '{method}'")
        self._clients[method] = live
        for connection, template in live.items():
            connection.send({"params": params, **template})
