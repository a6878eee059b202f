"""Rate limits and the size of bodies, for the inbound and the gateway."""

import math
import re
from collections.abc import Sequence

from agent.config.sections.limits import Limit
from agent.proxy.planner import direct
from agent.proxy.planner.durations import seconds
from agent.proxy.planner.fragments import Fragments
from agent.proxy.snapshot import Resource

CLIENTS = 20_000
"""Client addresses that are counted apart at once; beyond it the one seen longest ago is forgotten."""
NETWORK = 64
"""Leading bits of an IPv6 address that make a client: providers give each customer that much at least."""
_ALWAYS = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
_SKIP = "type.googleapis.com/envoy.extensions.filters.common.matcher.action.v3.SkipFilter"
_INPUT = "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput"


def apply(
    manager: Resource, fragments: Fragments, given: Sequence[Limit], max_body: int, *, hold: bool = False
) -> None:
    """Put the limits before the router of a connection manager and their answers into words.

    ``max_body`` in bytes, 0 for none; ``hold`` holds all bodies, not only those of untold length.
    """
    filters = [*([rate(given)] if given else []), *([body(max_body, hold=hold)] if max_body else [])]
    if filters:
        manager["http_filters"][-1:-1] = filters
        answer(manager, fragments)


def answer(manager: Resource, fragments: Fragments) -> None:
    """Put refusals into words (``application/problem+json``)."""
    config = manager.setdefault("local_reply_config", {})
    config["mappers"] = [*config.get("mappers", []), *fragments.copy("refusals")["mappers"]]


def rate(given: Sequence[Limit]) -> Resource:
    """The filter that counts requests: a bucket for each limit, all of them for what falls under several."""
    wait = max(math.ceil(limit.per / limit.requests) for limit in given)
    return {
        "name": "envoy.filters.http.local_ratelimit",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
            "stat_prefix": "limits",
            "filter_enabled": _ALWAYS,
            "filter_enforced": _ALWAYS,
            "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
            "response_headers_to_add": [
                {
                    "header": {"key": "retry-after", "value": str(wait)},
                    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                }
            ],
            "always_consume_default_token_bucket": False,
            "max_dynamic_descriptors": CLIENTS,
            "rate_limits": [{"actions": _actions(number, one)} for number, one in enumerate(given)],
            "descriptors": [_bucket(number, one) for number, one in enumerate(given)],
        },
    }


def _actions(number: int, limit: Limit) -> list[Resource]:
    named = {"descriptor_key": "limit", "descriptor_value": str(number)}
    below = limit.prefix.rstrip("/")
    matched = {"name": ":path", "string_match": {"safe_regex": {"regex": f"{re.escape(below)}(?:[/?].*)?"}}}
    counted: Resource = (
        {"header_value_match": {**named, "headers": [matched]}} if below else {"generic_key": named}
    )
    client = {"masked_remote_address": {"v4_prefix_mask_len": 32, "v6_prefix_mask_len": NETWORK}}
    return [counted, client] if limit.by == "client" else [counted]


def _bucket(number: int, limit: Limit) -> Resource:
    entries = [{"key": "limit", "value": str(number)}]
    if limit.by == "client":
        entries.append({"key": "masked_remote_address"})  # no value: a bucket for each
    return {
        "entries": entries,
        "token_bucket": {
            "max_tokens": limit.burst or limit.requests,
            "tokens_per_fill": limit.requests,
            "fill_interval": seconds(limit.per),
        },
    }


def body(most: int, *, hold: bool) -> Resource:
    """The filter that holds a body until it is whole, at most ``most`` bytes.

    Bodies whose length is told pass it, since ``too_large`` has judged them; so do upgrades, whose streams have
    no end: Envoy removes Upgrade from what is none.
    """
    passing = ["upgrade"] if hold else ["upgrade", "content-length"]
    return {
        "name": "body",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher",
            "xds_matcher": {
                "matcher_list": {"matchers": [_pass(header) for header in passing]},
            },
            "extension_config": {
                "name": "envoy.filters.http.buffer",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer",
                    "max_request_bytes": most,
                },
            },
        },
    }


def _pass(header: str) -> Resource:
    return {
        "predicate": {
            "single_predicate": {
                "input": {"name": header, "typed_config": {"@type": _INPUT, "header_name": header}},
                "value_match": {"safe_regex": {"google_re2": {}, "regex": ".*"}},
            }
        },
        "on_match": {"action": {"name": "skip", "typed_config": {"@type": _SKIP}}},
    }


def too_large(most: int) -> list[Resource]:
    """The route that refuses a body whose told length is above ``most`` bytes, before any of it is read."""
    if not most:
        return []
    told = {"name": "content-length", "present_match": True}
    # Not "from most + 1": a length beyond 64 bits is in no range.
    within = {"name": "content-length", "range_match": {"start": 0, "end": most + 1}, "invert_match": True}
    problem = direct.problem(413, "Too large", f"The body of a request may have {most} bytes.")
    return [direct.answer({"prefix": "/", "headers": [told, within]}, 413, problem, name="too large")]
