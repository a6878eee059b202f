"""Envoy's tracer: OTLP over HTTP, sampled by the tracer's own samplers."""

from typing import Any

from agent.config.settings import Settings
from agent.proxy.planner.fragments import Fragments, within
from agent.proxy.snapshot import Resource

METHOD = "{method}"
"""What ``tracing.operation`` may hold beside text. Nothing that callers choose freely may be in a span's name: it
makes as many names as there are texts."""

OWN = ("service.name", "telemetry.sdk.")
"""Beginnings of attributes that Envoy sets itself."""


def identified(fragments: Fragments, instance: str) -> Fragments:
    """The fragments of the instance with this id, which its spans will tell as ``service.instance.id``."""
    tracing = fragments.copy("tracing")
    _attributes(tracing["provider"]["typed_config"])["service.instance.id"] = instance
    return Fragments({**fragments.content, "tracing": tracing})


def tracer(settings: Settings, fragments: Fragments, *, service: str) -> Resource | None:
    """A connection manager's ``tracing``; None without an endpoint.

    The spans go to the cluster ``otlp`` of the bootstrap. ``service`` names the process in the traces.
    """
    if not settings.tracing.endpoint:
        return None
    tracing: Resource = fragments.copy("tracing")
    config = tracing["provider"]["typed_config"]
    config["service_name"] = service
    config["http_service"]["http_uri"]["uri"] = settings.tracing.traces_url
    sampler = config["sampler"]["typed_config"]["wrapped_sampler"]["typed_config"]
    sampler["sampling_percentage"] = {
        "numerator": round(settings.tracing.sample * 1_000_000),
        "denominator": "MILLION",
    }
    attributes = _attributes(config)
    for key, value in _told(settings).items():
        if value:
            attributes.setdefault(key, value)
    if not attributes:
        del config["resource_detectors"]
    tracing["operation"] = _operation(settings.tracing.operation or service)
    return tracing


def early(*, traced: bool) -> tuple[str, ...]:
    """The lists of ``early_headers.yaml`` that make trace context clean before the tracer sees it; none without one."""
    return ("trace_checked", "trace_taken", "trace_kept") if traced else ()


def passing(fragments: Fragments) -> Resource:
    """The filter that makes trace context clean on a listener without a tracer."""
    made: Resource = fragments.copy("trace_context")
    groups = fragments.copy("early_headers")
    mutations = within(made, "trace_context", "typed_config", "extension_config", "typed_config", "mutations")
    mutations["request_mutations"] = [
        mutation for name in ("trace_checked", "trace_passed", "trace_kept") for mutation in groups[name]
    ]
    return made


def _operation(text: str) -> str:
    # A percent sign would begin a command of Envoy's.
    return text.replace("%", "%%").replace(METHOD, "%REQ(:METHOD)%")


def _told(settings: Settings) -> dict[str, str]:
    """The resource's attributes by OpenTelemetry's names for them; a setting's own yield to these."""
    told = {key: value for key, value in settings.tracing.attributes.items() if not key.startswith(OWN)}
    return told | {
        "service.version": settings.service.version or told.get("service.version", ""),
        "k8s.namespace.name": settings.kubernetes.namespace,
        "k8s.pod.name": settings.kubernetes.pod,
        "k8s.node.name": settings.kubernetes.node,
    }


def _attributes(config: Resource) -> dict[str, Any]:
    detectors = config.setdefault("resource_detectors", [])
    for detector in detectors:
        found = detector["typed_config"].setdefault("attributes", {})
        assert isinstance(found, dict)
        return found
    return {}
