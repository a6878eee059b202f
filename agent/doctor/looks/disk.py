"""The disk of a folder, and how many files a process may open."""

import os
import re
import resource
import tempfile
from pathlib import Path

from agent.doctor.machine.state import Disk

PROC = Path("/proc")


def unwritable(folder: Path) -> OSError | None:
    """Why no file can be written into a folder, which need not be there yet; None when one can.

    Nothing stays: where the folder is missing, the nearest one above is tried.
    """
    try:
        with tempfile.TemporaryFile(dir=_there(folder), prefix=".doctor-") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error
    return None


def disk(folder: Path) -> Disk:
    """The file system that the folder is or will be on. Raises OSError."""
    found = os.statvfs(_there(folder))
    return Disk(found.f_bavail * found.f_frsize, found.f_favail if found.f_files else -1)


def limit(pid: int = 0, proc: Path = PROC) -> int:
    """How many files a process may open; without a ``pid``, what one started from here may; negative: no bound.

    Raises OSError. Envoy raises its own limit as far as it may, so that before its start the hard one counts.
    """
    if not pid:
        return resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    match = re.search(
        r"^Max open files\s+(\d+|unlimited)", (proc / str(pid) / "limits").read_text(), re.MULTILINE
    )
    return int(match[1]) if match and match[1].isdigit() else -1


def _there(folder: Path) -> Path:
    """The folder, or the nearest one above that is there; raises OSError where this user may not see that."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
