"""The catalogue as it is planned from: what was checked, and a sentence for what was left out."""

from collections.abc import Iterable
from dataclasses import dataclass

from agent.model.catalog import Catalog, Instance, Service
from agent.model.names import is_service
from agent.proxy.planner import names
from agent.versions import resolve

MOST_ROUTES = 32
"""Path prefixes of one service."""


@dataclass(frozen=True)
class Target:
    """A service to which requests can be sent."""

    name: str
    instances: tuple[Instance, ...] = ()
    """In the order of their ids, with addresses that Envoy can use, none twice."""
    table: resolve.Table | None = None
    """None: the service is not versioned."""
    aliases: tuple[str, ...] = ()
    """Further host names, no other target's."""
    routes: tuple[str, ...] = ()
    """Published path prefixes without a trailing slash; empty: ``/NAME``, stripped."""

    @property
    def cluster(self) -> str:
        """Its Envoy cluster; the underscore keeps it apart from every other cluster of ours."""
        return f"upstream_{self.name}"


def targets(catalog: Catalog, declared: Iterable[str] = ()) -> tuple[Target, ...]:
    """All usable services by name. A ``declared`` name is one even while the registry does not know it."""
    services = {name: service for name, service in catalog.services.items() if is_service(name)}
    for name in declared:
        if is_service(name):
            services.setdefault(name, Service(name, ()))
    taken: set[str] = set()
    return tuple(_target(name, services[name], taken) for name in sorted(services))


def _target(name: str, service: Service, taken: set[str]) -> Target:
    instances = _instances(service)
    aliases = {alias for one in instances for alias in one.aliases if names.is_alias(alias)} - taken
    taken |= aliases
    routes = dict.fromkeys(
        path.rstrip("/") or "/" for path in service.routes if names.is_prefix(path.rstrip("/") or "/")
    )
    return Target(
        name,
        instances,
        resolve.table(one.offer for one in instances),
        tuple(sorted(aliases)),
        tuple(routes)[:MOST_ROUTES],
    )


def _instances(service: Service) -> tuple[Instance, ...]:
    found: dict[tuple[str, int], Instance] = {}
    for one in sorted(service.instances, key=lambda instance: instance.id):
        if names.is_endpoint(one.address):
            found.setdefault((one.address.host, one.address.port), one)
    return tuple(found.values())


def problems(catalog: Catalog) -> tuple[str, ...]:
    """A sentence for each thing of the catalogue that is left out of the plan."""
    found: list[str] = []
    for name, service in sorted(catalog.services.items()):
        if not is_service(name):
            found.append(
                f"The service {name!r} is left out: its name is reserved, or no DNS label in lower case."
            )
            continue
        found += [
            f"The instance {one.id!r} of {name} is left out: {str(one.address)!r} is no IP address and port."
            for one in service.instances
            if not names.is_endpoint(one.address)
        ]
        found += [
            f"The route {path!r} of {name} is left out: it is no plain path prefix of at most 200 characters."
            for path in service.routes
            if not names.is_prefix(path.rstrip("/") or "/")
        ]
    return tuple(found)
