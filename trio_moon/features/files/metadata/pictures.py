"""Pictures in G-code: found, checked, and put beside the file in `.thumbs`, with a small one for lists.

A picture is somebody else's data: its size is limited before it is decoded, and only three formats are decoded at all.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import io
import logging
import os
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from msgspec import Struct

from trio_moon.features.files.metadata.excerpt import Excerpt
from trio_moon.features.files.places import LONGEST_NAME, PICTURES, Place
from trio_moon.features.files.roots import OPEN_FOLDER, Roots
from trio_moon.features.files.staging import replacing
from trio_moon.model.errors import MoonError, NotFound

if TYPE_CHECKING:
    from PIL.Image import Image

logger = logging.getLogger(__name__)

SMALL = 32
MOST_PICTURES = 16
MOST_PIXELS = 4_000_000
_BEGIN = re.compile(r"thumbnail(?:_([A-Za-z0-9]+))? begin (\d{1,5})\D(\d{1,5}) (\d{1,8})")
_ENDINGS = {"png": "png", "jpg": "jpg", "qoi": "png"}
"""Kinds of pictures, and what they are kept as: browsers know no QOI."""
_FORMATS = ("PNG", "JPEG", "QOI")


class Picture(Struct, frozen=True):
    """One picture, ready to be kept."""

    width: int
    height: int
    ending: str
    data: bytes
    suffix: str
    """What is added to the G-code's name: `-300x300.png`."""


def find_pictures(excerpt: Excerpt) -> list[Picture]:
    """The pictures that a file holds. What doesn't hold what it announces is left out."""
    found = _in_comments(excerpt.head_comments)
    if excerpt.tail is not excerpt.head:
        found += _in_comments(excerpt.tail_comments)
    unique = {picture.suffix: picture for picture in found}
    return list(unique.values())[:MOST_PICTURES]


def _in_comments(comments: list[str]) -> list[Picture]:
    found: list[Picture] = []
    lines = iter(comments)
    for line in lines:
        begin = _BEGIN.match(line)
        if begin is None:
            continue
        end = line.partition(" ")[0] + " end"
        data = "".join(_until(lines, end))
        kind = (begin[1] or "png").lower()
        if kind in _ENDINGS and len(data) == int(begin[4]):
            with contextlib.suppress(binascii.Error, ValueError):
                found.append(_picture(int(begin[2]), int(begin[3]), kind, base64.b64decode(data, validate=True)))
    return found


def _until(lines: Iterable[str], end: str) -> Iterable[str]:
    for line in lines:
        if line == end:
            return
        yield line


def _picture(width: int, height: int, kind: str, data: bytes) -> Picture:
    if kind == "qoi":
        data = _as_png(_opened(data))
    ending = _ENDINGS[kind]
    return Picture(width, height, ending, data, f"-{width}x{height}.{ending}")


def with_small(pictures: list[Picture]) -> list[Picture]:
    """The pictures with one for lists in front, made of the largest if there is none of that size."""
    if not pictures or any((picture.width, picture.height) == (SMALL, SMALL) for picture in pictures):
        return pictures
    largest = max(pictures, key=lambda picture: len(picture.data))
    try:
        image = _opened(largest.data)
        image.thumbnail((SMALL, SMALL))
        small = Picture(image.width, image.height, "png", _as_png(image), f"-{SMALL}x{SMALL}.png")
    except ValueError as error:
        logger.info("a picture can't be made smaller: %s", error)
        return pictures
    return [small, *pictures]


def whole_picture(data: bytes) -> Picture:
    """A PNG that came beside the G-code (in an UFP file); ValueError if it is none."""
    image = _opened(data)
    return Picture(image.width, image.height, "png", _as_png(image), ".png")


def _opened(data: bytes) -> Image:
    """Decode a picture of sensible size; ValueError otherwise."""
    from PIL import Image, UnidentifiedImageError  # costs memory that a file with a small picture need not spend

    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(f"{image.width}x{image.height} is too large")
        image.load()
    except (OSError, SyntaxError, EOFError, IndexError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ValueError(f"not a usable picture: {error}") from error
    return image


def _as_png(image: Image) -> bytes:
    written = io.BytesIO()
    if image.mode == "CMYK":  # a JPEG may be made for printing on paper; a PNG can't
        image = image.convert("RGB")
    image.save(written, format="PNG")
    return written.getvalue()


def picture_name(gcode: str, suffix: str) -> str:
    """The name of a G-code file's picture."""
    stem = os.path.splitext(gcode)[0]
    if len((stem + suffix).encode()) > LONGEST_NAME:
        stem = stem[:40] + hashlib.sha256(stem.encode()).hexdigest()[:16]
    return stem + suffix


def keep_pictures(roots: Roots, gcode: Place, pictures: list[Picture]) -> list[dict[str, object]]:
    """Write pictures beside a G-code file, each in one step; returns what the metadata says of them.

    What the disk doesn't take is left out: a file is of use without its pictures.
    """
    kept: list[dict[str, object]] = []
    if not pictures:
        return kept
    try:
        with roots.open_folder(gcode.parent) as parent, _pictures_in(parent) as folder:
            for picture in pictures:
                name = picture_name(gcode.name, picture.suffix)
                with replacing(folder, name) as file:
                    file.write(picture.data)
                kept.append(
                    {
                        "width": picture.width,
                        "height": picture.height,
                        "size": len(picture.data),
                        "relative_path": f"{PICTURES}/{name}",
                    }
                )
    except NotFound:
        pass  # the file has just gone, with its folder
    except MoonError as error:
        logger.warning("the pictures of %s can't be kept: %s", gcode, error.message)
    return kept


@contextlib.contextmanager
def _pictures_in(parent: int) -> Iterator[int]:
    with contextlib.suppress(FileExistsError):
        os.mkdir(PICTURES, dir_fd=parent)
    folder = os.open(PICTURES, OPEN_FOLDER, dir_fd=parent)
    try:
        yield folder
    finally:
        os.close(folder)


def drop_pictures(roots: Roots, gcode: Place, names: Iterable[str]) -> None:
    """Remove pictures by their `relative_path`, and their folder after the last one."""
    with contextlib.suppress(Exception), roots.open_folder(gcode.parent) as parent:
        folder = os.open(PICTURES, OPEN_FOLDER, dir_fd=parent)
        try:
            for name in names:
                with contextlib.suppress(OSError):
                    os.unlink(name.removeprefix(f"{PICTURES}/"), dir_fd=folder)
        finally:
            os.close(folder)
        os.rmdir(PICTURES, dir_fd=parent)


def beside(roots: Roots, gcode: Place) -> list[Picture]:
    """The picture that an UFP file brought along."""
    path = os.path.join(roots.resolve(gcode.parent), PICTURES, picture_name(gcode.name, ".png"))
    try:
        if os.path.getsize(path) > MOST_PIXELS:
            return []
        with open(path, "rb") as file:
            return [whole_picture(file.read())]
    except (OSError, ValueError):
        return []
