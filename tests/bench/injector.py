"""What one replica of the injector stands: time of a review at a given rate, the most in a second, memory.

Run as `make bench-inject`; SECONDS in the environment changes how long each part looks (10). The real process answers
by TLS over connections that are kept open; the caller is a process of its own kind and takes a core for itself.
"""

import asyncio
import base64
import contextlib
import json
import os
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.bench.footprint import cpu, memory
from tests.integration.injector.cluster import MWC, ApiServer
from tests.integration.injector.process import Injector, review, trusting

RATE = 500
"""Reviews a second that a replica is to answer."""
CONNECTIONS = 8
P99, RESIDENT = 20.0, 70.0
"""Milliseconds and MB that are not to be exceeded."""
LARGE = 3 * 1024 * 1024 - 8192
"""Bytes of the largest bodies, all but what is around them."""
CONFIGURATION = f"/apis/admissionregistration.k8s.io/v1/{MWC}/pillion-injector"


def pod() -> dict[str, Any]:
    """A pod as a ReplicaSet makes it: two containers with what one usually writes, 4 KiB as JSON."""
    token = {"name": "kube-api-access-x7k2p", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    probe = {"httpGet": {"path": "/healthz", "port": 8000, "scheme": "HTTP"}, "periodSeconds": 10}
    one = {
        "name": "shop",
        "image": "registry.example.com/shop/shop:1.42.0@sha256:" + "a" * 64,
        "ports": [{"name": "http", "containerPort": 8000, "protocol": "TCP"}],
        "env": [{"name": f"SETTING_{n}", "value": f"the value of setting {n}"} for n in range(20)],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "readinessProbe": probe,
        "livenessProbe": probe,
        "volumeMounts": [token, {"name": "data", "mountPath": "/data"}],
        "terminationMessagePath": "/dev/termination-log",
        "imagePullPolicy": "IfNotPresent",
    }
    other = {**one, "name": "metrics", "ports": [], "env": one["env"][:5]}
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": "shop-7d9c5",
        "uid": "f" * 36,
        "controller": True,
    }
    metadata = {
        "generateName": "shop-7d9c5-",
        "labels": {"app.kubernetes.io/name": "shop", "pod-template-hash": "7d9c5"},
        "annotations": {"checksum/config": "b" * 64},
        "ownerReferences": [owner],
    }
    spec = {
        "containers": [one, other],
        "volumes": [{"name": "data", "emptyDir": {}}, {"name": token["name"], "projected": {"sources": []}}],
        "serviceAccountName": "shop",
        "tolerations": [
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "tolerationSeconds": 300}
        ],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


