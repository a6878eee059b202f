"""Ports for tests: each worker has its own, and none is given twice, so that nothing meets anything."""

import itertools
import os
from collections.abc import Container

from agent.runtime.ports import DEFAULTS, is_free

FIRST, SHARE, WORKERS = 10300, 3500, 6
"""Below the kernel's ephemeral ports; each of the workers has as many as a whole run needs."""

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
