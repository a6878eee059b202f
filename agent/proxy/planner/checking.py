"""Active health checks: a caller's questions to the instances of an upstream, and the answers of a sidecar.

A check is a plain GET of ``traffic.check_path`` through the inbound of the instance's sidecar to its service, so that
it fails with any of them. Where the path is the service's own ``health_path``, the sidecar answers from what
its service said at most ``health_interval`` ago: however many callers ask, the service is asked once in that time, and
neither side counts or traces it as a request.
"""

from agent.config.sections.service import Service
from agent.config.sections.traffic import Traffic
from agent.proxy.planner.durations import seconds
from agent.proxy.planner.fragments import Fragments, connection_manager
from agent.proxy.planner.targets import Target
from agent.proxy.snapshot import Resource

_RARELY = 6
"""Times as long between two checks of an upstream that this caller never called, so that knowing all costs little."""


def ask(cluster: Resource, traffic: Traffic, fragments: Fragments) -> None:
    """Let the cluster of any upstream check its instances, where that is wanted; see ``of``."""
    if not traffic.check_path:
        return
    check = fragments.copy("health_checks")["ask"]
    check["interval"] = seconds(traffic.check_interval)
    check["no_traffic_interval"] = seconds(_RARELY * traffic.check_interval)
    check["timeout"] = seconds(traffic.check_timeout)
    check["unhealthy_threshold"] = traffic.check_failures
    check["healthy_threshold"] = traffic.check_passes
    check["http_health_check"]["path"] = traffic.check_path
    cluster["health_checks"] = [check]


def of(check: Resource, target: Target) -> Resource:
    """A check of ``ask`` as that of one upstream."""
    return {**check, "http_health_check": {**check["http_health_check"], "host": target.name}}


def answer(inbound: Resource, service: Service, fragments: Fragments) -> None:
    """Let the inbound listener answer checks of the service's own health path for a while by what the last
    said."""
    if not service.health_path:
        return
    check = fragments.copy("health_checks")["answer"]
    config = check["typed_config"]
    config["cache_time"] = seconds(service.health_interval)
    config["headers"] = [
        *config["headers"],
        {"name": ":path", "string_match": {"exact": service.health_path}},
    ]
    connection_manager(inbound, "inbound")["http_filters"].insert(0, check)
