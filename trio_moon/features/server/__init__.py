"""The server itself: what it is, how it is, and the recent past of temperatures and console."""

from trio_moon.features.server.api_document import ApiDocument
from trio_moon.features.server.console import ConsoleStore
from trio_moon.features.server.endpoints import endpoints
from trio_moon.features.server.service import Server, Surroundings
from trio_moon.features.server.settings import DataStoreSettings
from trio_moon.features.server.temperatures import TemperatureStore

__all__ = [
    "ApiDocument",
    "ConsoleStore",
    "DataStoreSettings",
    "Server",
    "Surroundings",
    "TemperatureStore",
    "endpoints",
]
