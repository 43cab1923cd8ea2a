"""What a browser is told a file is, and whether it may show it in place of saving it."""

from __future__ import annotations

_TEXT = "text/plain; charset=utf-8"

_TYPES: dict[str, str] = {
    **dict.fromkeys((".gcode", ".g", ".gco", ".nc"), "text/x.gcode; charset=utf-8"),
    **dict.fromkeys((".cfg", ".conf", ".log", ".txt", ".md", ".ini", ".bkp"), _TEXT),
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".ico": "image/x-icon",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".qoi": "image/qoi",
    ".svg": "image/svg+xml",
    ".ufp": "application/x-ufp",
    ".webp": "image/webp",
    ".zip": "application/zip",
}
_SHOWN = ("image/png", "image/jpeg", "image/gif", "image/webp", "video/mp4")
"""What can't run scripts in the frontend's origin; SVG and HTML can."""


def content_type(filename: str) -> tuple[str, bool]:
    """The type of a file by its name, and whether it is to be saved rather than shown."""
    dot = filename.rfind(".")
    kind = _TYPES.get(filename[dot:].lower(), "application/octet-stream") if dot >= 0 else "application/octet-stream"
    return kind, kind not in _SHOWN
