"""Measure. ROUNDS (9), SECONDS of each run (1), PROFILE and PARTS in the environment change what is done.

With PROFILE parts of a plan are taken out one by one instead; Envoy's CPU for a request tells what each costs. PROFILE
is ``off`` (no tracing, no versions), ``all`` or ``1`` (both); PARTS names some of the parts, with commas between.
"""

import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median

from agent.demo.process import Process
from agent.proxy.snapshot import Resource
from tests.bench.proxy import cores, envoys, load, report
from tests.bench.proxy.figures import interval
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


def profile(bench: Bench, kinds: str, parts: tuple[str, ...], rounds: int, seconds: int) -> str:
    """What each part of a plan costs: Envoy's CPU for a request with it and without it, turn by turn."""
    port, spans = bench.nginx.port, bench.nginx.spans
    plans = {"off": (False, 0, 0.0), "all": (True, spans, 0.1)}
    lines = [f"{'plan':<6}{'without':<20}{'CPU us/request':>15}{'saves':>8}  {'(95 %)':<18}least{'saves':>8}"]
    for kind in [one for one in plans if kinds in ("1", one)]:
        versions, collector, sample = plans[kind]
        made = partial(envoys.pillion, port, versions=versions, spans=collector, sample=sample)
        whole = bench.envoy(kind, made())
        others = {part: bench.envoy(part, made(without=(part,))) for part in parts}
        others["everything"] = bench.envoy("minimal", envoys.minimal(port))
        pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in others}
        for _ in range(rounds):
            for name, envoy in others.items():
                before, after = (bench.sample(one, port, 32, seconds, trace=False) for one in (whole, envoy))
                pairs[name].append((before.cpu, after.cpu))
        lines += [_line(kind, name, ones) for name, ones in pairs.items()]
    return "\n".join(lines) + "\n"


def _line(kind: str, name: str, pairs: list[tuple[float, float]]) -> str:
    """Medians of the pairs, and the least of each side: what is left when nothing else was busy."""
    saved = [one - other for one, other in pairs]
    middle, low, high = interval(saved, saved, lambda one, _: one)
    least = min(one for one, _ in pairs), min(other for _, other in pairs)
    cost = median([other for _, other in pairs])
    between = f"({low:.1f} to {high:.1f})"
    return f"{kind:<6}{name:<20}{cost:>15.1f}{middle:>8.1f}  {between:<18}{least[1]:>5.1f}{least[0] - least[1]:>8.1f}"


def main() -> None:
    """Measure, print, keep."""
    rounds, seconds = int(os.environ.get("ROUNDS", "9")), int(os.environ.get("SECONDS", "1"))
    for name, package in (("wrk", "wrk"), ("nginx", "nginx-light"), ("taskset", "util-linux")):
        program(name, package)
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bp") as name, ExitStack() as stack:
        bench = Bench(stack, Path(name))
        if os.environ.get("PROFILE"):
            parts = tuple(filter(None, os.environ.get("PARTS", "").split(","))) or tuple(envoys.PARTS)
            text = profile(bench, os.environ["PROFILE"], parts, rounds, seconds)
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
