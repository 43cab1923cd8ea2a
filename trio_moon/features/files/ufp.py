"""Ultimaker's container: the G-code and its picture out of an `.ufp`, without trusting what it says of itself."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from pathlib import Path
from typing import IO

from trio_moon.model.errors import BadParams, TooLarge

MODEL = "/3D/model.gcode"
PICTURE = "/Metadata/thumbnail.png"
LARGEST_PICTURE = 4 << 20
LARGEST_RATIO = 200
"""G-code shrinks five- to tenfold; what shrinks this much was made to fill our disk."""
FREE_OF_RATIO = 16 << 20
CHUNK = 1 << 20
MOST_MEMBERS = 200
LONGEST_DIRECTORY = 256 << 10
"""Of an archive, in bytes. It is read at once, and an object made of each of its entries."""
BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How members may be packed: `zipfile` unpacks others in one go, gigabytes out of a kilobyte."""


class _Archive(io.FileIO):
    """The file; while it is opened as an archive, nobody reads more of it at once than a directory may have."""

    most: float = LONGEST_DIRECTORY

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self.most:
            raise zipfile.BadZipFile("it has too many members")
        return super().read(size)


def unpack_ufp(source: Path, target: Path, *, largest: int) -> bytes | None:
    """Write the model to `target` (which must not exist) and return the picture, if there is a sensible one.

    BadParams if it is no UFP file or has no model, TooLarge if the model is larger than `largest` bytes.
    """
    try:
        with _Archive(source) as file, zipfile.ZipFile(file) as container:
            file.most = math.inf
            few = [member for member in container.infolist()[:MOST_MEMBERS] if member.compress_type in BOUNDED]
            members = {"/" + member.filename.lstrip("/"): member for member in few}
            model = members.get(MODEL)
            if model is None:
                raise BadParams(f"the UFP file holds no model ({MODEL})")
            limit = min(largest, max(FREE_OF_RATIO, source.stat().st_size * LARGEST_RATIO))
            with container.open(model) as packed, target.open("xb") as unpacked:
                _copy(packed, unpacked, limit)
            picture = members.get(PICTURE)
            return _picture(container, picture) if picture is not None else None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise BadParams(f"the file is no usable UFP file: {error}") from error


def _copy(source: IO[bytes], target: IO[bytes], limit: int) -> None:
    written = 0
    while chunk := source.read(CHUNK):
        written += len(chunk)
        if written > limit:
            raise TooLarge(f"the model in the UFP file unpacks to more than {limit} bytes")
        target.write(chunk)


def _picture(container: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes | None:
    with container.open(member) as packed:
        picture = packed.read(LARGEST_PICTURE + 1)
    return picture if len(picture) <= LARGEST_PICTURE else None
