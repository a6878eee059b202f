"""The command line that puts the agent under a supervisor."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

PROGRAM = Path(__file__).parents[1] / "supervise" / "__main__.py"


def supervised(
    agent: Sequence[str],
    directory: Path,
    deadline: float,
    *,
    children: Sequence[str] = ("envoy", "service"),
    main: str = "service",
) -> list[str]:
    """The supervisor's arguments, to be given to ``os.execv`` at once, program first.

    ``agent`` is the agent's command, to which ``--supervisor-fd N`` is appended; ``deadline`` is in seconds
    and must exceed the agent's own stop. The orders travel in an inheritable memory file, not in the
    argument list.
    """
    orders = {
        "agent": list(agent),
        "dir": str(directory),
        "deadline": deadline,
        "children": list(children),
        "main": main,
    }
    descriptor = os.memfd_create("pillion-orders", 0)
    os.write(descriptor, json.dumps(orders).encode())
    os.lseek(descriptor, 0, os.SEEK_SET)
    return [sys.executable, "-I", "-S", str(PROGRAM), "--spec-fd", str(descriptor)]
