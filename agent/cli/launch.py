"""From a checked command line to a supervisor that holds the agent: this process becomes it."""

import errno
import os
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from agent.config import sharing
from agent.config.bound import listeners
from agent.config.place import LONGEST_SOCKET, Place
from agent.config.settings import Settings
from agent.demo import components
from agent.doctor.looks import ports
from agent.proxy import command as envoy
from agent.registry import definition
from agent.runtime.errors import Misconfigured, Permanent, Problem
from agent.runtime.supervised import supervised
from agent.wiring import drivers, gateway_given
from agent.wiring.stopping import stop_time

PROGRAM = Path(__file__).parents[1] / "__main__.py"


def prepared(settings: Settings, kind: str = "") -> Place:
    """The agent's state folder, made for its user alone. Raises Misconfigured when it can't serve."""
    place = Place.of(settings, os.environ, kind)
    if place.longest_socket > LONGEST_SOCKET:
        wrong = f"is {place.folder}, too long for the sockets in it"
        raise Misconfigured([Problem("state.dir", wrong, f"a path of at most {LONGEST_SOCKET - 17} bytes")])
    try:
        place.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        wrong = f"is {place.folder}, which can't be made: {error.strerror}"
        raise Misconfigured([Problem("state.dir", wrong, "a folder that this user may write")]) from error
    if not os.access(place.folder, os.W_OK | os.X_OK):
        wrong = f"is {place.folder}, which this user may not write"
        raise Misconfigured([Problem("state.dir", wrong, "a folder that this user may write")])
    if (group := sharing.group(settings)) is not None:
        sharing.share(place, group)
    return place


def launch(settings: Settings, command: Sequence[str] = (), kind: str = "") -> NoReturn:
    """Become the supervisor of an agent that gets the settings of this command line, and ``command`` as the service's.

    Everything that can be known to be wrong is found before. Raises Misconfigured.
    """
    place = prepared(settings, kind)
    known_to_start(command)
    drivers.check(settings)
    if kind:
        gateway_given.check(settings)
    else:
        registrable(settings)
    managed = settings.proxy.mode == "managed"
    if managed:
        envoy.find(settings.proxy.envoy, partial(components.find, "envoy"))
    with envoy.hold(place.lock):
        free(settings, kind)
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
    children = (*(("envoy",) if managed else ()), *(() if kind else ("service",)))
    argv = supervised(agent, place.folder.absolute(), stop_time(settings), children=children)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(argv[0], argv)  # noqa: S606 - no shell is wanted


def known_to_start(command: Sequence[str]) -> None:
    """Refuse a service's command that can't be started, before anything else is. Raises Misconfigured."""
    if not command:
        return
    if "--" not in sys.argv:
        shown = " ".join(command)
        raise Misconfigured(
            [Problem("CMD", f"is {shown!r} without -- before it", f"pillion run … -- {shown}")]
        )
    if shutil.which(command[0]) is None:
        wrong = f"starts with {command[0]!r}, which is {_not_started(command[0])}"
        raise Misconfigured([Problem("CMD", wrong, "a program and its arguments")])


def registrable(settings: Settings) -> None:
    """Refuse what the registration can't be given; raises Misconfigured."""
    if settings.service.register and (wrong := definition.problems(settings)):
        raise Misconfigured(wrong)


def _not_started(program: str) -> str:
    if os.sep not in program:
        return "no program on PATH"
    return "a file that may not be executed" if Path(program).exists() else "no file"


def free(settings: Settings, kind: str) -> None:
    """Find out whether every listener's address can be had now. Raises Permanent naming the setting."""
    for key, address in listeners(settings, gateway=bool(kind)).items():
        number = ports.error(address.host, address.port, udp=key == "outbound.dns") if address.port else 0
        if number:
            wrong = f"listening on {address} ({key}) is impossible: {os.strerror(number)}"
            raise Permanent(f"{wrong}; {_mend(number, key)}")


def _mend(number: int, key: str) -> str:
    match number:
        case errno.EADDRINUSE:
            return f"end what listens there (`pillion doctor` tells what it is), or set {key} to another port"
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT:
            return f"no interface of this machine has that address: set {key} to one that it has"
        case errno.EACCES:
            return f"this user may not take a port below 1024: set {key} to a higher one"
    return f"set {key} to another address"


def _flags() -> list[str]:
    """The flags of this process's command line: what stands behind the command's name and before ``--``."""
    words = sys.argv[1 : sys.argv.index("--")] if "--" in sys.argv else sys.argv[1:]
    name = next(n for n, word in enumerate(words) if not word.startswith("-"))
    return [*words[:name], *words[name + 1 :]]
