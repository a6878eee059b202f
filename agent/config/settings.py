"""The whole of the settings, as sections."""

from typing import Annotated

import msgspec

from agent.config.declare import Section, about
from agent.config.sections.gateway import Gateway
from agent.config.sections.inbox import Inbox
from agent.config.sections.injector import Injector
from agent.config.sections.kubernetes import Kubernetes
from agent.config.sections.mesh import Outbound, Tracing, Versions
from agent.config.sections.outbox import Outbox
from agent.config.sections.proxy import Proxy
from agent.config.sections.registry import Registry
from agent.config.sections.service import Service
from agent.config.sections.store import Admin, Log, State, Store
from agent.config.sections.traffic import Traffic, Upstream
from agent.config.sections.webhook import Webhook

UpstreamName = Annotated[
    str,
    about(
        "Service.",
        pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?|\*)$",
        form="a service's name (a to z, 0 to 9 and -, at most 63) or *",
    ),
]


class Settings(Section, frozen=True):
    """Everything that an agent can be told. The file ``pillion.yaml`` has this shape."""

    service: Service = Service()
    registry: Registry = Registry()
    proxy: Proxy = Proxy()
    gateway: Gateway = Gateway()
    traffic: Traffic = Traffic()
    upstreams: Annotated[
        dict[UpstreamName, Upstream],
        about(
            "Services that this one calls, each with what it changes; a list of names will do. `*`: every "
            "registered service (at most 100). Where some are named without it, no other is reached.",
            names=True,
        ),
    ] = msgspec.field(default_factory=lambda: {"*": Upstream()})
    outbound: Outbound = Outbound()
    versions: Versions = Versions()
    tracing: Tracing = Tracing()
    outbox: Outbox = Outbox()
    inbox: Inbox = Inbox()
    store: Store = Store()
    webhook: Webhook = Webhook()
    admin: Admin = Admin()
    log: Log = Log()
    state: State = State()
    injector: Injector = Injector()
    kubernetes: Kubernetes = Kubernetes()
