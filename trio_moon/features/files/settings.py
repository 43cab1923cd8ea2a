"""`[file_manager]`: what may be written, watched and processed."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

from trio_moon.config import Section


class FilesSettings(Struct, frozen=True):
    """The settings of the files room."""

    config_writable: bool = True
    watch: bool = True
    process_objects: bool = False
    queue_uploads: bool = False
    link_targets: tuple[Path, ...] = ()
    """Folders outside the roots that links inside them may lead into (a mounted USB stick)."""
    extra_roots: tuple[tuple[str, Path], ...] = ()
    """Further read-only roots: `docs`, `config_examples`."""
    max_upload_bytes: int = 1 << 30

    @classmethod
    def from_section(cls, section: Section, *, max_upload_bytes: int = 1 << 30) -> FilesSettings:
        """Read `[file_manager]`; options of Moonraker's that mean nothing here are known and ignored."""
        section.boolean("check_klipper_config_path", True)
        section.boolean("enable_observer_warnings", True)
        section.boolean("enable_inotify_warnings", True)
        extra = {name: section.path(f"{name}_path", None) for name in ("docs", "config_examples")}
        return cls(
            config_writable=section.boolean("enable_config_write_access", True),
            watch=section.choice("file_system_observer", ("inotify", "none"), "inotify") != "none",
            process_objects=section.boolean("enable_object_processing", False),
            queue_uploads=section.boolean("queue_gcode_uploads", False),
            link_targets=tuple(Path(os.path.expanduser(word)) for word in section.words("link_targets", [])),
            extra_roots=tuple((name, path) for name, path in extra.items() if path is not None),
            max_upload_bytes=max_upload_bytes,
        )
