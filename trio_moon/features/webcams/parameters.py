"""What the calls of the webcams take."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import asdict


class WhichWebcam(Struct, frozen=True):
    uid: str | None = None
    name: str | None = None


class WebcamChange(Struct, frozen=True):
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
