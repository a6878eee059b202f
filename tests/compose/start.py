"""Starting the system from nothing, and what that costs."""

import json
import time
from dataclasses import dataclass

from tests.commands import run
from tests.compose.engine import Container, Project

PATIENCE = 300.0
"""Seconds until everything must be healthy."""


@dataclass(frozen=True)
class Start:
    """What building and starting took, in seconds."""

    build: float
    healthy: float
    """From `up -d` until every container is healthy, or ended as it should."""


def start(project: Project) -> Start:
    """Build and start. Raises AssertionError naming what did not get well."""
    began = time.monotonic()
    project.compose("build", within=1500)
    built = time.monotonic()
    project.compose("up", "-d", within=PATIENCE)
    settle(project, PATIENCE)
    return Start(built - began, time.monotonic() - built)


def settle(project: Project, within: float) -> None:
    """Wait until every container is as it should be. Raises AssertionError naming those that are not."""
    deadline = time.monotonic() + within
    while True:
        unwell = {name: one for name, one in project.containers().items() if not one.well}
        if not unwell:
            return
        failed = any(one.failed for one in unwell.values())
        assert not failed, told(unwell)
        assert time.monotonic() < deadline, told(unwell)
        time.sleep(0.3)


def told(containers: dict[str, Container]) -> str:
    """Their states and the end of what each said."""
    return "\n".join(
        f"{name} is {one.state}: {run('docker', 'logs', '--tail', '20', one.id, both=True)}"
        for name, one in sorted(containers.items())
    )


def memory(project: Project) -> dict[str, str]:
    """What each running container uses now, and its limit, as Docker says it."""
    ids = {one.id: name for name, one in project.containers().items() if one.long_running}
    lines = run("docker", "stats", "--no-stream", "--no-trunc", "--format", "{{json .}}", *ids).splitlines()
    return {ids[line["ID"]]: line["MemUsage"] for line in map(json.loads, lines)}


def image_sizes(project: Project) -> dict[str, int]:
    """The size in bytes of each image that the containers run, by its first name."""
    images = sorted({str(one.raw["Image"]) for one in project.containers().values()})
    found = json.loads(run("docker", "image", "inspect", *images))
    return {(image["RepoTags"] or [image["Id"]])[0]: image["Size"] for image in found}
