"""What the volumes of secrets hold, and every place where a secret could show by mistake."""

import json
from dataclasses import dataclass

from tests.commands import run
from tests.compose.engine import Container, Project

LIST = """
import json, os
found = []
for folder, _, names in os.walk("/secrets"):
    for name in names:
        path = os.path.join(folder, name)
        state = os.stat(path)
        text = open(path).read()
        found.append({"path": path, "mode": state.st_mode & 0o777, "user": state.st_uid, "text": text})
print(json.dumps(found))
"""
SEEN = """
import json, os, sys
texts = {}
for pid in sys.argv[1:]:
    for name in ("cmdline", "environ"):
        try:
            texts[f"{name} of process {pid}"] = open(f"/proc/{pid}/{name}", errors="replace").read()
        except FileNotFoundError:
            pass
print(json.dumps(texts))
"""


@dataclass(frozen=True)
class File:
    """One file in a volume of secrets."""

    path: str
    """As the container that makes the secrets sees it: ``/secrets/CONSUMER/NAME``."""
    mode: int
    user: int
    text: str


def files(project: Project) -> list[File]:
    """All files of all volumes of secrets."""
    maker = project.container("secrets")
    return [File(**entry) for entry in json.loads(_as_root(maker, LIST, "--volumes-from", f"{maker.id}:ro"))]


def values(found: list[File]) -> dict[str, str]:
    """The secrets themselves by name, without the forms that consumers get them in."""
    return {
        file.path.rsplit("/", 1)[1]: file.text.strip()
        for file in found
        if file.path.startswith("/secrets/operator/")
    }


def held(container: Container) -> dict[str, str]:
    """The volumes of secrets that a container mounts: each one's name, and where ``secrets`` mounts it."""
    return {
        mount["Name"]: mount["Destination"]
        for mount in container.raw["Mounts"]
        if mount["Type"] == "volume" and "secrets-" in mount["Name"]
    }


def users(container: Container) -> set[int]:
    """The user ids that a container's processes run as; of an ended one the one it was to run as."""
    if not container.pid:
        return {int(container.raw["Config"]["User"].split(":")[0] or 0)}
    return {int(line) for line in run("docker", "top", container.id, "-eo", "uid,pid").split()[2::2]}


def visible(project: Project) -> dict[str, str]:
    """Every text that others than a secret's consumer may read, by where it is."""
    containers = project.containers()
    texts: dict[str, str] = {}
    pids: list[str] = []
    for name, container in containers.items():
        texts[f"docker inspect of {name}"] = json.dumps(container.raw)
        texts[f"log of {name}"] = run("docker", "logs", container.id, both=True)
        if container.pid:
            pids += run("docker", "top", container.id, "-eo", "pid,uid").split()[2::2]
    seen = _as_root(containers["secrets"], SEEN, "--pid", "host", "--cap-add", "SYS_PTRACE", arguments=pids)
    texts.update(json.loads(seen))
    for image in {str(container.raw["Image"]) for container in containers.values()}:
        texts[f"image {image}"] = run("docker", "image", "inspect", image)
        texts[f"history of {image}"] = run("docker", "history", "--no-trunc", image)
    return texts


def _as_root(like: Container, script: str, *options: str, arguments: list[str] | None = None) -> str:
    """What a script says that runs as root in a container of its own, which is gone then."""
    confined = ("--network", "none", "--read-only", "--cap-drop", "ALL", "--cap-add", "DAC_READ_SEARCH")
    argv = ("--user", "0", "--entrypoint", "python", *options, like.raw["Image"], "-c", script)
    return run("docker", "run", "--rm", *confined, *argv, *(arguments or []))
