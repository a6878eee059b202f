"""Reading the files that settings come from."""

import stat
from pathlib import Path
from typing import Protocol

LIMIT = 1024 * 1024


class Disk(Protocol):
    """What reading settings needs of a file system."""

    def read(self, path: Path) -> str:
        """The text of a file; raises OSError, and ValueError for what is no text or too long."""

    def open_to_all(self, path: Path) -> bool:
        """Whether every user of the machine may read the file; raises OSError."""


class LocalDisk:
    """The real one."""

    def read(self, path: Path) -> str:
        """The text of a file of at most 1 MiB."""
        with path.open("rb") as file:
            content = file.read(LIMIT + 1)
        if len(content) > LIMIT:
            raise ValueError("is longer than 1 MiB")
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise ValueError("is not UTF-8") from None

    def open_to_all(self, path: Path) -> bool:
        """Whether the file's mode lets others read it."""
        return bool(path.stat().st_mode & stat.S_IROTH)
