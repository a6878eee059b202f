"""Routes to one upstream service, for outbound, explicit ports and the gateway."""

import re
from dataclasses import dataclass
from functools import lru_cache

from agent.model.version import Version
from agent.proxy.planner import headers, retry, versioning
from agent.proxy.planner.durations import seconds
from agent.proxy.planner.endpoints import UNNAMED, VERSIONS
from agent.proxy.planner.names import VERSION_SLOT
from agent.proxy.planner.targets import Target
from agent.proxy.planner.traffic import Handling, Treatment
from agent.proxy.planner.versioning import Case, Entry
from agent.proxy.snapshot import Resource
from agent.versions import parse
from agent.versions.plan import Place

IS_IDEMPOTENT: Resource = {"name": ":method", "string_match": {"safe_regex": {"regex": retry.IDEMPOTENT}}}


@dataclass(frozen=True)
class Way:
    """How requests come in on their way to an upstream."""

    entry: Entry
    host: str = ""
    """Host that the service sees; empty: the caller's."""


def upstream_routes(target: Target, treatment: Treatment, way: Way) -> list[Resource]:
    """All routes of one upstream below an entry, in order: versions, then path prefixes, then methods."""
    if target.table is None:
        return _unversioned(target, treatment, way)
    found = [versioning.discovery(target.name, target.table, way.entry)]
    if way.entry.has_slot:
        found = []
    for case in versioning.cases(target.table, way.entry, treatment.policy, treatment.pin):
        if case.rule.version is None:
            match = {**(case.path or path_match(way.entry.prefix)), "headers": case.matchers}
            found.append(versioning.refusal(target.name, target.table, case, match))
        else:
            found += _forwarding(target, treatment, way, case)
    return found


def path_match(prefix: str) -> Resource:
    """A path specifier: the prefix as whole segments."""
    return {"prefix": "/"} if prefix == "/" else {"path_separated_prefix": prefix}


def _unversioned(target: Target, treatment: Treatment, way: Way) -> list[Resource]:
    if not way.entry.has_slot:
        return _forwarding(target, treatment, way, versioning.UNVERSIONED)
    before, after = (re.escape(part) for part in way.entry.prefix.split("{version}"))
    path = {"safe_regex": {"regex": f"{before}v{parse.ANY}{after}(?:/.*)?"}}
    return _forwarding(target, treatment, way, Case(versioning.UNVERSIONED.rule, path=path))


def _forwarding(target: Target, treatment: Treatment, way: Way, case: Case) -> list[Resource]:
    found = []
    for handling in treatment.handlings:
        path = case.path or _path(way.entry, handling)
        if path is None or (case.path and not _may_meet(way.entry, handling)):
            continue
        below = _below(handling) if case.path else []
        for idempotent in (True, False):
            match = _match(idempotent, *path.items()) if case.path is None else {**path, **_match(idempotent)}
            if below or case.matchers:
                match = {**match, "headers": [*match["headers"], *below, *case.matchers]}
            route = _route(target, treatment, way, case, handling, idempotent=idempotent)
            found.append(case.finish({**route, "match": match}))
    return found


@lru_cache(256)  # that of most upstreams
def _match(idempotent: bool, *path: tuple[str, str]) -> Resource:
    return {**dict(path), "headers": [IS_IDEMPOTENT] if idempotent else []}


def _path(entry: Entry, handling: Handling) -> Resource | None:
    """The path specifier of a handling below an entry; None where they have no path in common."""
    whole, part = entry.prefix.rstrip("/"), handling.prefix.rstrip("/")
    if entry.stripped:
        return path_match(whole + part or "/")
    if f"{part}/".startswith(f"{whole}/"):
        return path_match(part or "/")
    return path_match(whole or "/") if f"{whole}/".startswith(f"{part}/") else None


def _may_meet(entry: Entry, handling: Handling) -> bool:
    """Whether a path can be below both what stands before an entry's version and a handling's prefix."""
    before, prefix = entry.prefix.partition(VERSION_SLOT)[0], handling.prefix.rstrip("/")
    return f"{prefix}/".startswith(before) or before.startswith(f"{prefix}/")


def _below(handling: Handling) -> list[Resource]:
    """What tells requests below a handling's prefix where the route's path specifier is a pattern already."""
    if handling.prefix == "/":
        return []
    pattern = f"{re.escape(handling.prefix)}(?:[/?].*)?"
    return [{"name": ":path", "string_match": {"safe_regex": {"regex": pattern}}}]


def _route(
    target: Target, treatment: Treatment, way: Way, case: Case, handling: Handling, *, idempotent: bool
) -> Resource:
    upstream = treatment.traffic
    action: Resource = {
        "cluster": target.cluster,
        "timeout": seconds(handling.timeout),
        "idle_timeout": seconds(handling.idle),
    }
    policy = retry.to_upstream(idempotent, handling.retries, handling.per_try, treatment.zoned)
    if policy:
        action["retry_policy"] = policy
    if way.host:
        action["host_rewrite_literal"] = way.host
    if upstream.balance == "ring_hash" and upstream.hash_header:
        action["hash_policy"] = [{"header": {"header_name": upstream.hash_header}}]
    rewrite = case.rewrite or _strip(way.entry)
    if rewrite:
        action["regex_rewrite"] = rewrite
    route: Resource = {"name": f"{target.name} {case.name}", "route": action}
    _add_version(route, target, case)
    if way.entry.below:
        route.setdefault("request_headers_to_add", []).append(
            headers.overwrite("x-forwarded-prefix", headers.literal(way.entry.below))
        )
    return route


def _strip(entry: Entry) -> Resource | None:
    return versioning.regex_rewrite(f"^{re.escape(entry.below)}/*", "/") if entry.below else None


def version_metadata(version: Version, key: str = VERSIONS) -> Resource:
    """The subset of instances that serve a version."""
    return {"filter_metadata": {"envoy.lb": {key: str(version)}}}


def _subset(target: Target, case: Case, version: Version) -> Resource:
    unnamed = case.rule.place is Place.NONE and case.pin is None
    return version_metadata(version, UNNAMED if unnamed and target.partly else VERSIONS)


def _add_version(route: Resource, target: Target, case: Case) -> None:
    version = case.rule.version
    if target.table is None or version is None:
        return
    route["route"]["metadata_match"] = _subset(target, case, version)
    # What was resolved here counts for the other side too; it can't be read as another version there.
    route["request_headers_to_add"] = [headers.overwrite(parse.HEADER, str(version))]
    route["response_headers_to_add"] = [
        headers.if_absent(parse.HEADER, str(version)),
        headers.overwrite("x-api-latest-version", str(target.table.newest)),
        *versioning.told(target.table, version, by_service=False),
    ]
