"""Envoy's tracer: OTLP over HTTP, sampled by the tracer's own samplers."""

from agent.config.settings import Settings
from agent.proxy.planner.fragments import Fragments
from agent.proxy.snapshot import Resource


def tracer(settings: Settings, fragments: Fragments, *, service: str) -> Resource | None:
    """A connection manager's ``tracing``; None without an endpoint.

    The spans go to the cluster ``otlp`` of the bootstrap. ``service`` names the process in the traces.
    """
    if not settings.tracing.endpoint:
        return None
    tracing: Resource = fragments.copy("tracing")
    config = tracing["provider"]["typed_config"]
    config["service_name"] = service
    config["http_service"]["http_uri"]["uri"] = settings.tracing.endpoint.rstrip("/") + "/v1/traces"
    sampler = config["sampler"]["typed_config"]["wrapped_sampler"]["typed_config"]
    sampler["sampling_percentage"] = {
        "numerator": round(settings.tracing.sample * 1_000_000),
        "denominator": "MILLION",
    }
    # A percent sign would begin a command of Envoy's.
    tracing["operation"] = (settings.tracing.operation or service).replace("%", "%%")
    return tracing
