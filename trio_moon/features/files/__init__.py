"""The files room: roots, uploads and downloads, and the metadata of what can be printed."""

from trio_moon.features.files.room import Files
from trio_moon.features.files.schema import SCHEMA
from trio_moon.features.files.settings import FilesSettings

__all__ = ["SCHEMA", "Files", "FilesSettings"]
