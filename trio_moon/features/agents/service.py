"""Agents: clients that identify themselves as such."""

from __future__ import annotations

from functools import partial

from trio_moon.features.agents.agent import Agent
from trio_moon.features.agents.parameters import AgentEvent, AgentRequest, RemoteMethod
from trio_moon.model.errors import BadParams, TooMany
from trio_moon.printer.printer import Printer
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller, ClientInfo, Session
from trio_moon.rpc.packet import notification

MOST_METHODS = 100
"""Of one agent: Klipper is told of each whenever it comes back."""
RESERVED = ("connected", "disconnected")


class Agents:
    """Passes on what macros and other clients call to those who offer it, and what agents tell to everybody else."""

    def __init__(self, printer: Printer, audience: Audience) -> None:
        self._printer = printer
        self._audience = audience
        self._agents: dict[Session, Agent] = {}

    def admit(self, session: Session, client: ClientInfo) -> None:
        """`session` has identified itself as an agent: all others hear of it. BadParams if its name is taken."""
        if session not in self._audience:  # its call was begun before it left, and nobody would forget it
            raise BadParams("the connection has ended")
        if self._named(client.client_name) is not None:
            raise BadParams(f"Agent '{client.client_name:.100}' already registered and connected")
        agent = self._agents[session] = Agent(session, client)
        self._announce(agent, "connected", _as_wire(client))

    def forget(self, session: Session) -> None:
        """A client has left, or may do nothing any more; if it is an agent, all that it offered ends with it."""
        agent = self._agents.pop(session, None)
        if agent is not None:
            agent.leave()
            for name in agent.methods:
                self._printer.withdraw(name)
            self._announce(agent, "disconnected")

    def list_agents(self, params: NoParams, caller: Caller) -> dict[str, object]:
        return {"agents": [_as_wire(agent.client) for agent in self._agents.values()]}

    async def request(self, params: AgentRequest, caller: Caller) -> object:
        """Ask an agent, and tell what it answers."""
        agent = self._named(params.agent)
        if agent is None:
            raise BadParams(f"Agent {params.agent:.100} not connected")
        return await agent.ask(params.method, params.arguments)

    def send_event(self, params: AgentEvent, caller: Caller) -> str:
        """Tell everybody else."""
        agent = self._calling(caller)
        if params.event in RESERVED:
            raise BadParams(f"Event '{params.event}' is reserved")
        self._announce(agent, params.event, params.data)
        return "ok"

    async def register_method(self, params: RemoteMethod, caller: Caller) -> str:
        """Let macros call it (`action_call_remote_method`), for as long as the agent is connected."""
        agent = self._calling(caller)
        if len(agent.methods) >= MOST_METHODS:
            raise TooMany(f"an agent may offer {MOST_METHODS} remote methods")
        name = params.method_name
        self._printer.offer_more(name, partial(agent.call, name))
        agent.methods.append(name)
        await self._printer.register(name)
        return "ok"

    def _named(self, name: str) -> Agent | None:
        return next((agent for agent in self._agents.values() if agent.name == name), None)

    def _calling(self, caller: Caller) -> Agent:
        agent = self._agents.get(caller.session) if caller.session is not None else None
        if agent is None:
            raise BadParams("this is for connections that identify themselves as an agent")
        return agent

    def _announce(self, agent: Agent, event: str, data: object = None) -> None:
        news: dict[str, object] = {"agent": agent.name, "event": event}
        if data is not None:
            news["data"] = data
        self._audience.send(notification("notify_agent_event", news), besides=agent.session)


def _as_wire(client: ClientInfo) -> dict[str, object]:
    return {"name": client.client_name, "version": client.version, "type": client.type, "url": client.url}
