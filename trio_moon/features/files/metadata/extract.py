"""From a G-code file to its metadata. Blocks for some milliseconds, whatever the size of the file."""

from __future__ import annotations

import os
import stat
import uuid

from trio_moon.features.files.metadata.excerpt import Excerpt
from trio_moon.features.files.metadata.pictures import Picture, beside, find_pictures, keep_pictures, with_small
from trio_moon.features.files.places import Place
from trio_moon.features.files.roots import Roots, disk_errors
from trio_moon.model.errors import NotFound

Metadata = dict[str, object]


def extract_metadata(roots: Roots, gcode: Place) -> tuple[Metadata, int]:
    """Read a file, keep its pictures beside it; returns its metadata and its time of change in nanoseconds."""
    from trio_moon.features.files.metadata.slicers import read_slicer  # most starts find no new file to read

    with disk_errors(str(gcode)):
        descriptor = os.open(roots.resolve(gcode), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise NotFound(f"'{gcode}' is no file")
            excerpt = Excerpt.read(descriptor, status.st_size)
        finally:
            os.close(descriptor)
        slicer, reading = read_slicer(excerpt)
        metadata: Metadata = {
            "size": status.st_size,
            "modified": status.st_mtime,
            "uuid": str(uuid.uuid4()),
            "file_processors": processors(excerpt),
            **reading,
        }
        if (begin := excerpt.first_command_at) is not None:
            metadata["gcode_start_byte"] = begin
        if (end := excerpt.last_command_until) is not None:
            metadata["gcode_end_byte"] = end
        pictures: list[Picture] = []
        if slicer.has_pictures:
            pictures = find_pictures(excerpt) or beside(roots, gcode)
        thumbnails = keep_pictures(roots, gcode, with_small(pictures)) if roots.get(gcode.root).writable else []
        if thumbnails:
            metadata["thumbnails"] = thumbnails
    return metadata, status.st_mtime_ns


def processors(excerpt: Excerpt) -> list[str]:
    """The programs that have changed the file after its slicer."""
    mark = "Pre-Processed for Cancel-Object support by preprocess_cancellation"
    return ["preprocess_cancellation"] if any(line.startswith(mark) for line in excerpt.head_comments) else []
