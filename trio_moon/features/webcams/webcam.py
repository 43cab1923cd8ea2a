"""One camera: what a frontend needs to know to show it. Pure."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping

import msgspec
from msgspec import Struct, field
from msgspec.structs import asdict, fields, replace

from trio_moon.config import Section
from trio_moon.model.errors import BadParams

ROTATIONS = (0, 90, 180, 270)
LONGEST_TEXT = 2000

RECORDED_AS = {
    "aspect_ratio": "aspectRatio",
    "target_fps": "targetFps",
    "target_fps_idle": "targetFpsIdle",
    "stream_url": "urlStream",
    "snapshot_url": "urlSnapshot",
    "flip_horizontal": "flipX",
    "flip_vertical": "flipY",
}
"""How the database spells some fields; frontends back it up from there, and carry it from one service to the other."""


class Webcam(Struct, frozen=True):
    """A camera of the configuration or of the database."""

    name: str
    stream_url: str
    enabled: bool = True
    icon: str = "mdiWebcam"
    aspect_ratio: str = "4:3"
    target_fps: int = 15
    target_fps_idle: int = 5
    location: str = "printer"
    service: str = "mjpegstreamer"
    snapshot_url: str = ""
    flip_horizontal: bool = False
    flip_vertical: bool = False
    rotation: int = 0
    source: str = "database"
    extra_data: dict[str, object] = field(default_factory=dict)
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise BadParams("argument 'name': a webcam needs a name")
        if self.rotation not in ROTATIONS:
            raise BadParams(f"argument 'rotation': {self.rotation} is not one of {', '.join(map(str, ROTATIONS))}")
        if not re.fullmatch(r"[1-9]\d{0,4}:[1-9]\d{0,4}", self.aspect_ratio):
            raise BadParams(f"argument 'aspect_ratio': {self.aspect_ratio!r:.40} is no ratio like 4:3")
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, str) and len(value) > LONGEST_TEXT:
                raise BadParams(f"argument '{item.name}': more than {LONGEST_TEXT} characters")

    @classmethod
    def from_section(cls, section: Section) -> Webcam:
        """The camera of a `[webcam name]`; ConfigError names an option that can't be used."""
        try:
            return cls(
                name=section.title,
                stream_url=section.text("stream_url"),
                enabled=section.boolean("enabled", True),
                icon=section.text("icon", "mdiWebcam"),
                aspect_ratio=section.text("aspect_ratio", "4:3"),
                target_fps=section.integer("target_fps", 15, minimum=1),
                target_fps_idle=section.integer("target_fps_idle", 5, minimum=1),
                location=section.text("location", "printer"),
                service=section.text("service", "mjpegstreamer"),
                snapshot_url=section.text("snapshot_url", ""),
                flip_horizontal=section.boolean("flip_horizontal", False),
                flip_vertical=section.boolean("flip_vertical", False),
                rotation=section.integer("rotation", 0),
                source="config",
            )
        except BadParams as error:
            raise section.refuse("", error.message.removeprefix("argument ")) from error

    @classmethod
    def from_record(cls, uid: str, record: Mapping[str, object]) -> Webcam:
        """The camera of a record in the database, in either spelling; BadParams if it can't be used."""
        given = {name: record[word] for name, word in RECORDED_AS.items() if word in record} | dict(record)
        try:
            return msgspec.convert({"stream_url": "", **given, "uid": uid, "source": "database"}, cls, strict=False)
        except msgspec.ValidationError as error:
            raise BadParams(str(error)) from error

    def as_record(self) -> dict[str, object]:
        """What the database keeps under the camera's uid."""
        kept = {name: value for name, value in asdict(self).items() if name not in ("uid", "source")}
        return {RECORDED_AS.get(name, name): value for name, value in kept.items()}

    def known_here(self, printer_id: str) -> Webcam:
        """The configured camera with the uid that Moonraker gives it: frontends remember by it what they show."""
        try:
            printer = uuid.UUID(printer_id)
        except ValueError:
            printer = uuid.uuid5(uuid.NAMESPACE_URL, printer_id)
        return replace(self, uid=str(uuid.uuid5(printer, f"moonraker.webcam.{self.name}")))

    def changed(self, changes: dict[str, object]) -> Webcam:
        """The camera with some fields changed; BadParams if that can't be."""
        return replace(self, **changes)
