"""The injector, from settings to an ordered list of components: the start-up story."""

import gc
import importlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector

from agent.admin.plain import Plain
from agent.config.settings import Settings
from agent.inject import injection
from agent.inject.certificates.files import Files
from agent.inject.certificates.made import Lives, Made, Names
from agent.inject.certificates.state import State as Certificate
from agent.inject.certificates.tls import Tls
from agent.inject.cluster import access
from agent.inject.cluster.client import Client, Object
from agent.inject.cluster.kinds import CONFIGURATIONS, NAMESPACES, SECRETS
from agent.inject.cluster.mirror import Mirror
from agent.inject.injection import Namespace
from agent.inject.metrics import Metrics
from agent.inject.namespaces import Namespaces, namespace
from agent.inject.server import Leaving, Server
from agent.inject.version import Version, lower
from agent.inject.webhook import Webhook
from agent.model.address import Address
from agent.registry.metrics import Sweeps
from agent.runtime.component import Component
from agent.runtime.health import Board, State
from agent.runtime.latest import Latest
from agent.runtime.once import Once

BOUND = 30.0
"""Seconds for which a watch of Secret and webhook configuration lasts: a change is seen by then, whatever happens."""


@dataclass(frozen=True)
class Cells:
    """All state that travels between components; the comment names the one writer."""

    version: Latest[str] = field(default_factory=lambda: Latest(""))  # cluster
    certificate: Latest[Certificate] = field(default_factory=lambda: Latest(Certificate()))  # certificates
    namespaces: Latest[Mapping[str, Namespace] | None] = field(
        default_factory=lambda: Latest[Mapping[str, Namespace] | None](None)
    )  # namespaces
    secrets: Latest[Mapping[str, Object] | None] = field(
        default_factory=lambda: Latest[Mapping[str, Object] | None](None)
    )  # secret
    configurations: Latest[Mapping[str, Object] | None] = field(
        default_factory=lambda: Latest[Mapping[str, Object] | None](None)
    )  # configuration
    serving: Latest[bool] = field(default_factory=lambda: Latest(False))  # server
    leaving: Latest[bool] = field(default_factory=lambda: Latest(False))  # leaving


@asynccontextmanager
async def injector(
    settings: Settings, environ: Mapping[str, str], host: str, board: Board
) -> AsyncIterator[tuple[Component, ...]]:
    """The components of the injector in the order of their start; they stop in reverse. Raises Misconfigured."""
    folder = Path(settings.webhook.account_dir)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(access.in_cluster(environ, folder)))
        made = Injector(settings, client, board)
        sweep: tuple[Component, ...] = ()
        # What sidecars are told decides; an injector that is told so itself sweeps too.
        if "catalog" in {settings.injector.registry_mode, settings.registry.mode}:
            module = importlib.import_module("agent.wiring.sweep")
            name = settings.kubernetes.pod or environ.get("POD_NAME") or host
            own = module.Own(name, access.own_namespace(folder))
            sweep = await stack.enter_async_context(
                module.sweep(settings, client, own, board, Sweeps(made.collectors))
            )
        yield made.story(sweep)


