"""The log, in a process of its own: it takes over Python's logging for the whole process."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path


def test_a_folder_that_goes_and_names_that_are_not_unicode_cost_lines_at_most(tmp_path: Path) -> None:
    program = f"""
        import logging, shutil, time
        from pathlib import Path
        from trio_moon.logbook import Logbook

        file = Path({str(tmp_path)!r}) / "logs/moonraker.log"
        book = Logbook(file)
        book.open()
        logging.info("a file called b\\udcff")
        while "called" not in file.read_text():
            time.sleep(0.01)
        shutil.rmtree(file.parent)
        book.reopen()
        logging.info("lost")
        time.sleep(0.1)
        file.parent.mkdir()
        logging.info("kept")
        book.close()
        print(file.read_text())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "kept" in done.stdout
    assert "No such file" in done.stderr  # Python's logging says so of the line in between
