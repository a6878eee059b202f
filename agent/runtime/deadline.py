"""The last resort: the process ends after a while, whatever its threads and its loop are doing."""

import faulthandler
import sys
from typing import TextIO


class Deadline:
    """Ends the process with exit status 1 once armed, without clean-up, after printing where every thread
    stood.

    Python's watchdog thread needs neither the event loop nor the interpreter's lock, so a loop that hangs
    in a C function is ended too. There is one such watchdog in a process: arming again replaces the former
    deadline.
    """

    def __init__(self, seconds: float, file: TextIO | None = None) -> None:
        self._seconds = seconds
        self._file = file

    def arm(self) -> None:
        """Start the countdown; ``file`` (default: stderr) must have a descriptor."""
        faulthandler.dump_traceback_later(self._seconds, exit=True, file=self._file or sys.stderr)

    def disarm(self) -> None:
        """Stop the countdown."""
        faulthandler.cancel_dump_traceback_later()
