"""Whether the carry hook works in the service, and if not, why."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.doctor.finding import Finding, absent, ok, warning

ID = "carry.active"
SUBJECT = "the carry hook in the service"
OFF = frozenset({"off", "0", "false", "no"})
GENERAL = (
    "Start the service's Python without -S, -I and -E and with the PYTHONPATH that it is given; "
    "or set tracing.carry to false."
)


@dataclass(frozen=True)
class Process:
    """A process of the service."""

    pid: int
    argv: tuple[str, ...]
    environment: Mapping[str, str] | None
    """As it was started with; None where this user may not see it."""
    first: tuple[str, ...] = ()
    """Files ``sitecustomize`` that its PYTHONPATH finds, in order."""

    @property
    def is_python(self) -> bool:
        """Whether a Python runs, also a script's: the kernel puts the interpreter first."""
        return bool(self.argv) and os.path.basename(self.argv[0]).startswith(("python", "pypy"))  # noqa: PTH119


def finding(
    told: Mapping[str, Any], detail: str, processes: Sequence[Process], site: str,
    isolated: Callable[[Sequence[str]], str],
) -> list[Finding]:  # fmt: skip
    """``carry.active``. ``told`` is the agent's word on it, ``detail`` what its component says before the start.

    ``site`` is the hook's folder; ``isolated`` says why the Python of a command never finds it.
    """
    active, answers = told.get("active"), told.get("answers")
    if active == "yes":
        return [ok(ID, SUBJECT, "it is in the service's answers")]
    if not told:
        return []
    why = _why(processes, site, isolated)
    if active != "no":
        if not detail and not why:
            return [absent(ID, SUBJECT, "the service has not answered anything yet")]
        return [_off("the service has answered nothing yet", why, detail)]
    return [_off(f"it is in none of {answers} answers: traces end there", why, detail)]


def _off(found: str, why: tuple[str, str] | None, detail: str) -> Finding:
    if why is not None:
        return warning(ID, SUBJECT, f"{found}; {why[0]}", why[1])
    return warning(ID, SUBJECT, f"{found}; {detail}" if detail else found, GENERAL)


def _why(
    processes: Sequence[Process], site: str, isolated: Callable[[Sequence[str]], str]
) -> tuple[str, str] | None:
    """What keeps the hook out of the service's processes, and what to do; None where nothing is seen."""
    for one in processes:
        if one.is_python and (reason := isolated(one.argv)):
            return f"process {one.pid} is {reason}", GENERAL
    for one in processes:
        if one.is_python and (found := _environment(one, site)) is not None:
            return found
    if processes and not any(one.is_python for one in processes):
        return (
            "none of its processes is a Python",
            "Set tracing.carry to false: the hook is for services in Python.",
        )
    return None


def _environment(one: Process, site: str) -> tuple[str, str] | None:
    if one.environment is None:
        return None
    if one.environment.get("PILLION_CARRY", "").strip().lower() in OFF:
        return f"PILLION_CARRY is off in process {one.pid}", "Take it out of the service's environment."
    path = one.environment.get("PYTHONPATH", "").split(os.pathsep)
    if site not in path:
        todo = f"Keep {site} in the PYTHONPATH that the service's start script sets."
        return f"process {one.pid} has a PYTHONPATH without {site}: something between sets it anew", todo
    before = [file for file in one.first if os.path.dirname(file) != site]  # noqa: PTH120
    if one.first and before and one.first[0] in before:
        todo = f"Put {site} before its folder in PYTHONPATH: the hook runs the one behind it."
        return f"process {one.pid} finds {before[0]} first, which is loaded in its place", todo
    return None
