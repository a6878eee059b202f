"""Measure. ROUNDS (9), SECONDS of each run (1) and PROFILE in the environment change what is done.

With PROFILE the parts of a plan are taken out one by one instead; Envoy's CPU for a request tells what each costs.
"""

import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from agent.demo.process import Process
from agent.proxy.snapshot import Resource
from tests.bench.proxy import cores, envoys, load, report
from tests.bench.proxy.servers import Gunicorn, Nginx, program

OUT = Path("build")
CONNECTIONS = (1, 32)


class Bench:
    """The servers, and the runs on them."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self.envoy_core, self.load_core = cores.two()
        self.nginx = Nginx(folder / "nginx", self.load_core)
        self.gunicorn = Gunicorn(folder / "gunicorn", self.load_core)
        self.running(self.nginx)
        self.running(self.gunicorn)

    def running(self, process: Process) -> None:
        """Start it; it ends with the run."""
        process.start()
        self._stack.callback(process.stop, 5)

    def envoy(self, name: str, made: tuple[Resource, int]) -> envoys.Envoy:
        """An Envoy on this configuration."""
        config, port = made
        folder = self._folder / f"e{len(list(self._folder.iterdir()))}"
        envoy = envoys.Envoy(name, folder, config, port, self.envoy_core)
        self.running(envoy)
        return envoy

    def variants(self, upstream: int) -> dict[str, envoys.Envoy]:
        """All that are compared."""
        spans = self.nginx.spans
        made = {
            "minimal": envoys.minimal(upstream),
            "off": envoys.pillion(upstream),
            "versions": envoys.pillion(upstream, versions=True),
            "unsampled": envoys.pillion(upstream, versions=True, spans=spans),
            "sampled 10 %": envoys.pillion(upstream, versions=True, spans=spans, sample=0.1),
            "sampled 100 %": envoys.pillion(upstream, versions=True, spans=spans, sample=1.0),
        }
        return {name: self.envoy(name, one) for name, one in made.items()}

    def sample(
        self, envoy: envoys.Envoy | None, port: int, connections: int, seconds: int, *, trace: bool
    ) -> load.Sample:
        """One run."""
        pid = envoy.pid if envoy else None
        return load.run(envoy.port if envoy else port, connections, seconds, self.load_core, pid, trace=trace)


def measured(bench: Bench, rounds: int, seconds: int) -> dict[report.Key, list[load.Sample]]:
    """All runs, round by round, so that a busy moment of the machine meets all variants alike."""
    upstreams = {"nginx": bench.nginx.port, "gunicorn": bench.gunicorn.port}
    made = {name: bench.variants(port) for name, port in upstreams.items()}
    few = ("minimal", "off", "sampled 10 %")  # the service itself is what takes time there
    samples: dict[report.Key, list[load.Sample]] = {}
    for number in range(rounds + 1):  # the first one warms up
        for upstream, port in upstreams.items():
            kinds: dict[str, envoys.Envoy | None] = {"direct": None, **made[upstream]}
            for variant, envoy in kinds.items():
                if upstream == "gunicorn" and envoy and variant not in few:
                    continue
                for connections in CONNECTIONS:
                    # A sampler asks the caller's context first: where shares are sampled there must be none.
                    one = bench.sample(
                        envoy, port, connections, seconds, trace=variant in ("versions", "unsampled")
                    )
                    if number:
                        samples.setdefault((upstream, variant, connections), []).append(one)
        sys.stderr.write(f"round {number} of {rounds}\n")
    return samples


def profile(bench: Bench, rounds: int, seconds: int) -> str:
    """What each part of the fullest plan costs: Envoy's CPU for a request with and without it."""
    port, spans = bench.nginx.port, bench.nginx.spans
    made = {"minimal": envoys.minimal(port)}
    for kind, (versions, collector, sample) in {
        "off": (False, 0, 0.0), "all, 10 %": (True, spans, 0.1),
    }.items():  # fmt: skip
        made[kind] = envoys.pillion(port, versions=versions, spans=collector, sample=sample)
        for part in envoys.PARTS:
            made[f"{kind} without {part}"] = envoys.pillion(
                port, versions=versions, spans=collector, sample=sample, without=(part,)
            )
    running = {name: bench.envoy(name, one) for name, one in made.items()}
    costs: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(rounds):
        for name, envoy in running.items():
            costs[name].append(bench.sample(envoy, port, 32, seconds, trace=False).cpu)
    middle = {name: sorted(ones)[len(ones) // 2] for name, ones in costs.items()}
    lines = [f"{'configuration':<40}{'CPU us/request':>15}{'saves':>8}"]
    for name, cost in middle.items():
        whole = middle[name.partition(" without ")[0]]
        lines.append(f"{name:<40}{cost:>15.2f}{whole - cost:>8.2f}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, keep."""
    rounds, seconds = int(os.environ.get("ROUNDS", "9")), int(os.environ.get("SECONDS", "1"))
    for name, package in (("wrk", "wrk"), ("nginx", "nginx-light"), ("taskset", "util-linux")):
        program(name, package)
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bp") as name, ExitStack() as stack:
        bench = Bench(stack, Path(name))
        if os.environ.get("PROFILE"):
            text = profile(bench, rounds, seconds)
            (OUT / "bench-proxy-profile.txt").write_text(text)
        else:
            samples = measured(bench, rounds, seconds)
            text = report.table(samples)
            content = {
                "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "rounds": rounds, "seconds": seconds,
                "load": os.getloadavg(), "cores": cores.two(), "rows": report.rows(samples),
                "targets": report.verdicts(samples),
            }  # fmt: skip
            (OUT / "bench-proxy.json").write_text(json.dumps(content, indent=1))
            (OUT / "bench-proxy.txt").write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
