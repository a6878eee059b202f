"""``make bench-outbox``. In the environment: PARTS, BROKERS, ROWS, SECONDS, ROUNDS; see docs/outbox-performance.md."""

import asyncio
import os
import tempfile
from pathlib import Path

from agent.config.sections.outbox import Broker
from agent.demo import backing
from agent.outbox.events import Event
from tests.bench.outbox import beside, ceilings, drains, peers, servers, service
from tests.bench.outbox.figures import Figures

PARTS = (os.environ.get("PARTS") or "ceilings,drain,idle,impact,peers").split(",")
BROKERS = (os.environ.get("BROKERS") or ",".join(servers.ALL)).split(",")
ROWS = int(os.environ.get("ROWS", "300000"))
SECONDS = int(os.environ.get("SECONDS", "60"))
ROUNDS = int(os.environ.get("ROUNDS", "5"))
LEAST = {"nats": 40000, "redis": 45000, "http": 6000, "kafka": 25000}
MOST = {"nats": 0.074, "redis": 0.030, "http": 0.138}
"""CPU for 1,000 rows that Debezium Server takes."""


def ours(figures: Figures, folder: Path) -> None:
    """All that needs nothing but this checkout."""
    options = {"shared_buffers": "256MB", "max_wal_size": "4GB", "checkpoint_timeout": "30min"}
    server = backing.Postgres(folder / "postgres", settings=options)
    server.start()
    try:
        sent = _ceilings(figures, server.url) if "ceilings" in PARTS else []
        for name in BROKERS:
            if lacking := servers.missing(name):
                figures.say(f"{name} is left out: {lacking}")
                continue
            if sent:
                with servers.broker(name, folder / f"{name}-alone") as broker:
                    asyncio.run(ceilings.publishing(figures, name, service.settings("", broker).broker, sent))
            if "drain" in PARTS:
                with servers.broker(name, folder / name) as broker:
                    _drain(figures, folder / name, server.url, name, broker)
        if "idle" in PARTS:
            asyncio.run(beside.idle(figures, service.settings(server.url, Broker()), 1_000_000))
        if "impact" in PARTS:
            with servers.broker("nats", folder / "impact") as broker:
                outbox = service.settings(server.url, broker)
                beside.impact(figures, folder / "impact", outbox, 12 * ROUNDS)
    finally:
        server.stop()


def _ceilings(figures: Figures, url: str) -> list[Event]:
    outbox = service.settings(url, Broker())
    asyncio.run(service.prepare(outbox))
    asyncio.run(service.fill(url, min(ROWS, 100_000)))
    asyncio.run(ceilings.fetching(figures, url))
    return asyncio.run(ceilings.reading(figures, outbox))


def _drain(figures: Figures, folder: Path, url: str, name: str, broker: Broker) -> None:
    done = drains.drain(folder, service.settings(url, broker), ROWS)
    figures.note(f"{name}: drain of {ROWS:,}, rows a second", done.rate, "rows/s", LEAST[name], "least")
    figures.note(f"{name}: drain, the relay's CPU for 1,000 rows", done.cpu, "s", MOST.get(name))
    figures.note(f"{name}: drain, memory at the most", done.memory, "MB", 80)


def main() -> None:
    """Measure what PARTS says."""
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="pillion-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        if {*PARTS} & {"ceilings", "drain", "idle", "impact"}:
            ours(figures, folder)
        bench = peers.found() if "peers" in PARTS else None
        if bench is not None:
            sinks = [each for each in BROKERS if each in peers.LEAST and not servers.missing(each)]
            modes = (os.environ.get("MODES") or "drain,steady").split(",")
            peers.compare(figures, peers.Bench(bench, folder, ROWS, SECONDS), sinks, modes)
        elif "peers" in PARTS:
            figures.say("the bench of relays is not there (PEERS): this is our own part alone")
    figures.write()


if __name__ == "__main__":
    main()
