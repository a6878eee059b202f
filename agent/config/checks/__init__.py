"""What settings must fulfil together: rules over several settings, and forms that no pattern can express.

A module a subject; a rule is a pure function that yields what is wrong. No rule names a secret's value.
"""

from collections.abc import Callable, Iterator
from typing import Literal

from agent.config.checks import (
    addresses,
    dns,
    gateway,
    inbox,
    names,
    outbox,
    proxy,
    registry,
    store,
    traffic,
    versions,
    webhook,
)
from agent.config.checks.finding import Finding
from agent.config.settings import Settings
from agent.runtime.errors import Misconfigured, Problem

Purpose = Literal["none", "gateway", "sidecar", "launcher"]
"""What settings must suffice for. ``sidecar``: an agent beside a service that runs already, which must be
named and have a port; ``launcher``: one that starts the service itself (``run -- CMD``), where port 0 means a
free one; ``none``: looking at them."""

RULES: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    names.service,
    names.upstreams,
    names.routes,
    names.meta,
    addresses.listeners,
    addresses.collisions,
    addresses.urls,
    addresses.times,
    proxy.external,
    dns.resolvers,
    gateway.routes,
    gateway.cors,
    gateway.limits,
    gateway.tls,
    gateway.jwt,
    registry.login,
    store.command,
    store.secrets,
    traffic.tries,
    traffic.hashing,
    versions.offered,
    versions.deprecated,
    versions.room,
    outbox.connections,
    outbox.tables,
    outbox.templates,
    inbox.connections,
    inbox.topics,
    webhook.certificate,
    webhook.port,
)


def check(
    settings: Settings, require: Purpose = "none", source: Callable[[str], str] = lambda _key: ""
) -> None:
    """Raise Misconfigured with all that is wrong; ``source`` says where the setting of a dotted key came
    from."""
    found = [*_missing(settings, require), *(finding for rule in RULES for finding in rule(settings))]
    if found:
        raise Misconfigured([Problem(one.key, one.wrong, one.allowed, source(one.setting)) for one in found])


def _missing(settings: Settings, require: Purpose) -> Iterator[Finding]:
    if require in {"sidecar", "launcher"} and not settings.service.name:
        yield Finding(
            "service.name",
            "is missing",
            "the service's name: --service-name, PILLION_SERVICE_NAME or service.name in the file",
        )
    if require == "sidecar" and settings.service.register and not settings.service.port:
        yield Finding(
            "service.port",
            "is missing",
            "the port at which the service listens (--service-port), or a command after -- that gets a "
            "free one as PORT",
        )
    if require == "sidecar" and settings.store.action in {"signal", "restart"}:
        yield Finding(
            "store.action",
            f"is {settings.store.action}, for a service that somebody else starts",
            "none or exec, or start the service with `pillion run -- CMD`",
        )
