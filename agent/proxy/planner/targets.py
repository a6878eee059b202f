"""The catalogue as it is planned from: what was checked, and a sentence for what was left out."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, partial

from agent.model.catalog import Catalog, Instance, Service
from agent.model.names import is_service
from agent.model.version import Version
from agent.proxy.planner import names
from agent.proxy.planner.memo import Memo
from agent.proxy.planner.reach import Reach
from agent.versions import resolve

MOST_ROUTES = 32
"""Path prefixes of one service."""
MOST_NAMESPACES = 16
"""Namespaces of one service that get a cluster of their own."""
ANYWHERE = Reach()


@dataclass(frozen=True)
class Target:
    """A service to which requests can be sent."""

    name: str
    instances: tuple[Instance, ...] = ()
    """In the order of their ids, with addresses that Envoy can use, none twice."""
    table: resolve.Table | None = None
    """None: the service is not versioned."""
    namespaces: tuple[str, ...] = ()
    """Kubernetes namespaces of its instances, passing or not; empty text stands for those in none."""
    scope: str = ""
    """The one namespace whose instances these are; empty: all instances."""
    routes: tuple[str, ...] = ()
    """Published path prefixes without a trailing slash; empty: ``/NAME``, stripped."""

    @property
    def cluster(self) -> str:
        """Its Envoy cluster; the underscore keeps it apart from every other cluster of ours."""
        return f"upstream_{self.name}_{self.scope}" if self.scope else f"upstream_{self.name}"

    @cached_property
    def partly(self) -> bool:
        """Some of its instances serve versions and others declare none, as while the first ones are rolled out."""
        return self.table is not None and not all(self.serves(one) for one in self.instances)

    def serves(self, instance: Instance) -> tuple[Version, ...]:
        """The routed versions that an instance serves."""
        versions = self.table.versions if self.table else ()
        return tuple(version for version in versions if version in instance.offer.serves)

    @property
    def title(self) -> str:
        """Names it among all targets, as a host name would."""
        return f"{self.name}.{self.scope}" if self.scope else self.name

    @property
    def one_namespace(self) -> str:
        """The namespace in which all its instances are; empty when there is no such one."""
        return self.namespaces[0] if len(self.namespaces) == 1 else ""


def targets(
    catalog: Catalog, declared: Iterable[str] = (), memo: Memo | None = None, reach: Reach = ANYWHERE
) -> tuple[Target, ...]:
    """All usable services by name, with the instances in ``reach``. A ``declared`` name is one even while the
    registry does not know it. ``reach`` follows from what the memo's plan began with."""
    services = {name: Service(name, ()) for name in declared if name not in catalog.services}
    for name, one in catalog.services.items():
        services[name] = one if one.name == name else replace(one, name=name)
    make = partial(_usable, reach=reach)
    found = (memo or Memo()).each("targets", dict(sorted(services.items())), make)
    return tuple(target for target in found.values() if target is not None)


def with_scopes(targets: Iterable[Target], memo: Memo) -> list[Target]:
    """Each target, followed by those of its single namespaces."""
    scopes = memo.each("scopes", {one.name: one for one in targets}, lambda one: (one, *scoped(one)))
    return [one for scope in scopes.values() for one in scope]


def _usable(service: Service, reach: Reach) -> Target | None:
    return _target(service.name, service, reach) if is_service(service.name) else None


def scoped(target: Target) -> tuple[Target, ...]:
    """A target for each namespace, where a service has instances in several or elsewhere too: who calls
    ``orders.test.svc`` is not to meet those of ``orders.shop.svc``."""
    if len(target.namespaces) < 2:
        return ()
    return tuple(
        replace(target, instances=here, table=resolve.table(one.offer for one in here), scope=namespace)
        for namespace in [one for one in target.namespaces if one][:MOST_NAMESPACES]
        for here in [tuple(one for one in target.instances if one.namespace == namespace)]
    )


def _target(name: str, service: Service, reach: Reach) -> Target:
    instances = _instances(service, reach)
    within = {*service.namespaces, *(one.namespace for one in instances)}
    routes = dict.fromkeys(
        path.rstrip("/") or "/" for path in service.routes if names.is_prefix(path.rstrip("/") or "/")
    )
    return Target(
        name,
        instances,
        resolve.table(one.offer for one in instances),
        tuple(sorted(one for one in within if not one or names.is_namespace(one))),
        routes=tuple(routes)[:MOST_ROUTES],
    )


def _instances(service: Service, reach: Reach) -> tuple[Instance, ...]:
    found: dict[tuple[str, int], Instance] = {}
    for one in sorted(service.instances, key=lambda instance: instance.id):
        if not reach.wrong(one.address):
            found.setdefault((one.address.host, one.address.port), one)
    return tuple(found.values())


def problems(catalog: Catalog, reach: Reach = ANYWHERE) -> tuple[str, ...]:
    """A sentence for each thing of the catalogue that is left out of a plan with this ``reach``."""
    found: list[str] = []
    for name, service in sorted(catalog.services.items()):
        if not is_service(name):
            found.append(
                f"The service {name!r} is left out: its name is reserved, or no DNS label in lower case."
            )
            continue
        found += [
            f"The instance {one.id!r} of {name} is left out: {str(one.address)!r} {wrong}."
            for one in service.instances
            if (wrong := reach.wrong(one.address))
        ]
        found += [
            f"The route {path!r} of {name} is left out: it is no plain path prefix of at most 200 characters."
            for path in service.routes
            if not names.is_prefix(path.rstrip("/") or "/")
        ]
        found += [
            f"The namespace {one.namespace!r} of the instance {one.id!r} of {name} gives no names: it is none."
            for one in service.instances
            if one.namespace and not names.is_namespace(one.namespace)
        ]
        if len(service.namespaces) > MOST_NAMESPACES:
            few = f"the first {MOST_NAMESPACES} of {len(service.namespaces)} namespaces"
            found.append(f"{name} is called by the Kubernetes names of {few} only.")
    return tuple(found)
