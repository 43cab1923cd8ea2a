"""The methods of `server.webcams.*`."""

from __future__ import annotations

from trio_moon.features.webcams.parameters import WebcamChange, WhichWebcam
from trio_moon.features.webcams.service import Webcams
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.endpoint import Endpoint


def endpoints(webcams: Webcams) -> tuple[Endpoint, ...]:
    """The table of the room."""
    return (
        Endpoint("/server/webcams/list", NoParams, GET=webcams.list_webcams),
        Endpoint("/server/webcams/item", WhichWebcam, GET=webcams.get_item, DELETE=webcams.delete_item),
        Endpoint("/server/webcams/item", WebcamChange, POST=webcams.post_item),
        Endpoint("/server/webcams/test", WhichWebcam, POST=webcams.test),
    )
