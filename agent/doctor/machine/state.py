"""The folder in which an agent keeps what outlives it, and how many files it may open."""

from dataclasses import dataclass

from agent.doctor.finding import Finding, ok, problem, warning

LEAST = 1 << 20
"""Bytes below which a write may fail in its middle: a catalogue of thousands of instances has some hundred kB."""
LITTLE = 64 << 20
"""Bytes below which a person should look."""
FILES = 4096
"""Files that Envoy should be able to open: each request takes two, from the caller and to the service."""


@dataclass(frozen=True)
class Disk:
    """The file system of the folder."""

    free: int
    """Bytes that this user may still write."""
    nodes: int
    """Files that may still be made; negative where that has no bound."""


def unwritable(folder: str, reason: str) -> Finding:
    """``state.dir`` into which nothing can be written."""
    todo = "Give this user the folder, or name another one as state.dir."
    return problem("state.dir", f"the state folder {folder}", f"it can't be written: {reason}", todo)


def too_long(folder: str, longest: int, most: int) -> Finding:
    """``state.dir`` whose sockets no program could open: the longest path has more bytes than can be."""
    found = f"its path is too long for the sockets in it ({longest} bytes, {most} can be)"
    return problem("state.dir", f"the state folder {folder}", found, "Name a shorter one as state.dir.")


def space(folder: str, disk: Disk) -> Finding:
    """``state.space``."""
    subject = f"the disk of the state folder {folder}"
    todo = "Make room there, or name a folder on another disk as state.dir."
    if disk.free < LEAST or disk.nodes == 0:
        harm = "catalogue, ports and snapshot are not kept over a restart"
        what = (
            "no further file can be made" if disk.nodes == 0 else f"it is full ({disk.free // 1024} KiB free)"
        )
        return problem("state.space", subject, f"{what}: {harm}", todo)
    if disk.free < LITTLE:
        return warning("state.space", subject, f"only {disk.free >> 20} MiB are free", todo)
    return ok("state.space", subject, f"{disk.free >> 20} MiB are free")


def files(limit: int, whose: str) -> Finding:
    """``files.limit``; ``limit`` is how many ``whose`` may open, negative where that has no bound."""
    subject = f"how many files {whose} may open"
    if 0 <= limit < FILES:
        found = f"{limit}: beyond {limit // 2} requests at once callers are refused"
        todo = "Raise it where Pillion is started: LimitNOFILE= of systemd, ulimit -n of a shell, --ulimit of Docker."
        return warning("files.limit", subject, found, todo)
    return ok("files.limit", subject, "without bound" if limit < 0 else str(limit))
