"""The methods of `server.webcams.*`."""

from __future__ import annotations

import msgspec
from msgspec.structs import asdict

from trio_moon.features.webcams.service import Webcams
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller
from trio_moon.rpc.endpoint import Endpoint


class WhichWebcam(msgspec.Struct, frozen=True):
    uid: str | None = None
    name: str | None = None


class WebcamChange(msgspec.Struct, frozen=True):
    """Only what is given changes."""

    uid: str | None = None
    name: str | None = None
    location: str | None = None
    icon: str | None = None
    enabled: bool | None = None
    service: str | None = None
    target_fps: int | None = None
    target_fps_idle: int | None = None
    stream_url: str | None = None
    snapshot_url: str | None = None
    flip_horizontal: bool | None = None
    flip_vertical: bool | None = None
    rotation: int | None = None
    aspect_ratio: str | None = None
    extra_data: dict[str, object] | None = None

    def changes(self) -> dict[str, object]:
        """The fields that were given."""
        return {name: value for name, value in asdict(self).items() if value is not None and name != "uid"}


def endpoints(webcams: Webcams) -> tuple[Endpoint, ...]:
    """The table of the room."""

    def list_webcams(params: NoParams, caller: Caller) -> object:
        return {"webcams": webcams.listed()}

    def get_item(params: WhichWebcam, caller: Caller) -> object:
        return {"webcam": asdict(webcams.find(params.uid, params.name))}

    async def post_item(params: WebcamChange, caller: Caller) -> object:
        return {"webcam": asdict(await webcams.save(params.uid, params.changes()))}

    async def delete_item(params: WhichWebcam, caller: Caller) -> object:
        return {"webcam": asdict(await webcams.delete(params.uid, params.name))}

    async def test(params: WhichWebcam, caller: Caller) -> object:
        return await webcams.test(params.uid, params.name)

    return (
        Endpoint("/server/webcams/list", NoParams, GET=list_webcams),
        Endpoint("/server/webcams/item", WhichWebcam, GET=get_item, DELETE=delete_item),
        Endpoint("/server/webcams/item", WebcamChange, POST=post_item),
        Endpoint("/server/webcams/test", WhichWebcam, POST=test),
    )
