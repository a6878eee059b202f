"""A rolling update under load."""

import time

from tests.kubernetes.install import PILLION, SHOP, SYSTEM
from tests.kubernetes.load import Sent, load
from tests.kubernetes.world import World

RATE = 200
"""Requests a second in all: half from a pod in the mesh, half through the gateway."""
REPLICAS = 3


def rolled(world: World) -> tuple[float, dict[str, Sent]]:
    """Make all pods of inventory anew while requests run; the seconds that took, and what became of the requests."""
    image, kube = world.images.full("pillion"), world.kube
    kube("scale", f"--namespace={SHOP}", "deployment/inventory", f"--replicas={REPLICAS}")
    world.has("inventory", REPLICAS)
    gateway = f"http://{PILLION}-gateway.{SYSTEM}.svc/inventory/stock"
    try:
        with (
            load(kube, image, SHOP, "http://inventory/stock", RATE / 2, mesh=True) as through_mesh,
            load(kube, image, SYSTEM, gateway, RATE / 2) as through_gateway,
        ):
            began = time.monotonic()
            kube("rollout", "restart", f"--namespace={SHOP}", "deployment/inventory")
            kube.rolled_out(SHOP, "deployment/inventory")
            world.has("inventory", REPLICAS)
            took = time.monotonic() - began
        return took, {"through the caller's sidecar": through_mesh, "through the gateway": through_gateway}
    finally:
        kube("scale", f"--namespace={SHOP}", "deployment/inventory", "--replicas=2")
        world.has("inventory", 2)
