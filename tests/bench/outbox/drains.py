"""A relay process that drains a backlog: rows a second, CPU and memory."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.config.sections.outbox import Outbox
from tests.bench.outbox import service

WITHIN = 300.0


@dataclass(frozen=True)
class Point:
    """How far a relay was."""

    at: float
    rows: int
    cpu: float


@dataclass(frozen=True)
class Drain:
    """Over the middle 80 % of the rows."""

    rate: float
    """Rows a second."""
    cpu: float
    """Seconds of the relay's CPU for 1,000 rows."""
    memory: float
    """MB at the most."""


@contextmanager
def relay(folder: Path, outbox: Outbox) -> Iterator["subprocess.Popen[str]"]:
    """A relay process that tells how far it is, for the body."""
    file = service.written(folder, outbox)
    argv = [sys.executable, "-m", "tests.bench.outbox.relay", str(file), "tell"]
    with (folder / "relay.log").open("ab") as log:
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        yield child
    finally:
        child.terminate()
        child.communicate(timeout=30)


def told(child: "subprocess.Popen[str]") -> Point:
    """The next that the relay tells."""
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("told "):
            _, at, rows, cpu = line.split()
            return Point(float(at), int(rows), float(cpu))
    raise SystemExit("the relay ended; see its log")


def drain(folder: Path, outbox: Outbox, rows: int) -> Drain:
    """Commit rows, then start a relay and watch it."""
    asyncio.run(service.prepare(outbox))
    asyncio.run(service.fill(outbox.database, rows))
    ends = time.monotonic() + WITHIN
    with relay(folder, outbox) as child:
        points = [told(child)]
        while points[-1].rows < rows and time.monotonic() < ends:
            points.append(told(child))
        memory = peak(child.pid)
    got = points[-1].rows
    low = next(point for point in points if point.rows >= got * 0.1)
    high = next(point for point in points if point.rows >= got * 0.9)
    count = max(high.rows - low.rows, 1)
    return Drain(count / (high.at - low.at), (high.cpu - low.cpu) / count * 1000, memory)


def peak(pid: int) -> float:
    """MB of memory at the most so far."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
