"""The gateway and the limits of the inbound."""

import json
import re
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from agent.config.checks.finding import Finding
from agent.config.checks.names import wrong_route
from agent.config.sections.gateway import Cors, Jwt
from agent.config.sections.limits import Limit
from agent.config.settings import Settings

MOST = 32
"""Limits, CORS policies, pinned prefixes or public paths."""
ORIGIN = re.compile(r"https?://(\[[0-9a-f:]+\]|(\*|[a-z0-9-]+)(\.(\*|[a-z0-9-]+))*)(:([0-9]{1,5}|\*))?")
RESERVED = ("x-envoy-", "x-pillion-", "x-forwarded-", "x-request-", "x-api-", "x-p-", "x-b3-", "x-real-ip")
"""Headers that mean something else."""


def routes(settings: Settings) -> Iterator[Finding]:
    """A prefix belongs to one service only."""
    owners: dict[str, str] = {}
    for name, prefixes in settings.gateway.routes.items():
        for index, prefix in enumerate(prefixes):
            key = f"gateway.routes.{name}[{index}]"
            if wrong := wrong_route(prefix):
                yield Finding(
                    key,
                    f"is {prefix[:80]!r}, {wrong}",
                    "a path prefix such as /orders or /api/{version}/orders",
                )
            if (owner := owners.setdefault(prefix, name)) != name:
                yield Finding(
                    key, f"is {prefix!r}, which belongs to {owner} already", "one service for a prefix"
                )
    if len(owners) > MOST * 8:
        yield Finding("gateway.routes", f"has {len(owners)} prefixes", f"at most {MOST * 8}")


def cors(settings: Settings) -> Iterator[Finding]:
    """Origins are origins, and nobody gives credentials to all of them."""
    given = settings.gateway.cors
    seen: set[str] = set()
    for index, policy in enumerate(given):
        key = f"gateway.cors[{index}]"
        yield from _origins(key, policy)
        prefix = policy.prefix.rstrip("/") or "/"
        if prefix in seen:
            yield Finding(
                f"{key}.prefix", f"is {prefix}, which another policy has too", "one policy for a prefix"
            )
        seen.add(prefix)
    yield from _few("gateway.cors", given)


def _origins(key: str, policy: Cors) -> Iterator[Finding]:
    allowed = "origins such as https://shop.example, https://*.shop.example or http://localhost:*"
    if not policy.origins:
        yield Finding(f"{key}.origins", "is empty", allowed)
    for index, origin in enumerate(policy.origins):
        if origin == "*" and policy.credentials:
            yield Finding(
                f"{key}.credentials",
                "is true, and the origin * is allowed too: every page could act as its visitor",
                "origins by name",
            )
        elif origin != "*" and not ORIGIN.fullmatch(origin):
            yield Finding(f"{key}.origins[{index}]", f"is {origin[:80]!r}, which is no origin", allowed)


def limits(settings: Settings) -> Iterator[Finding]:
    """Few enough to be counted in each request; and what is held has an end."""
    for key, given in (("gateway.limits", settings.gateway.limits), ("proxy.limits", settings.proxy.limits)):
        yield from _few(key, given)
    if settings.gateway.hold_bodies and not settings.gateway.max_body:
        yield Finding(
            "gateway.hold_bodies", "is true without gateway.max_body", "a gateway.max_body, such as 1MiB"
        )


def tls(settings: Settings) -> Iterator[Finding]:
    """A certificate has a key, and what needs TLS has a certificate."""
    given = settings.gateway.tls
    if bool(given.certificate) != bool(given.key):
        missing = "key" if given.certificate else "certificate"
        yield Finding(f"gateway.tls.{missing}", "is missing", "certificate and key, or neither")
    if not given.certificate:
        for key, value in (
            ("gateway.tls.client_ca", given.client_ca),
            ("gateway.tls.hsts", given.hsts),
            ("gateway.redirect", settings.gateway.redirect),
        ):
            if value:
                yield Finding(key, "is given without gateway.tls.certificate", "a certificate and its key")


def jwt(settings: Settings) -> Iterator[Finding]:
    """Tokens have an issuer whose keys come from one place, and claims do not become headers of ours."""
    given = settings.gateway.jwt
    sources = [key for key in ("jwks", "jwks_file", "jwks_url") if getattr(given, key)]
    if not given.issuer:
        for key in [*sources, *(key for key in ("audiences", "claims", "public") if getattr(given, key))]:
            yield Finding(
                f"gateway.jwt.{key}", "is given without gateway.jwt.issuer", "the claim iss of the tokens"
            )
        return
    if len(sources) != 1:
        wrong = f"is given together with {' and '.join(sources[1:])}" if sources else "is missing"
        yield Finding(
            f"gateway.jwt.{sources[0] if sources else 'jwks_file'}",
            wrong,
            "one of jwks, jwks_file and jwks_url",
        )
    if given.jwks and (wrong := wrong_jwks(given.jwks)):
        yield Finding("gateway.jwt.jwks", wrong, "a JSON Web Key Set")
    if given.jwks_url and not _is_url(given.jwks_url):
        yield Finding("gateway.jwt.jwks_url", "is no URL that can be fetched", "an https or http URL")
    yield from _claims(given)
    yield from _few("gateway.jwt.public", given.public)


def _claims(given: Jwt) -> Iterator[Finding]:
    headers = list(given.claims.values())
    for claim, header in given.claims.items():
        if header.startswith(RESERVED):
            yield Finding(
                f"gateway.jwt.claims.{claim}", f"is {header}, which means something else", "another header"
            )
        if headers.count(header) > 1:
            yield Finding(
                f"gateway.jwt.claims.{claim}",
                f"is {header}, the header of another claim too",
                "a header for each",
            )


def wrong_jwks(text: str) -> str:
    """What is wrong with a JSON Web Key Set, as a clause; empty when nothing is."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return "is not JSON"
    keys = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(keys, list) or not keys:
        return "has no keys"
    if not all(isinstance(key, dict) and isinstance(key.get("kty"), str) for key in keys):
        return "has a key without a kind (kty)"
    private = [key for key in keys if "d" in key or key["kty"] == "oct"]
    return "holds a private key, where only public ones belong" if private else ""


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return False
    plain = text.isascii() and text.isprintable() and " " not in text and "@" not in url.netloc
    return url.scheme in {"http", "https"} and bool(url.hostname) and port != 0 and not url.fragment and plain


def _few(key: str, given: Sequence[Cors | Limit | str]) -> Iterator[Finding]:
    if len(given) > MOST:
        yield Finding(key, f"has {len(given)} entries", f"at most {MOST}")
