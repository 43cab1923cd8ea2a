"""The README tells of every method, and of none that doesn't exist."""

from __future__ import annotations

import re
from pathlib import Path

from trio_moon.app import App, Options
from trio_moon.config import Document
from trio_moon.model.paths import DataPaths

README = Path(__file__).parent.parent / "README.md"
EVERYTHING = """
[spoolman]
server: http://127.0.0.1:1
[notifier phone]
url: json://127.0.0.1:1
events: *
[octoprint_compat]
"""


def told() -> set[str]:
    """The method names in the API table, braces expanded."""
    table = README.read_text().partition("\n## API\n")[2].partition("\nNotifications:")[0]
    names: set[str] = set()
    for before, inside, after in re.findall(
        r"`((?:server|printer|machine|access|connection)\.[\w.]*)(?:\{([\w,]+)\})?([\w.]*)`", table
    ):
        names.update(f"{before}{word}{after}" for word in inside.split(","))
    return names


def offered(tmp_path: Path) -> set[str]:
    app = App(Document.parse(EVERYTHING), DataPaths(tmp_path), Options())
    return {method.name for method in app.registry if method.name}


def test_every_method_is_in_the_api_table(tmp_path: Path) -> None:
    missing = offered(tmp_path) - told()
    assert not missing, f"add to the API table of README.md: {sorted(missing)}"
