"""One agent: what it offers to macros, and what it has been asked and hasn't answered yet."""

from __future__ import annotations

import itertools

from trio_moon.kit.json_codec import encode
from trio_moon.kit.pending import Pending
from trio_moon.model.errors import AgentRefused, PeerError, TooMany
from trio_moon.rpc.caller import ClientInfo, Session
from trio_moon.rpc.packet import Packet

MOST_WAITING = 64
"""Requests that an agent may leave unanswered."""


class Agent:
    """A session that has identified itself as an agent."""

    def __init__(self, session: Session, client: ClientInfo) -> None:
        self.session = session
        self.client = client
        self.methods: list[str] = []
        self._numbers = itertools.count(1)
        self._asked: dict[object, Pending[object]] = {}
        session.on_answer = self._on_answer

    @property
    def name(self) -> str:
        return self.client.client_name

    def call(self, method: str, arguments: object) -> None:
        """Call a method of the agent's; there is no answer."""
        self._send({"jsonrpc": "2.0", "method": method}, arguments)

    async def ask(self, method: str, arguments: object) -> object:
        """The agent's answer, if the caller waits for it. Raises AgentRefused, or PeerError if the agent leaves."""
        if len(self._asked) >= MOST_WAITING:
            raise TooMany(f"Agent {self.name:.100} has {MOST_WAITING} requests to answer first")
        number = next(self._numbers)
        answer = self._asked[number] = Pending[object]()
        try:
            self._send({"jsonrpc": "2.0", "method": method, "id": number}, arguments)
            return await answer
        finally:
            self._asked.pop(number, None)

    def leave(self) -> None:
        """Nothing is answered any more."""
        self.session.on_answer = None
        for answer in self._asked.values():
            answer.fail(PeerError("Client Socket Disconnected"))

    def _send(self, message: dict[str, object], arguments: object) -> None:
        if arguments:
            message["params"] = arguments
        self.session.outbox.event(Packet(encode(message)))

    def _on_answer(self, message: dict[str, object]) -> None:
        answer = self._asked.pop(message.get("id"), None)
        if answer is None:
            return
        result = message.get("result")
        if result is None:  # Moonraker takes null for an error, too
            answer.fail(AgentRefused(f"Agent {self.name:.100} RPC error", message.get("error")))
        else:
            answer.settle(result)
