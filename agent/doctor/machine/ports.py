"""The ports that an agent is to listen at."""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass

from agent.doctor.finding import Finding, ok, problem

ID = "ports.free"


@dataclass(frozen=True)
class Taken:
    """An address that can't be had."""

    key: str
    """The setting."""
    address: str
    error: int
    """``errno`` of the try."""
    holder: str = ""
    """Who has it, as a noun; empty where that can't be told."""


def findings(taken: Sequence[Taken], *, ours: bool) -> list[Finding]:
    """``ports.free``; ``ours``: an agent with these settings runs, and has its ports rightly."""
    if not taken:
        return [ok(ID, "the ports of an agent", "all are free")]
    if ours:
        return [ok(ID, "the ports of an agent", "the agent with this state folder has them")]
    return [_finding(one) for one in taken]


def _finding(one: Taken) -> Finding:
    subject = f"{one.address} ({one.key})"
    match one.error:
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT:
            todo = f"Set {one.key} to an address that an interface of this machine has."
            return problem(ID, subject, "no interface of this machine has this address", todo)
        case errno.EACCES:
            todo = f"Set {one.key} to a port from 1024, or give the agent the capability NET_BIND_SERVICE."
            return problem(ID, subject, "this user may not take a port below 1024", todo)
        case number if number != errno.EADDRINUSE:
            found = f"it can't be listened at: {os.strerror(number)}"
            return problem(ID, subject, found, f"Set {one.key} to another address.")
    who = one.holder or "something else, of another user or in another namespace,"
    todo = f"End it, or set {one.key} to another port: 0 is a free one."
    if not one.holder:
        todo = f"`ss -tulnp` as root shows what it is. {todo}"
    return problem(ID, subject, f"{who} has it", todo)
