"""What nearly was: the routes that came before, and names that are spelt alike."""

import difflib
from collections.abc import Iterable, Sequence

from agent.proxy.explain.matching import mismatch
from agent.proxy.explain.request import Request
from agent.proxy.snapshot import Resource

MOST = 60
"""Near misses that are told."""


def service_of(route: Resource, known: Iterable[str]) -> str:
    """The service that a route belongs to, by the planner's name for it; empty where it belongs to none."""
    word = str(route.get("name", "")).partition(" ")[0]
    return word if word in set(known) else ""


def before(
    routes: Sequence[Resource], chosen: Resource, request: Request, service: str
) -> list[dict[str, str]]:
    """The routes of the same service that were tried first, each with why it does not match."""
    found: list[dict[str, str]] = []
    for route in routes:
        if route is chosen or len(found) == MOST:
            break
        if not service or str(route.get("name", "")).startswith(f"{service} "):
            found.append({"route": str(route.get("name", "")), "why": mismatch(route, request)})
    return found


def alike(word: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Names that somebody may have meant, the likeliest first."""
    return difflib.get_close_matches(word[:100], sorted(known), n=most, cutoff=0.6)


def published(routes: Sequence[Resource], known: Iterable[str]) -> dict[str, str]:
    """The path prefixes of a gateway's routes with the service that has each."""
    names = set(known)
    found: dict[str, str] = {}
    for route in routes:
        match = route["match"]
        prefix = match.get("path_separated_prefix") or match.get("prefix")
        service = service_of(route, names)
        if prefix and service:
            found.setdefault(str(prefix), service)
    return found
