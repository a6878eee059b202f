"""What an instance publishes of itself in Consul's meta, and how readers take it back.

Both directions are here.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache

from agent.model.address import Address
from agent.model.version import Deprecation, Offer, Version

VERSIONS = "pillion-versions"
"""Versions served, separated by commas."""
DEFAULT = "pillion-default"
"""Version of a request that names none."""
DEPRECATED = "pillion-deprecated"
"""JSON: version → [since, sunset, link], times in seconds since the epoch or null."""
STRIP = "pillion-strip"
"""``1`` when the sidecar removes ``/api/vN``."""
ROUTES = "pillion-routes"
"""Path prefixes for the gateway, separated by spaces."""
ZONE = "pillion-zone"
NAMESPACE = "pillion-namespace"
"""Kubernetes namespace of the instance's pod."""
POD_UID = "pillion-pod-uid"
METRICS = "pillion-metrics"
"""Port at the instance's address where its agent tells metrics and calls, ``admin.metrics``."""
HASH = "pillion-hash"
"""Of the whole definition, see ``definition``."""
PREFIX = "pillion-"
"""All keys with this prefix belong to Pillion."""

ROUTE = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2}|\{version\}){0,255}")
ZONE_NAME = re.compile(r"[A-Za-z0-9._-]{1,63}")
NAMESPACE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
LINK = re.compile(r"(?:(?:https?:/)?/[A-Za-z0-9._~:/?#@!$&'()*+,;=-]*)?")
"""An absolute or rooted reference, or none."""
MOST_VERSIONS = 32
MOST_ROUTES = 32


def offer(text: Mapping[str, str]) -> Offer:
    """The versions that a meta speaks of. Raises ValueError with a clause that says what is malformed.

    The instances of a service mostly say the same; they share it.
    """
    return _offer(*(text.get(key, "") for key in (VERSIONS, DEFAULT, DEPRECATED, STRIP)))


@lru_cache(256)
def _offer(versions: str, default: str, deprecated: str, strip: str) -> Offer:
    serves = _versions(versions)
    chosen = Version.parse(default) if default else None
    if chosen is not None and chosen not in serves:
        raise ValueError(f"has the default version {chosen}, which it does not serve")
    return Offer(serves, chosen, _deprecated(deprecated), strip == "1")


def written(offered: Offer) -> dict[str, str]:
    """The meta that ``offer`` reads back as the same value."""
    meta = {}
    if offered.serves:
        meta[VERSIONS] = ",".join(str(version) for version in offered.serves)
    if offered.default is not None:
        meta[DEFAULT] = str(offered.default)
    if offered.deprecated:
        table = {
            str(key): [value.since, value.sunset, value.link] for key, value in offered.deprecated.items()
        }
        meta[DEPRECATED] = json.dumps(table, separators=(",", ":"), sort_keys=True)
    if offered.strip_prefix:
        meta[STRIP] = "1"
    return meta


def routes(text: Mapping[str, str]) -> tuple[str, ...]:
    """The path prefixes of a meta. Raises ValueError."""
    found = tuple(text.get(ROUTES, "").split())
    if len(found) > MOST_ROUTES:
        raise ValueError(f"has {len(found)} routes, more than {MOST_ROUTES}")
    for route in found:
        if not ROUTE.fullmatch(route):
            raise ValueError(f"has the malformed route {route[:80]!r}")
    return found


def zone(text: Mapping[str, str]) -> str:
    """The zone of a meta, empty for none. Raises ValueError."""
    found = text.get(ZONE, "")
    if found and not ZONE_NAME.fullmatch(found):
        raise ValueError(f"has the malformed zone {found[:80]!r}")
    return found


def namespace(text: Mapping[str, str]) -> str:
    """The Kubernetes namespace of a meta, empty for none. Raises ValueError."""
    found = text.get(NAMESPACE, "")
    if found and not NAMESPACE_NAME.fullmatch(found):
        raise ValueError(f"has the malformed namespace {found[:80]!r}")
    return found


def metrics(text: Mapping[str, str]) -> int:
    """The port of a meta at which the agent tells its metrics, 0 for none or what is no port: only a page asks it."""
    found = text.get(METRICS, "")
    return int(found) if re.fullmatch(r"[1-9][0-9]{0,4}", found) and int(found) <= 65535 else 0


def metrics_port(listen: str, inbound: str) -> int:
    """The port to publish: that of ``admin.metrics`` where it is reached at the same address as the inbound, else 0."""
    if not listen:
        return 0
    told, called = Address.parse(listen), Address.parse(inbound)
    return told.port if told.host in {called.host, "0.0.0.0", "::"} else 0  # noqa: S104 - compared, not bound


def _versions(text: str) -> tuple[Version, ...]:
    parts = text.split(",") if text else []
    if len(parts) > MOST_VERSIONS:
        raise ValueError(f"has {len(parts)} versions, more than {MOST_VERSIONS}")
    return tuple(sorted({Version.parse(part) for part in parts}))


def _deprecated(text: str) -> dict[Version, Deprecation]:
    if not text:
        return {}
    try:
        table = json.loads(text)
        return {Version.parse(key): _deprecation(*value) for key, value in table.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise ValueError("has a malformed list of deprecated versions") from None


def _deprecation(since: object, sunset: object, link: object) -> Deprecation:
    return Deprecation(_seconds(since), _seconds(sunset), _link(link))


def _seconds(value: object) -> int | None:
    # Beyond the year 9999 no HTTP date can say it.
    if value is not None and (type(value) is not int or not 0 <= value < 253402300800):
        raise ValueError
    return value


def _link(value: object) -> str:
    # It ends in a response header that Envoy writes: no % (Envoy's own substitutions) and nothing that ends
    # a reference.
    if not isinstance(value, str) or not LINK.fullmatch(value):
        raise ValueError
    return value
