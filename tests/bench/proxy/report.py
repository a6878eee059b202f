"""The table and the JSON that are made of the samples."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from tests.bench.proxy.figures import interval, ratio
from tests.bench.proxy.load import Sample

Key = tuple[str, str, int]
"""Upstream, variant, connections."""
Samples = Mapping[Key, Sequence[Sample]]
HOPS = 2


@dataclass(frozen=True)
class Target:
    """What one variant is to reach, of the minimal configuration's requests a second."""

    variant: str
    least: float


TARGETS = (
    Target("off", 0.97),
    Target("versions", 0.88),
    Target("sampled 10 %", 0.82),
    Target("sampled 100 %", 0.5),
)
FEWEST = 5
"""Rounds of which an interval can be made."""
WIDEST = 0.15
"""Of an interval that can tell anything."""
MOST_ADDED = 0.3
"""Milliseconds that the median may grow by a hop."""


HEAD = (
    f"{'upstream':<10}{'variant':<16}{'conn':>5}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'+p50':>8}{'+p99':>8}"
    f"{'CPU us':>8}  {'of minimal':<20}{'by CPU':<20}"
)


def rows(samples: Samples) -> list[dict[str, Any]]:
    """A row for each kind of run."""
    found = []
    for (upstream, variant, connections), runs in samples.items():
        row: dict[str, Any] = {"upstream": upstream, "variant": variant, "connections": connections}
        row |= {name: median([getattr(one, name) for one in runs]) for name in ("rate", "p50", "p99", "cpu")}
        direct, base = samples[upstream, "direct", connections], samples[upstream, "minimal", connections]
        if variant != "direct":
            row["added_p50"] = row["p50"] - median([one.p50 for one in direct])
            row["added_p99"] = row["p99"] - median([one.p99 for one in direct])
            row["ratio"] = interval([one.rate for one in runs], [one.rate for one in base], ratio)
            row["cpu_ratio"] = interval([one.cpu for one in base], [one.cpu for one in runs], ratio)
        found.append(row)
    return found


def verdicts(samples: Samples) -> list[dict[str, Any]]:
    """Each target with what was measured; met when the interval reaches it."""
    found = []
    for target in TARGETS:
        runs, base = samples["nginx", target.variant, 32], samples["nginx", "minimal", 32]
        measured = interval([one.rate for one in runs], [one.rate for one in base], ratio)
        cpu = interval([one.cpu for one in base], [one.cpu for one in runs], ratio)
        found.append({
            "target": f"{target.variant}: >= {target.least} of minimal", "measured": measured, "cpu": cpu,
            "met": measured[2] >= target.least, "sure": _sure(measured, len(runs)),
        })  # fmt: skip
    runs, direct = samples["nginx", "sampled 10 %", 1], samples["nginx", "direct", 1]
    added = interval(
        [one.p50 for one in runs], [one.p50 for one in direct], lambda one, other: (one - other) / HOPS
    )
    found.append({
        "target": f"p50 added by a hop: <= {MOST_ADDED} ms", "measured": added, "cpu": None,
        "met": added[1] <= MOST_ADDED, "sure": _sure(added, len(runs)),
    })  # fmt: skip
    return found


def table(samples: Samples) -> str:
    """Everything, for a terminal."""
    lines = [HEAD]
    for row in rows(samples):
        line = f"{row['upstream']:<10}{row['variant']:<16}{row['connections']:>5}{row['rate']:>9.0f}"
        line += f"{row['p50']:>9.3f}{row['p99']:>9.3f}"
        if "ratio" in row:
            line += f"{row['added_p50']:>8.3f}{row['added_p99']:>8.3f}{row['cpu']:>8.1f}"
            line += f"  {_of(row['ratio']):<20}{_of(row['cpu_ratio']):<20}"
        lines.append(line)
    lines.append("")
    busy = os.getloadavg()[0] - (os.cpu_count() or 1)
    if busy > 1:
        lines.append(
            f"The machine was busy ({busy:.0f} more than its cores): believe the CPU figures, and those loosely."
        )
    for one in verdicts(samples):
        cpu = f", by CPU {_of(one['cpu'])}" if one["cpu"] else ""
        lines.append(f"{_word(one)}  {one['target']:<36} {_of(one['measured'])}{cpu}")
    return "\n".join(lines) + "\n"


def _word(verdict: dict[str, Any]) -> str:
    if not verdict["sure"]:
        return "unsure"
    return "met   " if verdict["met"] else "MISSED"


def _sure(measured: tuple[float, float, float], rounds: int) -> bool:
    """An interval that is wider than the targets are apart, or is of few rounds, says nothing."""
    return rounds >= FEWEST and measured[2] - measured[1] <= WIDEST


def _of(measured: tuple[float, float, float]) -> str:
    return f"{measured[0]:.3f} ({measured[1]:.3f}-{measured[2]:.3f})"
