"""What an agent's ACL token must allow, as Consul's rules. Pure.

Source: Consul's documentation of ACL rules; which question needs which is tried on a real server.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agent.config.settings import Settings
from agent.registry.restarts import key_of

VIRTUAL = "pillion-"
"""How the names of the nodes begin that catalogue mode writes."""


@dataclass(frozen=True)
class Rule:
    """One rule of a policy."""

    resource: str
    """``service``, ``node``, ``agent``, ``key`` or ``session``."""
    name: str
    policy: str
    """``read`` or ``write``."""
    why: str
    """What it is for, as the end of "without it …"."""
    prefix: bool = False
    """Whether it is of all whose names begin so."""
    needed: bool = True
    """Without it the instance is in no mesh; else only a part is lost."""

    def __str__(self) -> str:
        kind = f"{self.resource}_prefix" if self.prefix else self.resource
        return f'{kind} "{self.name}" {{ policy = "{self.policy}" }}'

    @property
    def question(self) -> Mapping[str, str]:
        """As ``/v1/internal/acl/authorize`` takes it."""
        return {"Resource": self.resource, "Segment": self.name, "Access": self.policy}


def wanted(settings: Settings, *, gateway: bool = False) -> tuple[Rule, ...]:
    """The rules of an agent with these settings, or of a gateway."""
    rules = [*_reading(settings)]
    if not gateway:
        rules += _registering(settings)
    return (*rules, *_store(settings, gateway))


def _reading(settings: Settings) -> Iterator[Rule]:
    without = "no other service is found"
    if "*" in settings.upstreams or not settings.upstreams:
        yield Rule("service", "", "read", without, prefix=True)
    else:
        for name in sorted(settings.upstreams):
            yield Rule("service", name, "read", f"{name} is not found")
    yield Rule("node", "", "read", without, prefix=True)
    why = "neither Consul's version nor its agent's name and address are known"
    pinned = bool(settings.kubernetes.pod_uid) and settings.registry.mode == "agent"
    yield Rule("agent", "", "read", why, prefix=True, needed=pinned)


def _registering(settings: Settings) -> Iterator[Rule]:
    name = settings.service.name
    if not settings.service.register or not name:
        return
    yield Rule("service", name, "write", "this instance is not registered")
    if settings.registry.mode == "catalog":
        why = "the pod's virtual node is not written"
        yield Rule("node", VIRTUAL, "write", why, prefix=True)


def _store(settings: Settings, gateway: bool) -> Iterator[Rule]:
    name = settings.service.name or ("gateway" if gateway else "")
    if not name:
        return
    if not gateway:
        for folder in (f"config/{name}/", "config/_shared/"):
            why = f"nothing below {folder} reaches the service"
            yield Rule("key", folder, "read", why, prefix=True, needed=False)
    yield Rule("key", f"pillion/{name}", "read", "there are no live settings", needed=False)
    if not gateway and settings.store.action == "restart":
        why = "the service is not restarted for changed configuration"
        yield Rule("key", key_of(name), "write", why, needed=False)
        yield Rule("session", "", "write", why, prefix=True, needed=False)
