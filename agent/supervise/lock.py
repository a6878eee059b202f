"""One supervisor a state folder."""

import fcntl
import os


class Taken(Exception):
    """Another supervisor holds the folder."""


def take(directory: str) -> int:
    """Lock ``directory`` for the life of the returned descriptor; makes it with mode 0700 if it is not
    there.

    Raises Taken with the other's process id as far as it is known, OSError when the folder can't be used.
    The kernel gives the lock back when the process ends, however it ends.
    """
    os.makedirs(directory, mode=0o700, exist_ok=True)  # noqa: PTH103 - pathlib costs a megabyte
    path = os.path.join(directory, "lock")  # noqa: PTH118
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(descriptor, 20).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise Taken(
            f"another pillion (process {holder}) uses the state folder {directory}; "
            "stop it or give this one another"
        ) from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor
