"""Cores to pin to, and what a process used of one."""

import os
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def pinned(core: int, argv: list[str]) -> list[str]:
    """The command on one core only."""
    return ["taskset", "-c", str(core), *argv]


def two() -> tuple[int, int]:
    """The core for Envoy, and the one for load and upstream; the same one where there is no other."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[-1]


def used(pid: int) -> float:
    """Seconds of CPU of all threads so far: to the nanosecond where the kernel keeps it, else in ticks."""
    try:
        tasks = [(task / "schedstat").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
        return sum(int(one.split()[0]) for one in tasks) / 1e9
    except FileNotFoundError:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK
