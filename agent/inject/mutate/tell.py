"""What the sidecar is told: its environment."""

from collections.abc import Iterator, Mapping
from typing import Any

from agent.config import fields
from agent.config.sections.mesh import SAMPLE, Tracing
from agent.inject.mutate.volumes import CONFIG, CONSUL, OUTBOX, STATE
from agent.inject.plan import Plan

DOWNWARD = {
    "POD_IP": "status.podIP",
    "HOST_IP": "status.hostIP",
    "PILLION_KUBERNETES_POD_UID": "metadata.uid",
    "PILLION_KUBERNETES_POD": "metadata.name",
    "PILLION_KUBERNETES_NAMESPACE": "metadata.namespace",
    "PILLION_KUBERNETES_NODE": "spec.nodeName",
}
"""What Kubernetes tells a container of its own pod, by variable."""


def environment(plan: Plan) -> list[dict[str, Any]]:
    """The sidecar's environment, secrets by file only."""
    downward = [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in DOWNWARD.items()
    ]
    # Whatever an annotation says, the last word on where the sidecar listens is the pod's own.
    told = {**dict(_defaults(plan)), **_annotated(plan.variables), **dict(_placed(plan))}
    return [*downward, *({"name": name, "value": value} for name, value in told.items())]


def literal(text: str) -> str:
    """A text that Kubernetes leaves as it is in a variable's value, where $(NAME) would be replaced."""
    return text.replace("$", "$$")


def variable(key: str) -> str:
    """The variable of a setting."""
    return fields.by_key()[key].variable


def _defaults(plan: Plan) -> Iterator[tuple[str, str]]:
    """What the injector tells every sidecar: what is a choice by variables that yield to a file of settings."""
    injector = plan.settings.injector
    yield "CONSUL_HTTP_ADDR", injector.consul_address
    if injector.consul_token_secret:
        yield "CONSUL_HTTP_TOKEN_FILE", f"{CONSUL}/token"
    if injector.consul_login_method and not plan.own.config:
        yield variable("registry.login_method"), injector.consul_login_method
        yield variable("registry.login_token_file"), f"{CONSUL}/token"
    if injector.tracing_endpoint:
        yield "OTEL_EXPORTER_OTLP_ENDPOINT", injector.tracing_endpoint
    if injector.tracing_sample != Tracing().sample:
        yield SAMPLE, f"{injector.tracing_sample:.9f}".rstrip("0").rstrip(".") or "0"
    # What the injector knows of its cluster is the same for every pod in it, whatever a file says.
    yield variable("registry.mode"), injector.registry_mode
    kubernetes = plan.settings.kubernetes
    yield variable("kubernetes.cluster"), kubernetes.cluster
    if kubernetes.namespaces:
        yield variable("kubernetes.namespaces"), ",".join(kubernetes.namespaces)


def _annotated(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: literal(text) for name, text in variables.items()}


def _placed(plan: Plan) -> Iterator[tuple[str, str]]:
    settings = plan.settings
    yield variable("service.name"), settings.service.name
    yield variable("service.address"), "$(POD_IP)"
    if plan.port:
        yield variable("service.port"), str(plan.port)
    else:
        yield variable("service.register"), "false"
    yield variable("proxy.inbound"), settings.proxy.inbound
    yield variable("proxy.outbound"), settings.proxy.outbound
    yield variable("admin.listen"), settings.admin.listen
    yield variable("admin.health"), settings.admin.health
    yield variable("admin.metrics"), settings.admin.metrics
    yield variable("state.dir"), STATE
    if plan.carries:
        yield variable("tracing.carry_dir"), plan.names.folder
    if plan.own.config:
        yield "PILLION_CONFIG", f"{CONFIG}/pillion.yaml"
    if plan.own.outbox_database_secret:
        yield variable("outbox.database_file"), f"{OUTBOX}/url"
        if not settings.outbox.broker.url and not settings.outbox.broker.url_file:
            yield variable("outbox.broker.url_file"), f"{OUTBOX}/broker"
