"""What all listeners have in common."""

from collections.abc import Sequence

from agent.config.settings import Settings
from agent.model.address import Address
from agent.proxy.planner import tracing
from agent.proxy.planner.fragments import Fragments, connection_manager
from agent.proxy.snapshot import Resource


def listener(
    fragment: str,
    settings: Settings,
    fragments: Fragments,
    *,
    name: str,
    address: Address,
    early: Sequence[str],
    service: str,
    replies: bool = False,
) -> Resource:
    """A listener fragment with name, address, routes, tracing, early header mutations and access log filled
    in.

    ``early`` names the lists of ``early_headers.yaml`` to apply (``trace``: those of trace context); its routes
    come by the listener's name.
    ``replies`` puts Envoy's own answers into words.
    """
    filled: Resource = fragments.copy(fragment)
    filled["name"] = name
    filled["address"] = {"socket_address": {"address": address.host, "port_value": address.port}}
    manager = connection_manager(filled, fragment)
    manager["stat_prefix"] = name
    manager["rds"]["route_config_name"] = name
    # Before all that asks for the route.
    manager["http_filters"] = [fragments.copy("accept"), *manager["http_filters"]]
    tracer = tracing.tracer(settings, fragments, service=service)
    manager["early_header_mutation_extensions"] = [_early(fragments, early, traced=tracer is not None)]
    if tracer:
        manager["tracing"] = tracer
    elif "trace" in early:
        manager["http_filters"].insert(0, tracing.passing(fragments))
    if replies:
        manager["local_reply_config"] = fragments.copy("local_replies")
    if settings.proxy.access_log:
        log = fragments.copy("access_log")
        log["typed_config"]["log_format"]["json_format"]["listener"] = name
        manager["access_log"] = [log]
    return filled


def _early(fragments: Fragments, names: Sequence[str], *, traced: bool) -> Resource:
    lists = [one for name in names for one in (tracing.early(traced=traced) if name == "trace" else (name,))]
    groups = fragments.copy("early_headers")
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {
            "@type": (
                "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
            ),
            "mutations": [mutation for group in lists for mutation in groups[group]],
        },
    }
