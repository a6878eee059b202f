"""Consul's health entries, written by anyone → values that are safe to give to Envoy. Pure; never raises."""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache

from agent.model import names
from agent.model.address import Address
from agent.model.catalog import Instance
from agent.registry import advertise


@dataclass(frozen=True)
class Skipped:
    """An entry that was left out."""

    who: str
    """The instance as far as it can be named, fit for a log."""
    reason: str
    """A clause: ``has the port 0``."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node of Consul's."""

    name: str
    birth: int
    """When the catalogue got it, in Consul's own count: one that comes back under its name has another."""


@dataclass(frozen=True)
class Reading:
    """What one answer says about a service."""

    passing: tuple[Instance, ...] = ()
    """Ordered by id; one for an address."""
    present: frozenset[str] = frozenset()
    """Ids of all instances that Consul knows, whatever their state or shape, but those out of sight."""
    routes: tuple[str, ...] = ()
    """Of all instances, passing or not: a critical service keeps its paths at the gateway."""
    namespaces: tuple[str, ...] = ()
    """Of all instances likewise."""
    skipped: tuple[Skipped, ...] = ()
    nodes: tuple[Node, ...] = ()
    """On which the passing instances are; ordered by name."""
    unseen: tuple[Instance, ...] = ()
    """Well but for their node, of which the servers lost sight; in the order of ``passing``. Whether they live is not
    known: a client agent or a server of Consul's that went says nothing about the services."""
    silent: tuple[Instance, ...] = ()
    """Failing only because nobody told Consul of them in time, see ``_untold``; in the order of ``passing``."""


def usable(name: object) -> bool:
    """Whether a registered name can be an upstream's."""
    return isinstance(name, str) and names.is_service(name)


def reading(service: str, rows: Sequence[object]) -> Reading:
    """Sort the entries of one service into instances and what was skipped."""
    passing: dict[Address, Instance] = {}
    unseen: dict[Address, Instance] = {}
    silent: dict[Address, Instance] = {}
    present: set[str] = set()
    routes: set[str] = set()
    namespaces: set[str] = set()
    skipped: list[Skipped] = []
    nodes: set[Node] = set()
    for row in sorted(rows, key=_name):
        try:
            instance, paths, health = _entry(service, _mapping(row))
        except ValueError as error:
            present.add(_name(row))
            skipped.append(Skipped(_shown(_name(row)), str(error)))
            continue
        routes.update(paths)
        namespaces.update(filter(None, (instance.namespace,)))
        if health is _Health.UNSEEN:
            unseen.setdefault(instance.address, instance)
            continue
        present.add(instance.id)
        if health is _Health.PASSING:
            passing.setdefault(instance.address, instance)
            nodes.update(_node(_mapping(row)))
        elif health is _Health.SILENT:
            silent.setdefault(instance.address, instance)
    return Reading(
        tuple(passing.values()),
        frozenset(present),
        tuple(sorted(routes)),
        tuple(sorted(namespaces)),
        tuple(skipped),
        tuple(sorted(nodes, key=lambda node: (node.name, node.birth))),
        tuple(unseen.values()),
        tuple(silent.values()),
    )


def _node(row: Mapping[str, object]) -> tuple[Node, ...]:
    """The instance's node, where the answer tells one."""
    node = row.get("Node")
    name, birth = (node.get("Node"), node.get("CreateIndex")) if isinstance(node, dict) else (None, None)
    return (_shared(name, birth),) if isinstance(name, str) and name and type(birth) is int else ()


@lru_cache(1024)  # a node has instances of many services
def _shared(name: str, birth: int) -> Node:
    return Node(name, birth)


def _entry(service: str, row: Mapping[str, object]) -> tuple[Instance, tuple[str, ...], "_Health"]:
    body, node = _mapping(row.get("Service")), _mapping(row.get("Node") or {})
    identity = body.get("ID")
    if not isinstance(identity, str) or not 0 < len(identity) <= 255 or not identity.isprintable():
        raise ValueError("has no usable id")
    if body.get("Service") != service:
        raise ValueError("is registered under another name")
    if body.get("Kind"):
        raise ValueError("is a proxy or gateway of Consul's own mesh, not a service")
    address = Address(_host(body.get("Address") or node.get("Address")), _port(body.get("Port")))
    meta = {key: value for key, value in _mapping(body.get("Meta") or {}).items() if isinstance(value, str)}
    instance = Instance(
        identity,
        address,
        advertise.offer(meta),
        advertise.zone(meta),
        advertise.namespace(meta),
        advertise.metrics(meta),
    )
    return instance, advertise.routes(meta), _health(row.get("Checks"), ours=advertise.HASH in meta)


class _Health(Enum):
    PASSING = auto()
    UNSEEN = auto()
    SILENT = auto()
    FAILING = auto()


def _health(checks: object, *, ours: bool) -> _Health:
    """An instance without any check is well, as in Consul; ``ours``: Pillion registered it."""
    if checks is None:
        return _Health.PASSING
    if not isinstance(checks, list):
        raise ValueError("has malformed checks")  # noqa: TRY004 - one kind of error for all that is malformed
    failing = [check for check in map(_mapping, checks) if check.get("Status") != "passing"]
    if not failing:
        return _Health.PASSING
    if all(map(_of_gossip, failing)):
        return _Health.UNSEEN
    silent = all(_of_gossip(check) or _untold(check, ours=ours) for check in failing)
    return _Health.SILENT if silent else _Health.FAILING


def _of_gossip(check: Mapping[str, object]) -> bool:
    """Whether this is the check of a node that the servers make of what they hear of its client agent."""
    return check.get("CheckID") == "serfHealth" and not check.get("ServiceID")


def _untold(check: Mapping[str, object], *, ours: bool) -> bool:
    """Whether a check fails because nobody fed it, and not because anybody said so.

    Source: Consul's ``agent/checks/check.go`` for the output of a TTL that is over, and ``agent/agent.go``: an agent
    that starts again makes the checks that it had critical without any output. Who feeds a check may do that, too;
    Pillion always says why.
    """
    said = check.get("Output", "")
    if check.get("Type") != "ttl" or check.get("Status") != "critical" or not isinstance(said, str):
        return False
    return said.startswith("TTL expired") or (ours and not said)


def _host(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("has no address")  # noqa: TRY004
    return _address(value)


@lru_cache(1024)  # a host has instances of many services
def _address(value: str) -> str:
    try:
        found = ipaddress.ip_address(value)
    except ValueError:
        # Envoy's endpoint discovery resolves no names and refuses an update that holds one.
        raise ValueError(f"has the address {_shown(value)!r}, not an IP address") from None
    if found.is_unspecified or found.is_multicast or "%" in value:
        raise ValueError(f"has the address {_shown(value)!r}, which nobody can call")
    return str(found)


def _port(value: object) -> int:
    if type(value) is not int or not 0 < value <= 65535:
        raise ValueError(f"has the port {_shown(str(value))}")
    return value


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ValueError("is not a health entry")  # noqa: TRY004
    return value


def _name(row: object) -> str:
    """The instance's id, empty when there is none to be read."""
    body = row.get("Service") if isinstance(row, dict) else None
    identity = body.get("ID") if isinstance(body, dict) else None
    return identity if isinstance(identity, str) else ""


def _shown(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text[:80])
