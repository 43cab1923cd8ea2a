"""The cameras that frontends show."""

from trio_moon.features.webcams.endpoints import endpoints
from trio_moon.features.webcams.service import Webcams
from trio_moon.features.webcams.webcam import Webcam

__all__ = ["Webcam", "Webcams", "endpoints"]
