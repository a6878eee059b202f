"""The Consul of a fleet: what it counts itself, and the instance that flaps."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

INTERVAL = 10.0
"""Seconds over which Consul's own telemetry adds up."""
REQUESTS = "consul.api.http"
FLAPPING = "flapping"
"""The service whose second instance flaps; the first always passes."""


@dataclass
class Telemetry:
    """Consul's own metrics, by the interval in which they were counted."""

    requests: dict[str, int] = field(default_factory=dict)
    """HTTP requests that were answered, by the interval."""
    gauges: dict[str, float] = field(default_factory=dict)
    """The newest values."""

    def take(self, told: dict[str, Any]) -> None:
        """Take in an answer of ``/v1/agent/metrics``, which is about the last interval that is over."""
        counted = [one["Count"] for one in told.get("Samples") or () if one["Name"] == REQUESTS]
        self.requests[told["Timestamp"]] = sum(counted)
        self.gauges = {one["Name"]: one["Value"] for one in told.get("Gauges") or () if not one["Labels"]}

    @property
    def rate(self) -> float:
        """Requests a second, over the intervals that were over since the first look."""
        whole = list(self.requests.values())[1:]
        return sum(whole) / (len(whole) * INTERVAL) if whole else 0.0


@asynccontextmanager
async def telemetry(session: aiohttp.ClientSession, url: str) -> AsyncIterator[Telemetry]:
    """Consul's metrics for a while; these looks are among what they count."""
    found = Telemetry()

    async def look() -> None:
        while True:
            async with session.get(f"{url}/v1/agent/metrics") as response:
                found.take(await response.json())
            await asyncio.sleep(INTERVAL / 2)

    task = asyncio.create_task(look(), name="telemetry")
    try:
        yield found
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Flapping:
    """A service of two instances, one of which is well and ill by turns."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def register(self) -> None:
        """Have Consul know both."""
        for number in (0, 1):
            check = {"CheckID": f"{FLAPPING}-{number}", "TTL": "24h", "Status": "passing"}
            body = {
                "ID": f"{FLAPPING}-{number}",
                "Name": FLAPPING,
                "Address": "127.0.0.1",
                "Port": 9000 + number,
                "Check": check,
            }
            await self._put("/v1/agent/service/register", body)

    async def turn(self, *, passing: bool) -> None:
        """Change the state of the second one."""
        await self._put(f"/v1/agent/check/{'pass' if passing else 'fail'}/{FLAPPING}-1", None)

    async def _put(self, path: str, body: Any) -> None:
        async with self._session.put(f"{self._url}{path}", json=body) as response:
            assert response.status == 200, f"PUT {path}: {response.status} {await response.text()}"
