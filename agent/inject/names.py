"""Names, ports and folders that nobody in the pod has yet."""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from agent.inject import parts


@dataclass(frozen=True)
class Ports:
    """Where the sidecar listens."""

    outbound: int = 15001
    inbound: int = 15006
    admin: int = 15020
    health: int = 15021
    metrics: int = 15090


@dataclass(frozen=True)
class Names:
    """What things of ours are called in one pod."""

    sidecar: str
    hook: str
    state: str
    config: str
    outbox: str
    token: str
    folder: str
    """Where the hook's volume is mounted in the applications' containers, and in ours."""


def name(wanted: str, taken: Container[str]) -> str:
    """``wanted``, else with the first number behind it that makes it new."""
    return next(one for one in _numbered(wanted) if one not in taken)


def _numbered(wanted: str) -> Iterator[str]:
    yield wanted
    for number in count(2):
        yield f"{wanted}-{number}"


def names(pod: Mapping[str, Any]) -> Names:
    """Names for ``pod``, whose form was checked."""
    every = (*parts.containers(pod), *parts.init_containers(pod))
    volumes = {one["name"] for one in parts.volumes(pod)}
    ephemeral = pod["spec"].get("ephemeralContainers")
    others = (
        [one.get("name") for one in ephemeral if isinstance(one, dict)] if isinstance(ephemeral, list) else []
    )
    return Names(
        sidecar=name("pillion", {*(one["name"] for one in every), *map(str, others)}),
        hook=name("pillion-hook", volumes),
        state=name("pillion-state", volumes),
        config=name("pillion-config", volumes),
        outbox=name("pillion-outbox", volumes),
        token=name("pillion-consul", volumes),
        folder=_folder([mount["mountPath"] for one in every for mount in one.get("volumeMounts") or []]),
    )


def _folder(mounts: Iterable[str]) -> str:
    """A folder that is neither above nor below anything that is mounted."""
    there = [path.rstrip("/") for path in mounts]
    for one in _numbered("/pillion"):
        if not any(f"{path}/".startswith(f"{one}/") for path in there):
            return f"{one}/hook"
    raise AssertionError("names do not end")


def ports(pod: Mapping[str, Any], also: Iterable[int]) -> Ports:
    """Ports for the sidecar that no container of ``pod`` names and that are not among ``also``.

    The usual ones where they are free, else the next above: all containers of a pod share its addresses.
    """
    every = (*parts.containers(pod), *parts.init_containers(pod))
    named = [port.get("containerPort") for one in every for port in parts.ports(one)]
    taken = {port for port in named if type(port) is int} | set(also)
    usual = Ports()
    chosen: dict[str, int] = {}
    for field, wanted in vars(usual).items():
        others = taken | set(chosen.values()) | (set(vars(usual).values()) - {wanted})
        chosen[field] = next(port for port in count(wanted) if port not in others)
    return Ports(**chosen)
