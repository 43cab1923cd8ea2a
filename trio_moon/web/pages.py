"""The page that comes with the service: a folder of static files, at `/` and `/trio_moon/…`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from trio_moon.rpc.replies import Download
from trio_moon.rpc.request_head import RequestHead

ASSETS = "/trio_moon/"


class Pages:
    """Finds the files of the page. What isn't in the folder is none of its business."""

    headers: ClassVar[dict[str, str]] = {
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
        ),
        "X-Frame-Options": "SAMEORIGIN",
        "Referrer-Policy": "no-referrer",
    }

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, head: RequestHead) -> Download | None:
        """The file for a path of the page; None for all other paths."""
        path = head.path
        if path in ("/", "/index.html"):
            name = "index.html"
        elif path.startswith(ASSETS):
            name = path[len(ASSETS) :]
        else:
            return None
        parts = name.split("/")
        if not all(parts) or any(part.startswith(".") or "\0" in part or "\\" in part for part in parts):
            return None
        file = self._folder.joinpath(*parts)
        there = os.path.isfile(file)  # Path.is_file raises for names that are too long
        return Download(file, parts[-1], attachment=False) if there else None
