"""Retry policies: a request that reached a service is repeated only if its method is idempotent."""

from functools import lru_cache

from agent.proxy.planner.durations import seconds
from agent.proxy.snapshot import Resource

IDEMPOTENT = "GET|HEAD|OPTIONS|PUT|DELETE|TRACE"
"""Methods that may be repeated (RFC 9110, 9.2.2), as a pattern."""


def to_service(idempotent: bool) -> Resource:
    """The inbound's: one more try at the service itself."""
    # No 5xx here: what the service answers is its answer.
    conditions = (
        "reset,connect-failure,refused-stream" if idempotent else "connect-failure,reset-before-request"
    )
    return {"retry_on": conditions, "num_retries": 1, "retry_back_off": _BACK_OFF}


@lru_cache(256)  # the routes of a thousand upstreams share a few
def to_upstream(idempotent: bool, tries: int, per_try: float, zoned: bool) -> Resource | None:
    """Outbound's and the gateway's: further tries, on another instance where there is one, and the time of one
    try in seconds, 0 for any; None where there is nothing to say."""
    if tries <= 0:
        return {"num_retries": 0, "per_try_timeout": seconds(per_try)} if per_try > 0 else None
    conditions = "connect-failure,reset-before-request"
    if idempotent:
        conditions += ",reset,refused-stream,gateway-error"
    policy: Resource = {
        "retry_on": conditions,
        "num_retries": tries,
        "retry_back_off": _BACK_OFF,
        "retry_host_predicate": [_PREVIOUS_HOSTS],
        # Least-request likes an instance that is down: nothing is in flight there. It is asked until it names another.
        "host_selection_retry_max_attempts": 50,
    }
    if per_try > 0:
        policy["per_try_timeout"] = seconds(per_try)
    if zoned:
        policy["retry_priority"] = _PREVIOUS_PRIORITIES
    return policy


_BACK_OFF = {"base_interval": "0.025s", "max_interval": "0.250s"}
_PREVIOUS_HOSTS = {
    "name": "envoy.retry_host_predicates.previous_hosts",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    },
}
# The own zone may hold one instance only; without this every further try would find that one again.
_PREVIOUS_PRIORITIES = {
    "name": "envoy.retry_priorities.previous_priorities",
    "typed_config": {
        "@type": (
            "type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"
        ),
        "update_frequency": 1,
    },
}
