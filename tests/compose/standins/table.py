"""The images that the Compose file and the Dockerfiles start from, and what a stand-in of each is made of."""

import re
from dataclasses import dataclass
from pathlib import Path

LABEL = "dev.pillion.stand-in"
FOLDER = Path(__file__).parent / "images"


@dataclass(frozen=True)
class Image:
    """One image. ``images/FOLDER`` has its Dockerfile and the files that go into it."""

    tag: str
    """Name and tag: the official image's, which the stand-in takes."""
    folder: str
    programs: tuple[str, ...] = ()
    """Components of ``agent.demo.components``, built or unpacked, that the Dockerfile copies by these names."""
    given: tuple[str, ...] = ()
    """Files that are made on this machine, keys of ``context.GIVEN``."""
    kind: str = "true"
    """The label's value: ``true`` for the real program, ``placeholder`` where it could not be had."""

    @property
    def dockerfile(self) -> Path:
        """How the stand-in is built."""
        return FOLDER / self.folder / "Dockerfile"


BASES = (
    Image("pillion-stand-in/debian:trixie", "debian", given=("root.tar", "certificates")),
    Image("pillion-stand-in/busybox:trixie", "busybox"),
)
"""What stand-ins stand on; these names exist on this machine only."""

IMAGES = (
    Image("python:3.13-slim-trixie", "python", given=("pip.conf",)),
    Image("postgres:17-trixie", "postgres"),
    Image("hashicorp/consul:1.20", "consul", programs=("consul",)),
    Image("nats:2-alpine", "nats", programs=("nats-server",)),
    Image("apache/kafka:4.2.2", "kafka", given=("kafka", "java")),
    Image("jaegertracing/jaeger:2.13.0", "jaeger", programs=("jaeger",)),
    Image("prom/prometheus:v3.16.0", "prometheus", programs=("prometheus", "promtool")),
    Image("prom/alertmanager:v0.31.1", "alertmanager", programs=("alertmanager",)),
    Image("grafana/grafana:12.2.0", "grafana", kind="placeholder"),
)
"""The official images, in the order in which they are made."""


def bases_of(dockerfile: str) -> tuple[str, ...]:
    """The images that a Dockerfile's text starts from, its own stages not among them."""
    lines = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", dockerfile, re.MULTILINE)
    stages = {stage for _, stage in lines}
    return tuple(dict.fromkeys(image for image, _ in lines if image != "scratch" and image not in stages))
