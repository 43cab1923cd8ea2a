"""`[octoprint_compat]`."""

from __future__ import annotations

from msgspec import Struct

from trio_moon.config import Section

STREAM_URL = "/webcam/?action=stream"


class OctoPrintSettings(Struct, frozen=True):
    """What OctoPrint says of Ultimaker's format and of the camera; None: what the printer's first camera says."""

    enable_ufp: bool = True
    flip_h: bool | None = None
    flip_v: bool | None = None
    rotate_90: bool | None = None
    stream_url: str | None = None
    webcam_enabled: bool = True

    @classmethod
    def from_section(cls, section: Section) -> OctoPrintSettings:
        return cls(
            enable_ufp=section.boolean("enable_ufp", True),
            flip_h=section.boolean("flip_h", None),
            flip_v=section.boolean("flip_v", None),
            rotate_90=section.boolean("rotate_90", None),
            stream_url=section.text("stream_url", None),
            webcam_enabled=section.boolean("webcam_enabled", True),
        )
