"""What every slicer's module offers."""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec import Struct

from trio_moon.features.files.metadata.excerpt import Excerpt

Reading = dict[str, object]
"""Fields of the API's metadata; None for what the file doesn't say."""

Identify = Callable[[str], tuple[str, str] | None]
"""From a file's head to name and version; None if it is somebody else's."""


class Slicer(Struct, frozen=True):
    """One slicer or family of slicers."""

    identify: Identify
    read: Callable[[Excerpt], Reading]
    has_pictures: bool = True
    objects: str | None = None
    """The kind of marks around objects: what `preprocess-cancellation` calls the slicer."""


def marked(name: str, mark: str) -> Identify:
    """Knows a slicer by a mark whose group is the version."""

    def identify(head: str) -> tuple[str, str] | None:
        match = re.search(mark, head)
        return (name, match[1]) if match else None

    return identify
