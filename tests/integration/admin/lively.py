"""Sources of an agent with everything, and what other teams may have written into it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from prometheus_client import CollectorRegistry

from agent.admin.history import ASK, LOOK, History
from agent.admin.neighbours import Calls, Count, Neighbours
from agent.admin.sources import Sources
from agent.model.address import Address
from agent.model.catalog import Catalog, Instance, Service
from agent.model.review import Review
from agent.model.revision import Revision
from agent.model.traffic import Buckets, Host, Traffic
from agent.model.version import Offer, Version
from agent.outbox.status import FeedStatus, SetAside, Stopped
from agent.runtime.journal import Journal
from agent.runtime.latest import Latest
from tests.unit.admin.examples import sources

HOSTILE = "<img src=x onerror=\"window.hit='img'\"><script>window.hit='script'</script>'\"&\u202e\x1b[31m"
"""What a name, a zone or a message of others may be."""
NOW = 1_796_000_000.0


@dataclass
class World:
    """What the sources tell, changed by a test while the page is open."""

    now: float = NOW
    traffic: dict[str, Traffic] = field(default_factory=dict)
    catalog: Latest[Catalog] = field(default_factory=lambda: Latest(Catalog(known=True)))
    revision: Latest[Revision] = field(
        default_factory=lambda: Latest(Revision("5f1c0a92e7aa", "5f1c0a92e7aa", connected=True))
    )
    journal: Journal = field(init=False)
    lag: float = 0.04
    slow: dict[str, Buckets] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.journal = Journal(lambda: self.now)

    async def told(self) -> Mapping[str, Traffic]:
        """As Envoy's."""
        return self.traffic

    async def durations(self) -> Mapping[str, Buckets]:
        """As Envoy's."""
        return self.slow

    async def outbox(self) -> tuple[FeedStatus, ...]:
        """As a relay's."""
        aside = SetAside(2, 1, 0, 7, 380.0)
        stop = Stopped(7, 4182, "the broker refused it: message too large", 42.0)
        return (
            FeedStatus(
                "orders", "active", "", "orders-a", 18230, 12.4, self.lag, (stop,) if self.lag > 5 else (),
                set_aside=aside,
            ),
        )  # fmt: skip


def bucket(**counts: int) -> dict[float, int]:
    """A histogram whose bounds are given in milliseconds, as ``_250=3``."""
    return {int(bound.removeprefix("_")) / 1000: count for bound, count in counts.items()}


async def history(world: World) -> History:
    """An hour in which the feed lagged once and calls became slow."""
    made = History(
        world.revision, CollectorRegistry(), world.journal, lambda: world.now,
        outbox=world.outbox, durations=world.durations,
    )  # fmt: skip
    end, world.now = world.now, world.now - 3600
    world.slow = {name: bucket(_25=0, _250=0, _2500=0) for name in ("calls to inventory", "the service")}
    await made.ask()
    for turn in range(int(3600 / LOOK)):
        world.now += LOOK
        away = max(0.0, 1 - abs(turn - 430) / 60)
        world.lag = 0.03 + 0.02 * math.sin(turn / 9) + 14 * away**2
        await made.look()
        if turn % ASK == 0:
            slow = turn // 20
            world.slow = {
                "calls to inventory": bucket(
                    _25=turn * 8, _250=turn * 8 + slow, _2500=turn * 8 + slow + (turn > 600)
                ),
                "the service": bucket(_25=turn * 9, _250=turn * 9 + slow, _2500=turn * 9 + slow),
            }
            await made.ask()
    world.now, world.lag = end, 0.04
    return made


def service(name: str, count: int, *versions: int, port: int = 21000) -> Service:
    """A service with so many instances."""
    offer = Offer(tuple(Version(number) for number in versions))
    instances = tuple(
        Instance(f"{name}-{at}", Address("10.0.3.7", port + at), offer, f"zone-{'ab'[at % 2]}")
        for at in range(count)
    )
    return Service(name, instances)


