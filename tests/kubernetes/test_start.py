"""What a sidecar adds to the time from a pod's creation until it is ready."""

import statistics
import time
import uuid

from tests.kubernetes import pods
from tests.kubernetes.install import SHOP
from tests.kubernetes.kube import ready, until
from tests.kubernetes.world import World

PODS = 10
ADDED = 2.0
"""Seconds that the median may grow by."""
SERVE = ["python", "-B", "-m", "http.server", "8000"]


def test_a_sidecar_adds_at_most_two_seconds_to_a_pods_start(world: World) -> None:
    plain, injected = [], []
    for _ in range(PODS):
        plain.append(_start(world, {"pillion.dev/inject": "false"}))
        injected.append(_start(world, {"pillion.dev/inject": "true", "app": "start"}))
    before, after = statistics.median(plain), statistics.median(injected)
    world.record.section(
        f"Start of a pod until it is ready, median of {PODS}",
        [
            f"without a sidecar {before:.2f} s ({min(plain):.2f} to {max(plain):.2f})",
            f"with one {after:.2f} s ({min(injected):.2f} to {max(injected):.2f})",
            f"added {after - before:.2f} s",
        ],
    )
    assert after - before <= ADDED


def _start(world: World, labels: dict[str, str]) -> float:
    """Seconds from asking for a pod until its application answers the kubelet, measured here to a tenth."""
    name = f"start-{uuid.uuid4().hex[:6]}"
    probe = {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1}
    body = pods.spec(
        world.images.full("pillion"),
        SERVE,
        ports=[{"name": "http", "containerPort": 8000}],
        startupProbe=probe,
    )
    began = time.monotonic()
    world.kube.apply(pods.pod(pods.metadata(name, SHOP, labels=labels), body))
    try:
        url = f"{world.api}/api/v1/namespaces/{SHOP}/pods/{name}"
        until(f"{name} is ready", lambda: ready(world.ask(url)), 60, every=0.1)
        return time.monotonic() - began
    finally:
        world.kube.delete("pod", name, SHOP, "--grace-period=1", "--wait=false")
