"""From a checked command line to a supervisor that holds the agent: this process becomes it."""

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from agent import wiring
from agent.config.place import Place
from agent.config.settings import Settings
from agent.demo import components
from agent.proxy import command as envoy
from agent.runtime.errors import Misconfigured, Problem
from agent.runtime.supervised import supervised

PROGRAM = Path(__file__).parents[1] / "__main__.py"
LONGEST_SOCKET = 107
"""Bytes of a unix socket's path that Linux takes."""


def prepared(settings: Settings, kind: str = "") -> Place:
    """The agent's state folder, made for its user alone. Raises Misconfigured when it can't serve."""
    place = Place.of(settings, os.environ, kind)
    longest = max((place.xds, place.admin), key=lambda path: len(os.fsencode(path)))
    if len(os.fsencode(longest.absolute())) > LONGEST_SOCKET:
        wrong = f"is {place.folder}, too long for the sockets in it"
        raise Misconfigured([Problem("state.dir", wrong, f"a path of at most {LONGEST_SOCKET - 11} bytes")])
    try:
        place.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        wrong = f"is {place.folder}, which can't be made: {error.strerror}"
        raise Misconfigured([Problem("state.dir", wrong, "a folder that this user may write")]) from error
    if not os.access(place.folder, os.W_OK | os.X_OK):
        wrong = f"is {place.folder}, which this user may not write"
        raise Misconfigured([Problem("state.dir", wrong, "a folder that this user may write")])
    return place


def launch(settings: Settings, command: Sequence[str] = (), kind: str = "") -> NoReturn:
    """Become the supervisor of an agent that gets the settings of this command line, and ``command`` as the service's.

    Everything that can be known to be wrong is found before. Raises Misconfigured.
    """
    place = prepared(settings, kind)
    envoy.find(settings.proxy.envoy, partial(components.find, "envoy"))
    # The supervisor appends the number of its socket, which therefore always stands behind the --.
    agent = [
        sys.executable,
        "-P",
        str(PROGRAM),
        "agent",
        *(["--gateway"] if kind else []),
        *_flags(),
        "--",
        *command,
    ]
    children = ("envoy",) if kind else ("envoy", "service")
    argv = supervised(agent, place.folder.absolute(), wiring.stop_time(settings), children=children)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(argv[0], argv)  # noqa: S606 - no shell is wanted


def _flags() -> list[str]:
    """The flags of this process's command line: what stands behind the command's name and before ``--``."""
    words = sys.argv[1 : sys.argv.index("--")] if "--" in sys.argv else sys.argv[1:]
    name = next(n for n, word in enumerate(words) if not word.startswith("-"))
    return [*words[:name], *words[name + 1 :]]
