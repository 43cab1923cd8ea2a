"""Printing a file: `virtual_sdcard`, `pause_resume` and `display_status`, as one story."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import trio

from trio_moon.testing.klipper_coordinates import RECOVER_SPEED, MotionCommands
from trio_moon.testing.klipper_gcode import Command, GCode, KlipperError
from trio_moon.testing.klipper_print_stats import PrintStats

EXTENSIONS = {".gcode", ".g", ".gco"}
LINES_AT_A_TIME = 64  # after so many lines everybody else gets a turn


class Printing:
    """Runs a file line by line, and everything that starts, pauses and ends it."""

    def __init__(
        self, gcode: GCode, motion: MotionCommands, gcodes: Path | None, start_worker: Callable[[], None]
    ) -> None:
        self._gcode = gcode
        self._motion = motion
        self._gcodes = gcodes
        self._start_worker = start_worker
        self.stats = PrintStats(motion)
        self._path: Path | None = None
        self._lines: list[bytes] = []
        self._next_line = 0
        self.file_position = self.file_size = 0
        self.is_active = False
        self._must_pause = self._running_line = False
        self._waiting: trio.CancelScope | None = None
        self._worker_done = trio.Event()
        self.is_paused = self._sd_paused = self._pause_sent = False
        self.progress: float | None = None
        self.display_message: str | None = None
        self._register()

    def _register(self) -> None:
        add = self._gcode.register
        add("SDCARD_PRINT_FILE", self._print_file, help_text="Loads a SD file and starts the print.")
        add(
            "SDCARD_RESET_FILE",
            self._reset_file,
            help_text="Clears a loaded SD File. Stops the print if necessary",
        )
        add(
            "SET_PRINT_STATS_INFO",
            self._layers,
            help_text="Pass slicer info like layer act and total to klipper",
        )
        add("PAUSE", self._pause, help_text="Pauses the current print")
        add("RESUME", self._resume, help_text="Resumes the print from a pause")
        add(
            "CLEAR_PAUSE",
            self._clear_pause,
            help_text="Clears the current paused state without resuming the print",
        )
        add("CANCEL_PRINT", self._cancel, help_text="Cancel the current print")
        add("SET_DISPLAY_TEXT", self._display_text, help_text="Set or clear the display message")
        for name, handler in (
            ("M20", self._list),
            ("M21", self._card_ok),
            ("M23", self._select),
            ("M24", self._go_on),
            ("M25", self._stop),
            ("M27", self._tell),
            ("M73", self._progress),
            ("M117", self._message),
        ):
            add(name, handler)

    # status

    def sdcard_status(self) -> dict[str, object]:
        """The `virtual_sdcard` object."""
        return {
            "file_path": None if self._path is None else str(self._path),
            "progress": self.file_progress,
            "is_active": self.is_active,
            "file_position": self.file_position,
            "file_size": self.file_size,
        }

    @property
    def file_progress(self) -> float:
        """How much of the file has been read, 0 to 1."""
        return self.file_position / self.file_size if self.file_size else 0.0

    def display_status(self) -> dict[str, object]:
        """The `display_status` object."""
        progress = self.file_progress if self.progress is None else self.progress
        return {"progress": progress, "message": self.display_message}

    # the worker

    async def work(self) -> None:
        """Run lines until the end of the file, a pause or an error; one such task at a time."""
        self.stats.note_start()
        error: str | None = None
        try:
            error = await self._run_lines()
        finally:
            self.is_active = self._running_line = False
            self._worker_done.set()
        if error is not None:
            self.stats.note_end("error", error)
        elif self._path is not None:
            self.stats.note_pause()
        else:
            self.stats.note_end("complete")

    async def _run_lines(self) -> str | None:
        lock = self._gcode.lock
        while not self._must_pause:
            if self._next_line >= len(self._lines):
                self._path = None
                self._gcode.respond("Done printing file")
                return None
            if not await self._take_lock():
                return None
            line = self._lines[self._next_line]
            self._running_line = True
            try:
                await self._gcode.run_lines(line.decode("utf-8", "replace"))
            except KlipperError as error:
                with contextlib.suppress(KlipperError):  # it is refused after a shutdown
                    await self._gcode.run_lines("TURN_OFF_HEATERS")
                return str(error)
            finally:
                self._running_line = False
                lock.release()
            self._next_line += 1
            self.file_position = min(self.file_size, self.file_position + len(line) + 1)
            if self._next_line % LINES_AT_A_TIME == 0:
                await trio.lowlevel.checkpoint()
        return None

    async def _take_lock(self) -> bool:
        lock = self._gcode.lock
        try:
            lock.acquire_nowait()
            return True
        except trio.WouldBlock:
            with trio.CancelScope() as self._waiting:
                await lock.acquire()
                return True
            return False

    async def pause_work(self) -> None:
        """Stop the worker after its current line."""
        if not self.is_active:
            return
        self.ask_to_pause()
        if not self._running_line:
            await self._worker_done.wait()

    def ask_to_pause(self) -> None:
        """Let the worker end by itself."""
        self._must_pause = True
        if self._waiting is not None:
            self._waiting.cancel()

    def _begin(self) -> None:
        if self.is_active:
            raise KlipperError("SD busy")
        if self._path is None:
            return
        self.is_active, self._must_pause, self._waiting = True, False, None
        self._worker_done = trio.Event()
        self._start_worker()

    # files

    def _files(self) -> dict[str, Path]:
        if self._gcodes is None or not self._gcodes.is_dir():
            return {}
        # os.walk, as Klipper: folders may go while we look
        everything = (Path(folder, name) for folder, _, names in os.walk(self._gcodes) for name in names)
        found = (path for path in everything if path.suffix in EXTENSIONS and path.is_file())
        return {str(path.relative_to(self._gcodes)): path for path in found}

    def _load(self, name: str) -> None:
        files = self._files()
        lower = {known.lower(): path for known, path in files.items()}
        path = files.get(name) or lower.get(name.lower())
        if path is None:
            raise KlipperError("Unable to open file")
        try:
            content = path.read_bytes()
        except OSError as error:  # a link to /proc/self/mem is a file, too
            raise KlipperError("Unable to open file") from error
        self._gcode.respond(f"File opened: {name} Size: {len(content)}")
        self._gcode.respond("File selected")
        self._path, self._lines, self._next_line = path, content.split(b"\n"), 0
        self.file_position, self.file_size = 0, len(content)
        self.stats.reset()
        self.stats.filename = name

    async def _forget_file(self) -> None:
        if self._path is not None:
            await self.pause_work()
            self._path = None
        self.file_position = self.file_size = 0
        self.stats.reset()

    async def _print_file(self, command: Command) -> None:
        if self.is_active:
            raise KlipperError("SD busy")
        await self._forget_file()
        self._load(command.text("FILENAME").removeprefix("/"))
        self._begin()

    async def _reset_file(self, command: Command) -> None:
        if self._running_line:
            raise KlipperError("SDCARD_RESET_FILE cannot be run from the sdcard")
        await self._forget_file()

    async def _select(self, command: Command) -> None:
        if self.is_active:
            raise KlipperError("SD busy")
        await self._forget_file()
        self._load(command.raw.strip().removeprefix("/"))

    async def _list(self, command: Command) -> None:
        self._gcode.respond("Begin file list")
        for name, path in sorted(self._files().items()):
            self._gcode.respond(f"{name} {path.stat().st_size}")
        self._gcode.respond("End file list")

    async def _card_ok(self, command: Command) -> None:
        self._gcode.respond("SD card ok")

    async def _go_on(self, command: Command) -> None:
        self._begin()

    async def _stop(self, command: Command) -> None:
        await self.pause_work()

    async def _tell(self, command: Command) -> None:
        if self._path is None:
            self._gcode.respond("Not SD printing.")
        else:
            self._gcode.respond(f"SD printing byte {self.file_position}/{self.file_size}")

    # pause, resume, cancel

    async def _pause(self, command: Command) -> None:
        if self.is_paused:
            self._gcode.info("Print already paused")
            return
        if not self._pause_sent:
            self._sd_paused = self.is_active
            if self.is_active:
                await self.pause_work()
            else:
                self._gcode.info("action:paused")
            self._pause_sent = True
        await self._gcode.run_lines("SAVE_GCODE_STATE NAME=PAUSE_STATE")
        self.is_paused = True

    async def _resume(self, command: Command) -> None:
        if not self.is_paused:
            self._gcode.info("Print is not paused, resume aborted")
            return
        speed = command.number("VELOCITY", RECOVER_SPEED)
        await self._gcode.run_lines(f"RESTORE_GCODE_STATE NAME=PAUSE_STATE MOVE=1 MOVE_SPEED={speed:.4f}")
        if self._sd_paused:
            self._begin()
            self._sd_paused = False
        else:
            self._gcode.info("action:resumed")
        self.is_paused = self._pause_sent = False

    async def _clear_pause(self, command: Command) -> None:
        self.is_paused = self._pause_sent = False

    async def _cancel(self, command: Command) -> None:
        if self.is_active or self._sd_paused:
            if self._path is not None:
                await self.pause_work()
                self._path = None
                self.stats.note_end("cancelled")
            self.file_position = self.file_size = 0
        else:
            self._gcode.info("action:cancel")
        self.is_paused = self._pause_sent = False

    # what the job tells about itself

    async def _layers(self, command: Command) -> None:
        total = command.optional_integer("TOTAL_LAYER", minimum=0)
        current = command.optional_integer("CURRENT_LAYER", minimum=0)
        stats = self.stats
        if total == 0:
            stats.total_layer = stats.current_layer = None
        elif total is not None and total != stats.total_layer:
            stats.total_layer, stats.current_layer = total, 0
        if stats.total_layer is not None and current is not None:
            stats.current_layer = min(current, stats.total_layer)

    async def _progress(self, command: Command) -> None:
        percent = command.optional_number("P")
        if percent is not None:
            self.progress = min(1.0, max(0.0, percent / 100))

    async def _message(self, command: Command) -> None:
        self.display_message = command.raw or None

    async def _display_text(self, command: Command) -> None:
        self.display_message = command.optional_text("MSG")
