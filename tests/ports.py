"""Ports for tests: each process that runs tests has its own, and none is soon given twice, so that nothing meets
anything."""

import fcntl
import itertools
import os
import tempfile
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from agent.runtime.ports import DEFAULTS, LOWEST, is_free

FIRST, SHARE = 10300, 600
"""Below the kernel's ephemeral ports and below those that a program chooses for itself (runtime/ports): one that is
given here and not bound yet looks free to it. A share is more than any test takes."""
LOCKS = Path(tempfile.gettempdir()) / f"pillion-test-ports-{os.getuid()}"
"""A file for each share; who holds its lock has the share. The kernel lets go of it when the process ends."""


def free_port(taken: Container[int] = ()) -> int:
    """A local port that is free, is nobody else's to give, and was not given for a long time."""
    return next(
        port for port in itertools.islice(_ports, SHARE) if port not in taken and is_free("127.0.0.1", port)
    )


def _own() -> Iterator[int]:
    share = _share([first for first in range(FIRST, LOWEST - SHARE, SHARE) if not _has_defaults(first)])
    begin = os.getpid() % SHARE  # what the one before us had last may still be closing
    return itertools.cycle([*share[begin:], *share[:begin]])


def _has_defaults(first: int) -> bool:
    return first < DEFAULTS.stop and DEFAULTS.start < first + SHARE


def _share(beginnings: Sequence[int]) -> range:
    """The first that nobody has; where all are taken, one that some other session has, too."""
    LOCKS.mkdir(exist_ok=True)
    for first in beginnings:
        lock = os.open(LOCKS / str(first), os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            return range(first, first + SHARE)
    chosen = beginnings[os.getpid() % len(beginnings)]
    return range(chosen, chosen + SHARE)


_ports = _own()
