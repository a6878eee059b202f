"""How the C library keeps memory that was given back to it."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Options of ``mallopt`` (``malloc.h`` of the GNU C library)."""
_PIECE = 128 * 1024
"""Bytes; the library's own first value for both thresholds."""


def thrifty() -> None:
    """Have large pieces of memory given back to the system as soon as they are free.

    By itself the GNU C library raises the size from which it does so with each large piece that is freed, up to 32 MB,
    and gives each thread an arena of its own: the answers of a registry and the texts written to disk, megabytes each
    but short-lived, would stay in the process for good. Does nothing with another C library.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        for option, value in ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, _PIECE), (_TRIM_THRESHOLD, _PIECE)):
            library.mallopt(option, value)
        library.malloc_trim(0)  # what importing left
