"""What the carry hook costs: CPU time of an incoming request, of an outgoing call and of a start, and memory.

Run as `make bench-carry`. Two interpreters, one with the hook, take turns; of each pair of turns the difference is
taken, and of the differences the median with its 95 % interval. Written as a table, and as JSON to build/.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from agent import carry
from tests.bench import carry_worker

WORKER = Path(carry_worker.__file__)
ROUNDS = 41
STARTS = 31
TARGETS = {"incoming request": 20.0, "outgoing call": 10.0}
"""Microseconds that may be reached, for rows whose name begins so."""
CASES = {
    # row: (case, turns in a round, what one turn holds of it, case to take off first)
    "incoming request, plain WSGI": ("incoming", 2000, 1, ""),
    "incoming request, streamed in two parts": ("incoming-stream", 2000, 1, ""),
    "incoming request, Flask": ("incoming-flask", 300, 1, ""),
    "outgoing call, the first of its request": ("first-call", 600, 1, "incoming"),
    "outgoing call, http.client": ("calls", 60, carry_worker.CALLS, ""),
    "outgoing call out of the mesh": ("calls-elsewhere", 60, carry_worker.CALLS, ""),
    "outgoing call, httpx, beside headers by hand": ("calls-httpcore", 12, carry_worker.CALLS, ""),
    "work given to an executor": ("executor", 300, 1, "incoming"),
}


@dataclass(frozen=True)
class Row:
    """One measured difference; ``low`` and ``high`` bound the median with 95 %."""

    what: str
    unit: str
    without: float
    added: float
    low: float
    high: float
    target: float | None = None


class Worker:
    """One of the two interpreters."""

    def __init__(self, env: dict[str, str]) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER)], stdin=pipe, stdout=pipe, env=env, text=True
        )

    def ask(self, case: str, times: int) -> float:
        """Its answer to one line."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{case} {times}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def environments() -> tuple[dict[str, str], dict[str, str]]:
    """Without and with the hook."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PILLION_CARRY")}
    return plain, {**plain, **carry.environment(plain)}


def row(what: str, unit: str, without: Sequence[float], added: Sequence[float]) -> Row:
    """The median of the differences, with the interval that order statistics give."""
    ordered = sorted(added)
    half = 0.98 * len(ordered) ** 0.5
    low = ordered[max(0, int(len(ordered) / 2 - half))]
    high = ordered[min(len(ordered) - 1, int(len(ordered) / 2 + half))]
    target = next((value for name, value in TARGETS.items() if what.startswith(name)), None)
    return Row(what, unit, statistics.median(without), statistics.median(ordered), low, high, target)


def calls() -> list[Row]:
    """What is paid at each request and call."""
    plain, hooked = environments()
    found: list[Row] = []
    bases: dict[str, float] = {}
    with Worker(plain) as without, Worker(hooked) as with_hook:
        for what, (case, times, parts, base) in CASES.items():
            for worker in (without, with_hook):
                worker.ask(case, times)  # what is made at first use
            pairs = [
                (without.ask(case, times) / 1000, with_hook.ask(case, times) / 1000) for _ in range(ROUNDS)
            ]
            off = bases.get(base, 0.0)
            one = row(
                what, "µs", [plain / parts for plain, _ in pairs], [(b - a - off) / parts for a, b in pairs]
            )
            bases[case] = one.added
            found.append(one)
        memory = [worker.ask("memory", 0) for worker in (without, with_hook)]
    grown = memory[1] - memory[0]
    return [*found, Row("memory of a service with Flask and httpcore", "kB", memory[0], grown, grown, grown)]


def starts() -> list[Row]:
    """What is paid at each start of an interpreter."""
    memory = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    times: list[tuple[float, float]] = []
    sizes: list[tuple[float, float]] = []
    for _ in range(STARTS):
        one = [_started(env, memory) for env in environments()]
        times.append((one[0][0], one[1][0]))
        sizes.append((one[0][1], one[1][1]))
    return [
        row("start of an interpreter", "ms", [a for a, _ in times], [b - a for a, b in times]),
        row("memory after a start", "kB", [a for a, _ in sizes], [b - a for a, b in sizes]),
    ]


def _started(env: dict[str, str], program: str) -> tuple[float, float]:
    """Milliseconds of CPU time, and what the program prints."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    argv = [sys.executable, "-c", program]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used * 1000, float(done.stdout)


def main() -> None:
    """Measure, print, write."""
    rows = [*calls(), *starts()]
    out = sys.stdout.write
    out(f"the carry hook on Python {sys.version.split()[0]}: medians of {ROUNDS} rounds in turns\n")
    out(f"  {'':<44}{'without':>10}{'added':>9}{'95 % interval':>18}{'target':>9}\n")
    for one in rows:
        target = "" if one.target is None else f"{one.target:g}"
        interval = f"{one.low:.2f} to {one.high:.2f}"
        out(f"  {one.what:<44}{one.without:>10.2f}{one.added:>9.2f}{interval:>18}{target:>9} {one.unit}\n")
    folder = Path("build")
    folder.mkdir(exist_ok=True)
    report = {"python": sys.version.split()[0], "rounds": ROUNDS, "rows": [asdict(one) for one in rows]}
    (folder / "bench-carry.json").write_text(json.dumps(report, indent=2) + "\n")
    missed = [one.what for one in rows if one.target is not None and one.high > one.target]
    if missed:
        out(f"not within the target: {'; '.join(missed)}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
