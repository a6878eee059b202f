"""The whole of the settings, as sections."""

from typing import Annotated

import msgspec

from agent.config.declare import Section, about
from agent.config.sections.mesh import Outbound, Tracing, Versions
from agent.config.sections.outbox import Outbox
from agent.config.sections.proxy import Gateway, Proxy
from agent.config.sections.registry import Registry
from agent.config.sections.service import Service
from agent.config.sections.store import Admin, Log, State, Store
from agent.config.sections.traffic import Traffic, Upstream


class Settings(Section):
    """Everything that an agent can be told. The file ``pillion.yaml`` has this shape."""

    service: Service = Service()
    registry: Registry = Registry()
    proxy: Proxy = Proxy()
    gateway: Gateway = Gateway()
    traffic: Traffic = Traffic()
    upstreams: Annotated[
        dict[str, Upstream],
        about("Services that this one calls, each with what it changes; a list of names will do. `*`: every registered service (at most 100)."),
    ] = msgspec.field(default_factory=lambda: {"*": Upstream()})
    outbound: Outbound = Outbound()
    versions: Versions = Versions()
    tracing: Tracing = Tracing()
    outbox: Outbox = Outbox()
    store: Store = Store()
    admin: Admin = Admin()
    log: Log = Log()
    state: State = State()
