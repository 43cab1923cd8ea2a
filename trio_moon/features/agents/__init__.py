"""Programs beside us that add to the printer: what macros may call, and what other clients hear of them."""

from trio_moon.features.agents.endpoints import endpoints
from trio_moon.features.agents.service import Agents

__all__ = ["Agents", "endpoints"]
