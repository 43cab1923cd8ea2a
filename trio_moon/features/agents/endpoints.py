"""The methods of agents."""

from __future__ import annotations

from trio_moon.features.agents.parameters import AgentEvent, AgentRequest, RemoteMethod
from trio_moon.features.agents.service import Agents
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.endpoint import Endpoint, session_call


def endpoints(agents: Agents) -> tuple[Endpoint, ...]:
    """The table of the room."""
    return (
        Endpoint("/server/extensions/list", NoParams, GET=agents.list_agents),
        Endpoint("/server/extensions/request", AgentRequest, POST=agents.request),
        session_call("connection.send_event", AgentEvent, agents.send_event),
        session_call("connection.register_remote_method", RemoteMethod, agents.register_method),
    )
