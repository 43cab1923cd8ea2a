"""Agents: clients that identify themselves as such."""

from __future__ import annotations

from collections.abc import Mapping

from trio_moon.features.agents.parameters import AgentEvent, RemoteMethod
from trio_moon.kit.json_codec import encode
from trio_moon.model.errors import BadParams, TooMany
from trio_moon.printer.printer import Printer
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller, ClientInfo, Session
from trio_moon.rpc.packet import Packet, notification

MOST_METHODS = 100
RESERVED = ("connected", "disconnected")


class Agents:
    """Passes on what macros call to those who offer it, and what agents have to tell to everybody else."""

    def __init__(self, printer: Printer, audience: Audience) -> None:
        self._printer = printer
        self._audience = audience
        self._offered: dict[str, Session] = {}

    def list_agents(self, params: NoParams, caller: Caller) -> dict[str, object]:
        clients = [session.client for session in self._audience if session.client is not None]
        return {"agents": [_as_wire(client) for client in clients if client.type == "agent"]}

    def send_event(self, params: AgentEvent, caller: Caller) -> str:
        """Tell everybody else."""
        agent, client = _agent(caller)
        if params.event in RESERVED:
            raise BadParams(f"Event '{params.event}' is reserved")
        news: dict[str, object] = {"agent": client.client_name, "event": params.event}
        if params.data is not None:
            news["data"] = params.data
        packet = notification("notify_agent_event", news)
        for session in self._audience:
            if session is not agent and (session.caller is None or session.caller.authorized):
                session.outbox.event(packet)
        return "ok"

    async def register_method(self, params: RemoteMethod, caller: Caller) -> str:
        """Let macros call it (`action_call_remote_method`), for as long as the agent is connected."""
        agent, _ = _agent(caller)
        self._forget_who_left()
        if len(self._offered) >= MOST_METHODS:
            raise TooMany(f"agents may offer {MOST_METHODS} remote methods at most")
        name = params.method_name

        def call(arguments: Mapping[str, object]) -> None:
            if agent in self._audience:
                agent.outbox.event(Packet(encode({"jsonrpc": "2.0", "method": name, "params": arguments})))

        self._printer.offer_more(name, call)
        self._offered[name] = agent
        await self._printer.register(name)
        return "ok"

    def _forget_who_left(self) -> None:
        present = list(self._audience)
        for name in [name for name, agent in self._offered.items() if agent not in present]:
            del self._offered[name]
            self._printer.withdraw(name)


def _agent(caller: Caller) -> tuple[Session, ClientInfo]:
    session = caller.session
    if session is None or session.client is None or session.client.type != "agent":
        raise BadParams("this is for connections that identify themselves as an agent")
    return session, session.client


def _as_wire(client: ClientInfo) -> dict[str, object]:
    return {"name": client.client_name, "version": client.version, "type": client.type, "url": client.url}
