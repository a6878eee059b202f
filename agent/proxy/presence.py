"""Asking Envoy whether the carry hook works in the service."""

from agent.model.presence import Presence
from agent.proxy.admin import EnvoyAdmin

PATTERN = (
    r"^(http_filter_name\.carry\.response_metadata_added"
    r"|cluster\.service_(reuse|once)\.upstream_rq_[234]xx)$"
)
"""Answers with a 5xx are left out: many are Envoy's own, for a service that can't be reached."""


async def presence(admin: EnvoyAdmin) -> Presence:
    """What Envoy has counted. Raises Transient when it does not answer."""
    found = await admin.counters(PATTERN)
    answers = sum(value for name, value in found.items() if name.startswith("cluster."))
    with_hook = sum(value for name, value in found.items() if not name.startswith("cluster."))
    return Presence(max(answers, with_hook), with_hook)