def fill(world: World) -> None:
    """Some upstreams: well, partly unwell, none passing."""
    services = [service("inventory", 3, 1, 2), service("payments", 2, 3, port=22000), service("mailer", 0)]
    world.catalog.set(Catalog({one.name: one for one in services}, known=True))
    hosts = tuple(
        Host(
            f"10.0.3.7:{21000 + at}",
            ("left out: it kept failing",) if at == 2 else (),
            400 + at,
            31 if at == 2 else 0,
        )
        for at in range(3)
    )
    world.traffic = {
        "inventory": Traffic(hosts, 1203, 31, 29, 27),
        "payments": Traffic((Host("10.0.3.7:22000", (), 88, 0), Host("10.0.3.7:22001", (), 90, 1)), 178, 1, 1, 1,
                            full=("requests",), turned_away=12),
    }  # fmt: skip
    world.journal.add("Envoy's configuration", "accepted", "snapshot 5f1c0a92e7aa")
    world.now += 1
    world.journal.add("live settings", "refused", "traffic.retries: is -1, allowed are 0 to 10")
    world.now += 1
    world.journal.add("values for the service", "accepted", "GREETING, feature/limit")


async def instance(world: World) -> Sources:
    """An agent beside a service."""
    fill(world)
    kept = await history(world)
    return sources(
        facts={"service": "orders", "instance": "orders-shop-7-15006", "version": "0.1.0", "pid": "4711"},
        catalog=world.catalog, revision=world.revision, traffic=world.told, calls=world.told,
        history=kept, outbox=world.outbox, routes=("/orders", "/api/{version}/orders"),
        ports={"inbound": 15006, "outbound": 15001},
    )  # fmt: skip


class Fixed(Neighbours):
    """A system of a few services."""

    def __init__(self) -> None:
        """Nobody is asked."""

    async def calls(self) -> Calls:
        """The same at each time."""
        edges = {
            ("gateway", "storefront"): Count(2210), ("gateway", "orders"): Count(810, 3),
            ("storefront", "orders"): Count(1830), ("storefront", "inventory"): Count(1999),
            ("orders", "inventory"): Count(1203, 31, 29), ("orders", "payments"): Count(178, 1),
            ("payments", "ledger"): Count(170), ("ledger", "payments"): Count(4),
        }  # fmt: skip
        return Calls(edges, ("mailer-0",), 1)


def gateway(world: World) -> Sources:
    """A gateway in front of seven services."""
    shape = {
        "storefront": (2, 1),
        "orders": (2, 1, 2),
        "inventory": (3, 1),
        "payments": (2, 3),
        "ledger": (1, 1),
    }
    services = {name: service(name, count, *versions) for name, (count, *versions) in shape.items()}
    services |= {
        "mailer": service("mailer", 1),
        "a-service-with-a-very-long-name-in-the-mesh": service("x", 1),
    }
    world.catalog.set(Catalog(services, known=True))
    beside = sources(facts={"service": "gateway", "instance": "gateway-edge-1", "version": "0.1.0"})
    return replace(
        beside, catalog=world.catalog, revision=world.revision, traffic=world.told, neighbours=Fixed(),
        registration=None, service=None, verdict=None, store=None, offer=None, ports={"gateway": 10000},
    )  # fmt: skip


def hostile(world: World) -> dict[str, object]:
    """Markup in every text that comes from others."""
    instances = (Instance(HOSTILE, Address("127.0.0.1", 9000), Offer(), HOSTILE),)
    world.catalog.set(Catalog({"stock": Service("stock", instances)}, (HOSTILE,), known=True))
    world.journal.add("live settings", "refused", HOSTILE)
    world.traffic = {"stock": Traffic((Host("127.0.0.1:9000", (HOSTILE,)),))}
    world.slow = {}
    return {
        "review": Latest(Review((HOSTILE,), 1, (HOSTILE,), 1)),
        "facts": {"service": HOSTILE, "instance": HOSTILE, "version": HOSTILE},
        "ready": lambda: (False, (HOSTILE,)),
    }
