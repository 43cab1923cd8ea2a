"""The methods of agents."""

from __future__ import annotations

from trio_moon.features.agents.parameters import AgentEvent, AgentRequest, RemoteMethod
from trio_moon.features.agents.service import Agents
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Transport
from trio_moon.rpc.endpoint import Endpoint


def endpoints(agents: Agents) -> tuple[Endpoint, ...]:
    """The table of the room."""
    return (
        Endpoint("/server/extensions/list", NoParams, GET=agents.list_agents),
        Endpoint("/server/extensions/request", AgentRequest, POST=agents.request),
        Endpoint(
            "",
            AgentEvent,
            CALL=agents.send_event,
            rpc_names={"CALL": "connection.send_event"},
            transports=Transport.SESSION,
        ),
        Endpoint(
            "",
            RemoteMethod,
            CALL=agents.register_method,
            rpc_names={"CALL": "connection.register_remote_method"},
            transports=Transport.SESSION,
        ),
    )
