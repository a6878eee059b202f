"""The images: built here by Docker under tags that say what is in them, and brought to a cluster that lacks them."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.commands import run
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.kube import Kube

ROOT = Path(__file__).parents[2]
BUILT: Mapping[str, Path] = {
    "pillion": ROOT,
    "shop-orders": ROOT / "compose/services/orders",
    "shop-inventory": ROOT / "compose/services/inventory",
    "shop-storefront": ROOT / "compose/services/storefront",
}
"""By name, the folder with the Dockerfile."""
SERVERS = ("hashicorp/consul:1.20", "jaegertracing/jaeger:2.13.0", "nats:2-alpine", "postgres:17-trixie")
"""As the chart `infrastructure` has them; stand-ins or the real ones."""


def build() -> dict[str, str]:
    """Build all images; by name the tag."""
    tags = {}
    for name, folder in BUILT.items():
        run("docker", "build", "--quiet", "--tag", f"{name}:kubernetes", str(folder), within=1800)
        tags[name] = _tagged(name, f"{name}:kubernetes")
    for image in SERVERS:
        name = image.partition(":")[0]
        tags[name] = _tagged(name, image)
    return tags


def bring(cluster: Cluster, kube: Kube, tags: Mapping[str, str]) -> list[str]:
    """Load what the cluster's node lacks; what that was."""
    known = {
        name
        for node in kube.every("nodes")
        for image in node["status"].get("images", ())
        for name in image["names"]
    }
    wanted = [f"{name}:{tag}" for name, tag in tags.items()]
    missing = [image for image in wanted if not any(name.endswith(f"/{image}") for name in known)]
    if missing:
        with tempfile.TemporaryDirectory(prefix="pillion-images-") as folder:
            cluster.load(missing, Path(folder))
    return missing


def _tagged(name: str, image: str) -> str:
    """Give an image a tag made of what is in it, so that a cluster's old one is never taken for it."""
    number = run("docker", "image", "inspect", "--format", "{{.Id}}", image).strip().removeprefix("sha256:")
    tag = f"test-{number[:12]}"
    run("docker", "tag", image, f"{name}:{tag}")
    return tag
