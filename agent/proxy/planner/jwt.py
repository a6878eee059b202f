"""JSON Web Tokens at the gateway (RFC 7519): who must bring one, how it is judged, what services are told."""

from collections.abc import Sequence

from agent.config.sections.gateway import Jwt
from agent.config.settings import Settings
from agent.proxy.bootstrap import web_cluster
from agent.proxy.planner.durations import seconds
from agent.proxy.planner.routes import path_match
from agent.proxy.snapshot import Resource

CLUSTER = "jwks"
"""Where the issuer's keys are fetched."""
_PROVIDER = "issuer"
_FILTER = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"


def filters(given: Jwt) -> list[Resource]:
    """The filter that lets nobody pass without a good token, but to what is public."""
    if not given.issuer:
        return []
    config: Resource = {
        "@type": _FILTER,
        "providers": {_PROVIDER: _provider(given)},
        "rules": [
            *_public(given.public),
            {"match": {"prefix": "/"}, "requires": {"provider_name": _PROVIDER}},
        ],
        # Browsers send no token with a preflight; a service that answers its own ones gets them.
        "bypass_cors_preflight": True,
    }
    return [{"name": "envoy.filters.http.jwt_authn", "typed_config": config}]


def _public(prefixes: Sequence[str]) -> list[Resource]:
    return [{"match": path_match(prefix.rstrip("/") or "/")} for prefix in prefixes]


def _provider(given: Jwt) -> Resource:
    # No jwt_cache_config, which would save 0.1 ms a request: Envoy goes on taking what it remembers after the
    # token's key is gone (measured).
    provider: Resource = {
        "issuer": given.issuer,
        "audiences": list(given.audiences),
        "require_expiration": True,
        "forward": given.forward,
        # By default Envoy takes a token from the query too, where logs would keep it.
        "from_headers": [{"name": "Authorization", "value_prefix": "Bearer "}],
        "claim_to_headers": [
            {"header_name": header, "claim_name": claim} for claim, header in sorted(given.claims.items())
        ],
    }
    if given.jwks_url:
        provider["remote_jwks"] = {
            "http_uri": {"uri": given.jwks_url, "cluster": CLUSTER, "timeout": "5s"},
            "cache_duration": seconds(given.jwks_cache),
            # Fetched before it is needed; an issuer that is away does not hold up what is public.
            "async_fetch": {"fast_listener": True, "failed_refetch_duration": "1s"},
            "retry_policy": {"num_retries": 2},
        }
    else:
        provider["local_jwks"] = {"inline_string": given.jwks}
    return provider


def clusters(settings: Settings) -> dict[str, Resource]:
    """The cluster of the issuer's keys, where they are fetched."""
    given = settings.gateway.jwt
    return {CLUSTER: web_cluster(CLUSTER, given.jwks_url)} if given.issuer and given.jwks_url else {}


def claim_headers(given: Jwt) -> list[str]:
    """Headers that only a token may fill."""
    return sorted(given.claims.values()) if given.issuer else []