class Connection:
    """HTTP/1.1 by hand: the caller is not to be what is measured."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, injector: Injector, context: ssl.SSLContext, name: str) -> "Connection":
        return cls(
            *await asyncio.open_connection("127.0.0.1", injector.port, ssl=context, server_hostname=name)
        )

    async def ask(self, body: bytes) -> bytes:
        """The body of the answer, which must be a 200."""
        head = (
            "POST /mutate?timeout=10s HTTP/1.1\r\nHost: injector\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert answer.startswith("http/1.1 200"), answer
        length = int(answer.split("content-length: ", 1)[1].split("\r\n", 1)[0])
        return await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


async def steady(connections: list[Connection], body: bytes, seconds: float) -> list[float]:
    """Milliseconds of each review at the rate, from when it was due."""
    loop = asyncio.get_running_loop()
    times: list[float] = []
    began = loop.time() + 0.1

    async def work(connection: Connection, first: int) -> None:
        for number in range(first, int(RATE * seconds), CONNECTIONS):
            due = began + number / RATE
            await asyncio.sleep(max(0.0, due - loop.time()))
            await connection.ask(body)
            times.append((loop.time() - due) * 1000)

    await asyncio.gather(*(work(one, first) for first, one in enumerate(connections)))
    return times


async def lateness(seconds: float) -> float:
    """The 99th percentile, in milliseconds, of how late this machine wakes a process that only sleeps."""
    loop, late = asyncio.get_running_loop(), list[float]()
    ends = loop.time() + seconds
    while loop.time() < ends:
        due = loop.time() + 0.002
        await asyncio.sleep(0.002)
        late.append((loop.time() - due) * 1000)
    return sorted(late)[int(len(late) * 0.99)]


async def flat_out(connections: list[Connection], body: bytes, seconds: float) -> float:
    """Reviews a second, each connection asking as soon as it was answered."""
    ends, count = time.monotonic() + seconds, 0

    async def work(connection: Connection) -> None:
        nonlocal count
        while time.monotonic() < ends:
            await connection.ask(body)
            count += 1

    await asyncio.gather(*map(work, connections))
    return count / seconds


def large() -> list[bytes]:
    """Bodies of 3 MB: a text, what would be many objects, and the most that a pod may hold."""
    text, many, most = pod(), pod(), pod()
    text["spec"]["containers"][0]["env"] = [{"name": "TEXT", "value": "x" * LARGE}]
    many["spec"]["containers"][0]["env"] = [{"name": "A", "value": ""}] * (LARGE // 30)
    env = [{"name": "PYTHONPATH", "value": "/x"}, *[{"name": "A", "value": "x" * 600}] * 999]
    most["spec"]["containers"] = [{"name": f"c{n}", "image": "x", "env": env} for n in range(4)]
    return [json.dumps(review(object=one)).encode() for one in (text, many, most)]


async def burst(
    connections: list[Connection], others: list[Connection], body: bytes, seconds: float, pid: int
) -> tuple[list[float], float, int]:
    """Milliseconds of ordinary reviews at a tenth of the rate while large bodies come without end, most memory in MB,
    large bodies answered."""
    loop, bodies = asyncio.get_running_loop(), large()
    ends, times, count, most = loop.time() + seconds, list[float](), 0, 0.0

    async def pressing(connection: Connection, first: int) -> None:
        nonlocal count
        while loop.time() < ends:
            await connection.ask(bodies[first % len(bodies)])
            count, first = count + 1, first + 1

    async def ordinary(connection: Connection) -> None:
        nonlocal most
        while loop.time() < ends:
            began = loop.time()
            await connection.ask(body)
            times.append((loop.time() - began) * 1000)
            most = max(most, memory(pid))
            await asyncio.sleep(10 / RATE)

    await asyncio.gather(
        *(pressing(one, first) for first, one in enumerate(others)), *map(ordinary, connections[:1])
    )
    return times, most, count


@contextlib.asynccontextmanager
async def started(folder: Path) -> AsyncIterator[tuple[Injector, list[Connection], list[Connection], bytes]]:
    """The real process, connections to it, and a review."""
    name = "pillion-injector.pillion.svc"
    place = {"service": {"name": "pillion-injector", "namespace": "pillion", "path": "/mutate"}}
    async with ApiServer(folder / "cluster").running() as cluster:
        webhooks = [{"name": "pods.injector.pillion.dev", "clientConfig": place}]
        cluster.put(CONFIGURATION, {"metadata": {"name": "pillion-injector"}, "webhooks": webhooks})
        cluster.namespace("shop", pillion_dev__inject="enabled")
        for n in range(500):
            cluster.namespace(f"other-{n}", team=f"team-{n}")
        injector = Injector(folder / "injector", cluster.environ, cluster.account)
        injector.start()
        try:
            await injector.ready()
            bundle = cluster.objects[CONFIGURATION]["webhooks"][0]["clientConfig"]["caBundle"]
            context = trusting(bundle)
            opened = [await Connection.open(injector, context, name) for _ in range(2 * CONNECTIONS)]
            body = json.dumps(review(object=pod())).encode()
            response = json.loads(await opened[0].ask(body))["response"]
            assert b"pillion" in base64.b64decode(response["patch"])
            yield injector, opened[:CONNECTIONS], opened[CONNECTIONS:], body
            for one in opened:
                one.close()
        finally:
            await injector.stop()


async def main(seconds: float) -> bool:
    """Print the figures; whether all are within their bounds."""
    with tempfile.TemporaryDirectory(prefix="pillion-bench-") as name:
        async with started(Path(name)) as (injector, connections, others, body):
            assert injector.process is not None
            pid = injector.process.pid
            late = await lateness(2)
            await flat_out(connections, body, 1)
            used = cpu(pid)
            times = sorted(await steady(connections, body, seconds))
            used = (cpu(pid) - used) / len(times) * 1000
            most = await flat_out(connections, body, seconds)
            p99, resident = times[int(len(times) * 0.99)], memory(pid)
            beside, peak, count = await burst(connections, others, body, seconds, pid)
            beside.sort()
    sys.stdout.write(
        f"this machine wakes a process that only sleeps {late:.1f} ms late (p99)\n"
        f"a review of {len(body)} bytes over {CONNECTIONS} connections, {seconds:g} s each\n"
        f"  at {RATE}/s: p50 {statistics.median(times):.1f} ms, p99 {p99:.1f} ms (at most {P99:g}), "
        f"longest {times[-1]:.1f} ms, {used:.2f} ms of CPU each\n"
        f"  flat out: {most:.0f} reviews/s (at least {RATE})\n"
        f"  memory: {resident:.1f} MB (at most {RESIDENT:g})\n"
        f"beside bodies of up to 3 MB over {CONNECTIONS} other connections, {count / seconds:.0f} of them a second\n"
        f"  p50 {statistics.median(beside):.1f} ms, p99 {beside[int(len(beside) * 0.99)]:.1f} ms, "
        f"longest {beside[-1]:.1f} ms\n"
        f"  memory: {peak:.1f} MB at most\n"
    )
    return p99 <= P99 and most >= RATE and resident <= RESIDENT


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main(float(os.environ.get("SECONDS", "10")))) else 1)
