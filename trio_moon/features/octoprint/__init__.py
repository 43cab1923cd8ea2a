"""The OctoPrint room: what slicers and phone apps take for an OctoPrint, and it tells the truth."""

from trio_moon.features.octoprint.endpoints import endpoints
from trio_moon.features.octoprint.own_api import OwnApi
from trio_moon.features.octoprint.service import OctoPrint
from trio_moon.features.octoprint.settings import OctoPrintSettings

__all__ = ["OctoPrint", "OctoPrintSettings", "OwnApi", "endpoints"]
