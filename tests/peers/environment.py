"""Peers are installed into environments of their own, once, under `.peers/` (or TRIO_MOON_PEER_DIR)."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
INSTALL_TIMEOUT = 900.0
SHOWN_CHARACTERS = 600


def prepare_peer(name: str, *requirements: str) -> Path:
    """The `bin` folder of an environment that has these requirements; skips the test where they can't be had.

    Requirements go to pip as they are, so that options such as `--pre` may stand among them.
    """
    home = peer_directory() / name
    home.mkdir(parents=True, exist_ok=True)
    with locked(home / "lock"):
        mark = home / "installed"
        wanted = " ".join(requirements)
        if not mark.exists() or mark.read_text() != wanted:
            install(home, requirements)
            mark.write_text(wanted)
    return home / "bin"


def peer_directory() -> Path:
    return Path(os.environ.get("TRIO_MOON_PEER_DIR") or REPOSITORY / ".peers")


def install(home: Path, requirements: tuple[str, ...]) -> None:
    python = home / "bin" / "python"
    try:
        if not python.exists():
            run(sys.executable, "-m", "venv", str(home))
        run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or ""
        pytest.skip(f"cannot install {' '.join(requirements)}: {error} {said[-SHOWN_CHARACTERS:]}")


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_TIMEOUT)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that other test runs on this machine respect; it falls with the process."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
