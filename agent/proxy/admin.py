"""Envoy's own admin API, on its unix socket."""

import asyncio
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from agent.model.address import Address
from agent.proxy.snapshot import Resource
from agent.runtime.errors import Transient

POLL = 0.05
"""Seconds between two looks at what is in flight."""
_ACTIVE = re.compile(r"http\.(?:inbound|gateway)\.downstream_(rq|cx)_active: (\d+)")


class EnvoyAdmin:
    """A client of one Envoy's admin API at ``where``: a unix socket, or an address of an Envoy that is not ours.

    All calls raise Transient when Envoy does not answer within ``timeout`` seconds.
    """

    def __init__(self, where: Path | Address, timeout: float = 2.0) -> None:
        self._where = where
        self._timeout = timeout

    async def listening(self) -> dict[str, Address]:
        """The addresses of the listeners that are up, by listener name."""
        answer = json.loads(await self._call("GET", "/listeners", format="json"))
        return {
            str(one["name"]): Address(where["address"], where["port_value"])
            for one in answer.get("listener_statuses", [])
            if (where := one.get("local_address", {}).get("socket_address"))
        }

    async def counters(self, pattern: str) -> Mapping[str, int]:
        """Counters and gauges whose names match the regular expression, by name."""
        answer = json.loads(await self._call("GET", "/stats", format="json", filter=pattern))
        return {str(one["name"]): int(one["value"]) for one in answer.get("stats", []) if "value" in one}

    async def clusters(self) -> Mapping[str, Any]:
        """Clusters with their instances, as Envoy tells them."""
        answer: Any = json.loads(await self._call("GET", "/clusters", format="json"))
        return answer if isinstance(answer, dict) else {}

    async def histograms(self, pattern: str) -> Mapping[str, Mapping[float, int]]:
        """Histograms that counted and whose names match: by name, the upper bound of each bucket → how many were
        at most so much, since Envoy started.
        """
        query = {"format": "json", "histogram_buckets": "cumulative", "usedonly": "", "filter": pattern}
        answer = json.loads(await self._call("GET", "/stats", **query))
        return {
            str(one["name"]): {float(each["upper_bound"]): int(each["cumulative"]) for each in one["buckets"]}
            for group in answer.get("stats", [])
            for one in group.get("histograms", ())
            if isinstance(one, dict) and "buckets" in one
        }

    async def metrics(self) -> str:
        """All statistics in Prometheus' text form."""
        return (await self._call("GET", "/stats/prometheus", usedonly="")).decode()

    async def config_dump(self) -> Resource:
        """What Envoy holds, as it tells it itself."""
        dump: Any = json.loads(await self._call("GET", "/config_dump", include_eds=""))
        if not isinstance(dump, dict):
            raise Transient(f"Envoy's admin at {self._where} sent no mapping as its config dump")
        return dump

    async def announce(self) -> None:
        """Tell callers to go: every inbound response says ``Connection: close``; all are still served.

        (Measured: ``/healthcheck/fail`` does the same, but to the service's own outbound connections too.)
        """
        await self._call("POST", "/drain_listeners", inboundonly="", graceful="", skip_exit="")

    async def drain(self, within: float) -> bool:
        """Stop taking inbound work and wait until what is in flight has ended, at most ``within`` seconds.

        For the first half of that time late callers are still served, unless all have gone before; then the
        inbound sockets are closed (a new connection is refused, which callers repeat elsewhere) and only
        requests in flight go on. Returns whether all ended in time. Calling it again goes on waiting.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self.announce()
        await self.idle("cx", began + within / 2)
        await self._call("POST", "/drain_listeners", inboundonly="")
        return await self.idle("rq", began + within)

    async def health(self, well: bool) -> None:
        """Set what Envoy's own health check says; while it fails, every response says ``Connection: close``."""
        await self._call("POST", f"/healthcheck/{'ok' if well else 'fail'}")

    async def idle(self, what: str, deadline: float) -> bool:
        """Wait until no connection (``cx``) or request (``rq``) is active, or the loop's clock is past the
        deadline.
        """
        loop = asyncio.get_running_loop()
        while (await self.active())[what]:
            if loop.time() >= deadline:
                return False
            await asyncio.sleep(min(POLL, max(0.0, deadline - loop.time())))
        return True

    async def active(self) -> Mapping[str, int]:
        """Inbound connections (``cx``) and requests (``rq``) that are active, on the gateway's listener as
        well.
        """
        pattern = r"^http\.(inbound|gateway)\.downstream_(rq|cx)_active$"
        text = (await self._call("GET", "/stats", filter=pattern)).decode()
        counts = {"rq": 0, "cx": 0}
        for what, number in _ACTIVE.findall(text):
            counts[what] += int(number)
        return counts

    @property
    def _host(self) -> str:
        return str(self._where) if isinstance(self._where, Address) else "envoy"

    def _connector(self) -> aiohttp.BaseConnector:
        if isinstance(self._where, Address):
            return aiohttp.TCPConnector()
        return aiohttp.UnixConnector(str(self._where))

    async def _call(self, method: str, path: str, **query: str) -> bytes:
        doing = f"asking Envoy's admin at {self._where} for {path}"
        timeout = aiohttp.ClientTimeout(total=self._timeout)
        try:
            async with (
                aiohttp.ClientSession(
                    connector=self._connector(), timeout=timeout, trust_env=False
                ) as session,
                session.request(method, f"http://{self._host}{path}", params=query) as response,
            ):
                body = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Transient(f"{doing} failed: {error or 'no answer in time'}; is Envoy running?") from error
        if response.status != 200:
            raise Transient(f"{doing} was answered {response.status}")
        return body
