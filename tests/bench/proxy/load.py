"""The load: wrk for a second or more, and what came of it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.bench.proxy import cores
from tests.bench.proxy.servers import program

SCRIPT = Path(__file__).parent / "result.lua"
PATH = "/api/v2/hello"
TRACE = (
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
    "tracestate: vendor=00f067aa0ba902b7,other=t61rcWkgMzE",
)


@dataclass(frozen=True)
class Sample:
    """One run."""

    rate: float
    """Requests a second."""
    p50: float
    p99: float
    """Milliseconds."""
    cpu: float
    """Microseconds of Envoy for a request; 0 without one."""


def run(port: int, connections: int, seconds: int, core: int, envoy: int | None, *, trace: bool) -> Sample:
    """Load a port over kept connections. ``envoy`` is the process whose CPU is counted, ``trace`` sends a context.

    Ends the run when a request failed: figures of failures mean nothing."""
    argv = [program("wrk", "wrk"), "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "-s", str(SCRIPT)]
    for header in ("Host: orders", *(TRACE if trace else ())):
        argv += ["-H", header]
    before = cores.used(envoy) if envoy else 0.0
    done = subprocess.run(
        cores.pinned(core, [*argv, f"http://127.0.0.1:{port}{PATH}"]),
        capture_output=True,
        text=True,
        check=True,
    )
    spent = (cores.used(envoy) if envoy else 0.0) - before
    words = next(line for line in done.stdout.splitlines() if line.startswith("RESULT")).split()
    requests, took, bad, p50, p99 = map(int, words[1:])
    if bad or not requests:
        raise SystemExit(f"{bad} of {requests} requests to port {port} failed:\n{done.stdout}")
    return Sample(requests / took * 1e6, p50 / 1000, p99 / 1000, spent / requests * 1e6)
