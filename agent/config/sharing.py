"""The sockets of an agent whose Envoy runs as another user: open to the group of ``proxy.xds_group``."""

import grp
import os
from pathlib import Path

from agent.config.place import Place
from agent.config.settings import Settings
from agent.runtime.errors import Misconfigured, Problem

KEY = "proxy.xds_group"
ALLOWED = "a group of the agent's own user, by name or number"
HIGHEST = 2**32 - 2


def group(settings: Settings) -> int | None:
    """The group's id; None where none is set.

    A number needs no name on this machine. Raises Misconfigured for a name that is none, and for a group to which
    this user can't give a file.
    """
    name = settings.proxy.xds_group
    if not name:
        return None
    found = _id(name)
    if os.geteuid() != 0 and found not in {os.getegid(), *os.getgroups()}:
        wrong = f"is {name!r}, to which this user does not belong and so can't give its socket"
        raise Misconfigured([Problem(KEY, wrong, ALLOWED)])
    return found


def _id(name: str) -> int:
    if name.isascii() and name.isdigit() and int(name) <= HIGHEST:
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):  # ValueError: a name with a NUL
        wrong = f"is {name[:80]!r}, which is no group of this machine"
        raise Misconfigured([Problem(KEY, wrong, ALLOWED)]) from None


def share(place: Place, group: int) -> None:
    """Let the group through the state folder, without a look into it, and make the sockets' folder its own.

    What is made in there belongs to the group as well: the agent reaches Envoy's admin socket, whoever made it.
    Raises Misconfigured.
    """
    try:
        _give(place.folder, group, 0o010)
        place.sockets.mkdir(exist_ok=True, mode=0o700)
        _give(place.sockets, group, 0o2070)
    except OSError as error:
        wrong = f"can't be let into {place.folder}: {error.strerror}"
        raise Misconfigured([Problem(KEY, wrong, "a state.dir of the agent's own user")]) from error


def _give(folder: Path, group: int, rights: int) -> None:
    found = folder.stat()
    if found.st_gid != group:
        os.chown(folder, -1, group)
    if found.st_gid != group or found.st_mode & rights != rights:
        folder.chmod(found.st_mode & 0o7777 | rights)  # chown clears the bit that hands the group on
