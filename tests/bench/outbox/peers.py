"""The bench of relays beside this checkout, where it is there: ours and Debezium Server under the same load."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.demo import backing
from tests.bench.outbox.figures import Figures
from tests.ports import free_port

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
DEBEZIUM = {"nats": (7711, 0.074), "redis": (42807, 0.030), "http": (5789, 0.138)}
"""Rows a second and CPU for 1,000 rows that the bench's README says for two quiet cores."""
LEAST = {"nats": 40000, "redis": 45000, "http": 6000}
DRAIN = (("rows_per_s", "rows/s"), ("cpu_s_per_1000", "s"), ("rss_mb", "MB"))
STEADY = (("p50_ms", "ms"), ("p99_ms", "ms"), ("cpu_pct", "%"), ("rss_mb", "MB"))
STRICT = ("missing", "out_of_order")


@dataclass(frozen=True)
class Bench:
    """Where it is, and how long its runs are."""

    folder: Path
    work: Path
    rows: int
    seconds: int

    def run(self, relay: str, sink: str, mode: str) -> dict[str, Any] | None:
        """What one run printed; None where it failed, whose words are in the work folder."""
        ours = {"RELAY_DIR": str(HERE / "pillion")} if relay == "pillion" else {}
        ports = {name: str(free_port()) for name in ("PG_PORT", "SINK_PORT", "HTTP_PORT")}
        env = {
            **os.environ, **ports, **ours, "RELAY": relay, "WORK": str(self.work / f"{relay}-{sink}-{mode}"),
            "PYTHON": os.environ.get("PYTHON", sys.executable), "PILLION_PYTHON": sys.executable,
            "PGBIN": str(backing.postgres_bin()), "NATS_SERVER": backing.binary("nats-server"),
            "ROWS": str(self.rows), "SECONDS_": str(self.seconds), "WARM": str(min(20, self.seconds)),
            "MAX_WAIT": os.environ.get("MAX_WAIT", "60"),
        }  # fmt: skip
        words = ["bash", str(self.folder / "run.sh"), sink, mode]
        done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.stderr.write(f"{relay} {sink} {mode} failed: {done.stderr[-600:]}\n")
            return None
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


def found() -> Path | None:
    """The bench of relays: PEERS, else beside this checkout."""
    named = os.environ.get("PEERS")
    for folder in [Path(named)] if named else [ROOT.parent / "shared/peers/outbox"]:
        if (folder / "run.sh").exists():
            return folder
    return None


def relays() -> list[str]:
    """Ours, and Debezium Server where DBZ_HOME says where its distribution is."""
    return ["pillion", "debezium"] if os.environ.get("DBZ_HOME") else ["pillion"]


def compare(figures: Figures, bench: Bench, sinks: list[str], modes: list[str]) -> None:
    """Run each relay on each broker in turn, and note the figures."""
    for sink in sinks:
        for mode in modes:
            for relay in relays():
                run = bench.run(relay, sink, mode)
                if run is None:
                    continue
                figures.runs.append(run)
                _note(figures, run, relay, sink, mode)


def _note(figures: Figures, run: dict[str, Any], relay: str, sink: str, mode: str) -> None:
    targets: dict[str, float] = {"rss_mb": 80}
    if mode == "drain":
        targets |= {"rows_per_s": LEAST[sink], "cpu_s_per_1000": DEBEZIUM[sink][1]}
    else:
        targets |= {"p50_ms": 6, "p99_ms": 20, "cpu_pct": 20}
    for key, unit in DRAIN if mode == "drain" else STEADY:
        target = targets.get(key) if relay == "pillion" else None
        figures.note(
            f"{relay} {sink} {mode}: {key}",
            run[key],
            unit,
            target,
            "least" if key == "rows_per_s" else "most",
        )
    # The receiver counts the request by which we look whether it is there as an event, so the run ends one early.
    probes = int((relay, sink) == ("pillion", "http"))
    wrong = {key: run[key] for key in STRICT if run[key] > probes * (key == "missing")}
    figures.say(
        f"    duplicates {run['duplicates']}{f', WRONG: {wrong}' if wrong else ''}, the machine's others "
        f"{run['other_cpu_pct']} % of a core, load before {run['load_before']}"
    )
