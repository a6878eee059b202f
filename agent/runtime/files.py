"""Files that are either the old or the new content, whatever happens in between."""

import contextlib
import os
import secrets
from pathlib import Path


def write_atomically(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace ``path`` by ``data`` with exactly the permissions ``mode``; a reader sees the old content or
    the new.

    The content is on disk before the name points to it, and the name is on disk before this returns.
    Blocks: call it in a thread where the loop must not wait for a disk. Raises OSError; ``path`` is then as
    it was and nothing is left beside it. A symbolic link at ``path`` is replaced, not followed.
    """
    beside = path.with_name(f".{path.name[:200]}.{secrets.token_hex(6)}")
    try:
        _write(beside, data, mode)
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    _sync_folder(path.parent)


def _write(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
        os.fchmod(descriptor, mode)  # what open() was given is cut by the umask
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
