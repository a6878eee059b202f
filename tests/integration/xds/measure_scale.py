"""What a thousand clusters of ten endpoints cost; run this file with pytest -s to see it."""

import asyncio
import sys
import time
from pathlib import Path

from agent.demo.backing import free_port
from agent.proxy.snapshot import Resource, Snapshot
from tests.integration.xds.rig import Agent, Envoy, cluster, listener

CLUSTERS = 1000


def rss(pid: int | str) -> int:
    """Resident megabytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4 // 1024


def load(name: str, number: int, turn: int = 0) -> Resource:
    """Ten endpoints, one of which changes with the turn."""
    hosts = [f"10.{number // 250}.{number % 250}.{host + 1}" for host in range(9)] + [
        f"10.9.9.{turn % 250 + 1}"
    ]
    found = [
        {"endpoint": {"address": {"socket_address": {"address": host, "port_value": 80}}}} for host in hosts
    ]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": found}]}


async def test_a_thousand_clusters(agent: Agent, envoy: Envoy) -> None:
    names = [f"c{number}" for number in range(CLUSTERS)]
    hosts = [
        {"name": name, "domains": [name], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": name}}]}
        for name in names
    ]
    clusters = {name: cluster(name) for name in names}
    endpoints = {name: load(name, number) for number, name in enumerate(names)}
    listeners = {"in": listener("in", free_port(), "r")}
    routes = {"r": {"name": "r", "validate_clusters": True, "virtual_hosts": hosts}}
    async with agent.running():
        envoy.start()
        before = rss("self")
        began = time.perf_counter()
        await agent.in_force(Snapshot(clusters, endpoints, listeners, routes), within=60)
        sys.stdout.write(f"\nall in force after {time.perf_counter() - began:.2f} s\n")
        await asyncio.sleep(3)
        sys.stdout.write(f"RSS: agent {before} -> {rss('self')} MB, Envoy {rss(envoy.pid or 0)} MB\n")
        times, cpu = [], time.process_time()
        for turn in range(100):
            number = turn * 7 % CLUSTERS
            endpoints = {**endpoints, names[number]: load(names[number], number, turn + 1)}
            wanted = Snapshot(clusters, endpoints, listeners, routes)
            began = time.perf_counter()
            agent.snapshots.set(wanted)
            await agent.revision.until(lambda now, wanted=wanted: now.in_force == wanted.hash)
            times.append((time.perf_counter() - began) * 1000)
        times.sort()
        cost = (time.process_time() - cpu) * 10
        sys.stdout.write(
            f"one endpoint change: p50 {times[50]:.1f} ms, p99 {times[98]:.1f} ms, CPU {cost:.1f} ms each\n"
        )
        sys.stdout.write(f"RSS: agent {rss('self')} MB\n")
        assert times[50] < 500
