"""Which Kubernetes this is: older ones have no native sidecars."""

import asyncio
import re

import structlog

from agent.inject.cluster.client import Client
from agent.runtime.backoff import Backoff
from agent.runtime.component import Ready
from agent.runtime.errors import Permanent, PillionError
from agent.runtime.health import Health
from agent.runtime.latest import Latest

log = structlog.get_logger(__name__)

LEAST = (1, 29)
"""From here on init containers that go on running are on by default. Source: Kubernetes, "Sidecar Containers"."""


class Version:
    """Asks the API server for its version before anything else is begun; raises Permanent for one that is too old."""

    name = "cluster"
    stop_budget = 1.0

    def __init__(self, client: Client, known: Latest[str], health: Health) -> None:
        """Writes ``known``: the version as the API server says it."""
        self._client = client
        self._known = known
        self._health = health

    async def run(self, ready: Ready) -> None:
        """Ask until there is an answer, then wait for the end."""
        backoff = Backoff(0.2, 5.0)
        while True:
            try:
                said = str((await self._client.ask("/version")).get("gitVersion", ""))
                break
            except (
                PillionError
            ) as error:  # also a refusal: an API server that has just started knows no roles yet
                self._health.degraded(str(error))
                log.warning("cluster.unknown", error=str(error))
                await asyncio.sleep(backoff.next(getattr(error, "delay", None)))
        check(said)
        log.info("cluster.known", version=said)
        self._known.set(said)
        self._health.ok(said)
        ready()
        await asyncio.Event().wait()


def check(said: str) -> None:
    """Raise Permanent unless ``said`` (such as ``v1.31.2-gke.5``) is a Kubernetes that is new enough."""
    found, least = _number(said), ".".join(map(str, LEAST))
    if found is None:
        raise Permanent(f"the API server says that its version is {said[:40]!r}, which is not Kubernetes'")
    if found < LEAST:
        raise Permanent(
            f"the cluster runs Kubernetes {said[:40]}, but the injector needs {least} or later: before that there are "
            f"no native sidecars, and a pod's service would start without its proxy. Upgrade the cluster"
        )


def lower(one: str, other: str) -> str:
    """The older of two versions: nodes may be older than the API server, and a setting may say so."""
    first, second = _number(one), _number(other)
    return other if first is None or (second is not None and second < first) else one


def _number(said: str) -> tuple[int, int] | None:
    match = re.match(r"v?(\d{1,4})\.(\d{1,4})(?!\d)", said)
    return (int(match[1]), int(match[2])) if match else None
