"""Sources of an agent that is not there."""

from prometheus_client import CollectorRegistry, Counter

from agent.admin.sources import Sources
from agent.model.address import Address
from agent.model.catalog import Catalog, Instance, Service
from agent.model.registration import Registration, ServiceHealth, Verdict
from agent.model.revision import Refusal, Revision
from agent.model.store import Entry, Store
from agent.model.version import Offer, Version
from agent.runtime.health import Board
from agent.runtime.latest import Latest


def sources(*, service: str = "orders", ready: bool = True, **more: object) -> Sources:
    """One of everything, with markup in what comes from others."""
    board = Board(lambda: 5.0)
    board.of("xds").degraded("No Envoy is connected.")
    collectors = CollectorRegistry()
    Counter("pillion_mine", "Mine.", registry=collectors)
    offer = Offer((Version(1), Version(2, 1)))
    instances = (Instance("<script>", Address("127.0.0.1", 9000), offer, "<script>z"),)
    values: dict[str, object] = {
        "facts": {"service": service, "instance": f"{service}-1", "version": "0.1.0"},
        "board": board,
        "collectors": collectors,
        "ready": lambda: (ready, () if ready else ("The service does not answer.",)),
        "serving": lambda: (True, ()),
        "revision": Latest(Revision("a", "b", (Refusal("listener", "a", "<i>bad</i>"),), True)),
        "catalog": Latest(Catalog({"stock": Service("stock", instances)}, ("left",))),
        "ports": {"inbound": 15006},
        "registration": Latest(Registration(True, Verdict(True, "fine"))),
        "service": Latest(ServiceHealth(True, "answers")),
        "verdict": Latest(Verdict(True, "fine")),
        "store": Latest(Store({"feature/limit": Entry(7, b"s3cret")}, 7)),
    }
    return Sources(**{**values, **more})  # type: ignore[arg-type]