class Injector:
    """Builds the components."""

    def __init__(self, settings: Settings, client: Client, board: Board) -> None:
        self._settings = settings
        self._client = client
        self._board = board
        self.collectors = CollectorRegistry()
        ProcessCollector(registry=self.collectors)
        self._metrics = Metrics(self.collectors)
        self._metrics.ready.set_function(lambda: float(self._ready()[0]))
        self._cells = Cells()
        self._tls = Tls()

    def story(self, sweep: tuple[Component, ...] = ()) -> tuple[Component, ...]:
        """The components in the order of their start; ``sweep`` are those of the registry's, if any."""
        return (
            self._admin(),
            Version(self._client, self._cells.version, self._board.of("cluster")),
            self._namespaces(),
            *self._certificates(),
            self._server(),
            *sweep,
            Once("settled", _settled),
            Leaving(self._cells.leaving, self._settings.webhook.spread),
        )

    def _admin(self) -> Plain:
        health, metrics = self._settings.admin.health, self._settings.admin.metrics
        return Plain(
            self._ready,
            self.collectors,
            health=Address.parse(health) if health else None,
            metrics=Address.parse(metrics) if metrics else None,
        )

    def _ready(self) -> tuple[bool, tuple[str, ...]]:
        """Whether reviews would come through, and be answered."""
        if self._cells.leaving.value:
            return False, ("the injector is leaving",)
        wrong = self._cells.certificate.value.wrong(datetime.now(UTC))
        if not self._cells.serving.value:
            reports = self._board.reports.items()
            missing = [f"{name}: {one.detail}" for name, one in reports if one.state is State.DEGRADED]
            return False, tuple(missing) or (wrong or "the injector is starting",)
        return not wrong, (wrong,) if wrong else ()

    def _namespaces(self) -> Mirror[Namespace]:
        return Mirror(
            "namespaces", self._client, NAMESPACES, namespace, self._cells.namespaces,
            health=self._board.of("namespaces"), failed=self._metrics.failures.labels("namespaces").inc,
        )  # fmt: skip

    def _certificates(self) -> tuple[Component, ...]:
        webhook, cells = self._settings.webhook, self._cells
        health = self._board.of("certificates")
        if webhook.certificate == "files":
            pair = Path(webhook.cert_file), Path(webhook.key_file)
            return (Files(*pair, self._tls, cells.certificate, health=health, metrics=self._metrics),)
        own = webhook.namespace or access.own_namespace(Path(webhook.account_dir))
        names = Names(webhook.secret, own, webhook.configuration)
        lives = Lives(timedelta(seconds=webhook.ca_life), timedelta(seconds=webhook.certificate_life))
        made = Made(
            self._client, names, lives, secrets=cells.secrets, configurations=cells.configurations,
            tls=self._tls, state=cells.certificate, health=health, metrics=self._metrics,
        )  # fmt: skip
        return (*self._watched(names), made)

    def _watched(self, names: Names) -> tuple[Component, ...]:
        """The copies of our Secret and of our webhook configuration."""
        secret: Mirror[Object] = Mirror(
            "secret", self._client, SECRETS, dict, self._cells.secrets, namespace=names.namespace,
            one=names.secret, lasts=BOUND, health=self._board.of("secret"),
            failed=self._metrics.failures.labels("secret").inc,
        )  # fmt: skip
        configuration: Mirror[Object] = Mirror(
            "configuration", self._client, CONFIGURATIONS, dict, self._cells.configurations,
            one=names.configuration, lasts=BOUND, health=self._board.of("configuration"),
            failed=self._metrics.failures.labels("configuration").inc,
        )  # fmt: skip
        return secret, configuration

    def _server(self) -> Server:
        webhook = Webhook(
            self._inject,
            Namespaces(self._client, self._cells.namespaces),
            self._metrics,
            revision=self._settings.injector.revision,
        )
        listen = Address.parse(self._settings.webhook.listen)
        return Server(
            listen, self._tls, webhook.answer,
            serving=self._cells.serving, leaving=self._cells.leaving, metrics=self._metrics,
        )  # fmt: skip

    def _inject(self, pod: Mapping[str, Any], of: Namespace) -> injection.Outcome:
        return injection.inject(pod, of, self._known())

    def _known(self) -> Settings:
        """The settings with the cluster's version, unless they name an older one."""
        own = self._settings.injector
        version = lower(own.cluster_version, self._cells.version.value)
        if version == own.cluster_version:
            return self._settings
        return msgspec.structs.replace(
            self._settings, injector=msgspec.structs.replace(own, cluster_version=version)
        )


async def _settled() -> None:
    """What the start left stays for ever: to look through it at each collection would hold reviews up for 30 ms."""
    gc.collect()
    gc.freeze()
