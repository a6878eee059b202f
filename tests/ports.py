"""Ports for tests: each worker has its own, and none is given twice, so that nothing meets anything."""

import itertools
import os
from collections.abc import Container

from agent.runtime.ports import DEFAULTS, LOWEST, is_free

FIRST, SHARE, WORKERS = 10300, 1600, 6
"""Below the kernel's ephemeral ports and below those that a program chooses for itself (runtime/ports): one that is
given here and not bound yet looks free to it. Each of the workers has enough for a long time."""
assert FIRST + SHARE * WORKERS <= LOWEST

_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS
_begin = os.getpid() * 97 % SHARE  # two sessions at once are not to go through the same ports side by side
_ports = itertools.cycle(FIRST + _worker * SHARE + (_begin + n) % SHARE for n in range(SHARE))


def free_port(taken: Container[int] = ()) -> int:
    """A local port that is free and was not given for a long time."""
    return next(
        port
        for port in itertools.islice(_ports, SHARE)
        if port not in taken and port not in DEFAULTS and is_free("127.0.0.1", port)
    )
