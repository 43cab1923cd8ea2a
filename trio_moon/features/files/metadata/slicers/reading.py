"""What every slicer's module offers."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from trio_moon.features.files.metadata.excerpt import Excerpt

Reading = dict[str, object]
"""Fields of the API's metadata; None for what the file doesn't say."""


class Slicer(Struct, frozen=True):
    """One slicer or family of slicers."""

    identify: Callable[[str], tuple[str, str] | None]
    """From a file's head to name and version; None if it is somebody else's."""
    read: Callable[[Excerpt], Reading]
    has_pictures: bool = True
    objects: str | None = None
    """The kind of marks around objects: what `preprocess-cancellation` calls the slicer."""
