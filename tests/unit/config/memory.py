"""A disk in memory."""

from pathlib import Path


class Memory:
    """Files by path; those in ``shared`` may be read by everybody, those in ``broken`` by nobody."""

    def __init__(
        self,
        files: dict[str, str] | None = None,
        *,
        shared: set[str] | None = None,
        broken: set[str] | None = None,
    ):
        self.files = files or {}
        self.shared = shared or set()
        self.broken = broken or set()

    def read(self, path: Path) -> str:
        if str(path) in self.broken:
            raise PermissionError(13, "Permission denied", str(path))
        if str(path) not in self.files:
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return self.files[str(path)]

    def open_to_all(self, path: Path) -> bool:
        return str(path) in self.shared
