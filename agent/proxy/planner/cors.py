"""Cross-origin requests: preflights answered by the gateway, and which web pages may read its answers."""

import re
from collections.abc import Sequence

from agent.config.sections.gateway import Cors
from agent.proxy.planner.claims import covers, rank
from agent.proxy.snapshot import Resource

NAME = "envoy.filters.http.cors"
_FILTER = "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"
_POLICY = "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy"
_ALWAYS = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}


def filters(policies: Sequence[Cors]) -> list[Resource]:
    """The filter; what it does stands in the routes."""
    return [{"name": NAME, "typed_config": {"@type": _FILTER}}] if policies else []


def governed(routes: Sequence[Resource], prefix: str, policies: Sequence[Cors]) -> list[Resource]:
    """The routes below a path prefix, each under the policy of the longest prefix that fits.

    Where a policy is for a part of them only, they are there twice, the part first.
    """
    ordered = sorted(policies, key=lambda one: rank(_plain(one)))
    above = next((one for one in ordered if covers(_plain(one), prefix)), None)
    below = [one for one in ordered if _plain(one) != prefix and covers(prefix, _plain(one))]
    parts = [_within(route, one) for one in below for route in routes]
    return [*parts, *(_under(route, above) for route in routes)]


def _within(route: Resource, policy: Cors) -> Resource:
    below = re.escape(_plain(policy).rstrip("/"))
    path = {"name": ":path", "string_match": {"safe_regex": {"regex": f"{below}(?:[/?].*)?"}}}
    match = route["match"]
    return _under({**route, "match": {**match, "headers": [*match.get("headers", []), path]}}, policy)


def _under(route: Resource, policy: Cors | None) -> Resource:
    if policy is None or "direct_response" in route:  # the filter does not act on those
        return route
    # The answer depends on who asked, also for caches.
    vary = {"header": {"key": "vary", "value": "Origin"}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}
    return {
        **route,
        "response_headers_to_add": [*route.get("response_headers_to_add", []), vary],
        "typed_per_filter_config": {**route.get("typed_per_filter_config", {}), NAME: _policy(policy)},
    }


def _policy(policy: Cors) -> Resource:
    return {
        "@type": _POLICY,
        "allow_origin_string_match": [{"safe_regex": {"regex": origin(one)}} for one in policy.origins],
        "allow_methods": ", ".join(policy.methods),
        "allow_headers": ", ".join(policy.headers),
        "expose_headers": ", ".join(policy.expose),
        "max_age": f"{policy.max_age:.0f}",
        "allow_credentials": policy.credentials,
        "filter_enabled": _ALWAYS,
        # What is not allowed ends here: a service that answers preflights itself could allow it.
        "forward_not_matching_preflights": False,
    }


def origin(text: str) -> str:
    """An origin of the settings as a pattern for the whole of a request's."""
    if text == "*":
        return ".*"
    scheme, _, rest = text.partition("://")
    any_port = rest.endswith(":*")
    host = r"\.".join(
        "[A-Za-z0-9-]+" if label == "*" else re.escape(label) for label in rest.removesuffix(":*").split(".")
    )
    return f"{scheme}://{host}" + (":[0-9]{1,5}" if any_port else "")


def _plain(policy: Cors) -> str:
    return policy.prefix.rstrip("/") or "/"
