"""What Moonraker's sections and options are called, so that a warning can tell "not yet" from "misspelt"."""

from __future__ import annotations

from typing import Final

MOONRAKER_OPTIONS: Final[dict[str, frozenset[str]]] = {
    "server": frozenset(
        {
            "enable_debug_logging",
            "ssl_certificate_path",
            "ssl_key_path",
            "ssl_port",
        }
    ),
}
