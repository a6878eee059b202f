"""The inbound: listener, routes and the two clusters to the service."""

from agent.config.settings import Settings
from agent.model.address import Address
from agent.proxy.planner import checking, direct, headers, limits, presence, retry, versioning
from agent.proxy.planner.durations import seconds
from agent.proxy.planner.fragments import Fragments, connection_manager
from agent.proxy.planner.listener import listener
from agent.proxy.planner.names import is_ip
from agent.proxy.planner.routes import IS_IDEMPOTENT
from agent.proxy.planner.versioning import Case, Entry
from agent.proxy.snapshot import Resource
from agent.versions import declared, parse, resolve

NAME = "inbound"
ENTRY = Entry()


def inbound_listener(settings: Settings, fragments: Fragments) -> Resource:
    """Where callers reach the service."""
    door = listener(
        "inbound",
        settings,
        fragments,
        name=NAME,
        address=Address.parse(settings.proxy.inbound),
        early=("own", "trace"),
        service=settings.service.name,
    )
    checking.answer(door, settings.service, fragments)
    manager = connection_manager(door, "inbound")
    limits.apply(manager, fragments, settings.proxy.limits, settings.proxy.max_body)
    return presence.count(door, fragments) if settings.tracing.carry else door


def inbound_routes(settings: Settings) -> Resource:
    """All requests go to the service; if it declares versions, each gets the one that it names."""
    table = resolve.table([declared.offer(settings.versions)])
    routes = limits.too_large(settings.proxy.max_body)
    if table is None:
        routes += _forwarding(settings, versioning.UNVERSIONED, table)
    else:
        routes.append(versioning.discovery(settings.service.name, table, ENTRY))
        for case in versioning.cases(table, ENTRY, "compatible", None):
            if case.rule.version is None:
                match = {"prefix": "/", "headers": case.matchers}
                routes.append(versioning.refusal(settings.service.name, table, case, match))
            else:
                routes += _forwarding(settings, case, table)
    host: Resource = {"name": NAME, "domains": ["*"], "routes": routes, **_answer_headers(settings)}
    return {
        "name": NAME,
        "virtual_hosts": [host],
        "validate_clusters": True,
        "max_direct_response_body_size_bytes": direct.LARGEST_BODY,
    }


def _answer_headers(settings: Settings) -> Resource:
    # The carry hook tells its sidecar that it is there; nobody else needs to know.
    found: Resource = {} if settings.tracing.carry else {"response_headers_to_remove": [presence.HEADER]}
    version = settings.service.version
    if version:
        found["response_headers_to_add"] = [headers.overwrite("x-service-version", headers.literal(version))]
    return found


def _forwarding(settings: Settings, case: Case, table: resolve.Table | None) -> list[Resource]:
    return [_route(settings, case, table, idempotent=idempotent) for idempotent in (True, False)]


def _route(settings: Settings, case: Case, table: resolve.Table | None, *, idempotent: bool) -> Resource:
    action: Resource = {
        "cluster": "service_reuse" if idempotent else "service_once",
        # A whole-request timeout would cut server-sent events and long polls; only silence ends a stream.
        "timeout": "0s",
        "idle_timeout": seconds(settings.traffic.idle_timeout),
        "retry_policy": retry.to_service(idempotent),
    }
    matchers = [*([IS_IDEMPOTENT] if idempotent else []), *case.matchers]
    route: Resource = {"name": case.name, "match": {"prefix": "/", "headers": matchers}, "route": action}
    version = case.rule.version
    if table is not None and version is not None:
        if settings.versions.strip_prefix:
            action["regex_rewrite"] = versioning.regex_rewrite(f"^/api/v{parse.ANY}(?:/+|$)", "/")
        route["request_headers_to_add"] = [headers.overwrite(parse.HEADER, str(version))]
        route["response_headers_to_add"] = [
            headers.overwrite(parse.HEADER, str(version)),
            headers.overwrite("x-api-latest-version", str(table.newest)),
            *versioning.told(table, version, by_service=True),
            *case.varies,
        ]
    return case.finish(route)


def service_clusters(settings: Settings, fragments: Fragments) -> dict[str, Resource]:
    """The two clusters to the service, by name."""
    service = settings.service
    found = {}
    for cluster in fragments.copy("service_clusters").values():
        cluster["type"] = "STATIC" if is_ip(service.host) else "STRICT_DNS"
        endpoint = {"socket_address": {"address": service.host, "port_value": service.port}}
        cluster["load_assignment"] = {
            "cluster_name": cluster["name"],
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": endpoint}}]}],
        }
        found[cluster["name"]] = cluster
    return found
