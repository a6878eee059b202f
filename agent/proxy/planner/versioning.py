"""The rules of API versions as Envoy's route matches."""

import re
from dataclasses import dataclass, field, replace

from agent.model.version import Version
from agent.proxy.planner import direct, headers, names
from agent.proxy.snapshot import Resource
from agent.versions import parse, plan
from agent.versions.plan import Place, Policy, Rule
from agent.versions.resolve import Table


@dataclass(frozen=True)
class Entry:
    """Where a service's paths begin on a listener."""

    prefix: str = "/"
    """Literal, or with ``{version}`` as one segment."""
    stripped: bool = False
    """The service sees its paths without the prefix."""

    @property
    def has_slot(self) -> bool:
        """Whether the version stands within the prefix."""
        return names.VERSION_SLOT in self.prefix

    @property
    def below(self) -> str:
        """What stands before the paths that the service sees; empty where it sees them whole."""
        return self.prefix if self.stripped and self.prefix != "/" else ""

    @property
    def may_name_version(self) -> bool:
        """Whether a path of this entry can be ``/api/vN/…`` in the service's eyes."""
        return self.stripped or self.prefix in ("/", "/api") or self.prefix.startswith("/api/v")


@dataclass(frozen=True)
class Case:
    """One kind of request of a service: how it is told from others and what it gets."""

    rule: Rule
    path: Resource | None = None
    """A path specifier of its own; None: that of the entry."""
    matchers: list[Resource] = field(default_factory=list)
    rewrite: Resource | None = None
    """Envoy's ``regex_rewrite``; None leaves the path, except for what the entry strips."""
    pin: Version | None = None
    """The version that the caller's settings gave."""
    reads_accept: bool = False
    """``Accept`` may name a version: it is read, and the route chosen again if it does."""

    @property
    def name(self) -> str:
        """For route names."""
        found = f"{self.rule.version or 'none'} by {self.rule.place.value}"
        return f"{found}, unless by accept" if self.reads_accept else found

    @property
    def varies(self) -> list[Resource]:
        """Header options that tell caches what the answer depends on beside the URL (RFC 9110, 12.5.5)."""
        return [] if self.rule.place is Place.URL else [headers.append("vary", "X-API-Version, Accept")]

    def finish(self, route: Resource) -> Resource:
        """The route, which reads ``Accept`` or drops what was read of it."""
        if self.reads_accept:
            config = {"@type": _FILTER_CONFIG, "config": {}}
            route["typed_per_filter_config"] = {**route.get("typed_per_filter_config", {}), READING: config}
        if self.rule.place is Place.ACCEPT:
            route["request_headers_to_remove"] = [*route.get("request_headers_to_remove", ()), parse.WISHES]
        return route


READING = "pillion.accept"
"""Name of the filter that reads ``Accept``; see ``envoy/accept.yaml``."""
_FILTER_CONFIG = "type.googleapis.com/envoy.config.route.v3.FilterConfig"

UNVERSIONED = Case(Rule(Place.NONE, "", None))


def cases(table: Table, entry: Entry, policy: Policy, pin: Version | None) -> list[Case]:
    """All kinds of requests of a versioned service, in the order in which they are tried."""
    rules = plan.rules(table, policy, pin)
    if entry.has_slot:
        return [_slot(rule, entry) for rule in rules if rule.place is Place.URL]
    *found, rest = [
        _case(rule, entry) for rule in rules if rule.place is not Place.URL or entry.may_name_version
    ]
    rest = replace(rest, pin=pin)
    return [*found, replace(rest, matchers=[_UNREAD, _MAY_NAME_VERSION], reads_accept=True), rest]


_UNREAD = {"name": parse.WISHES, "present_match": True, "invert_match": True}
_MAY_NAME_VERSION = {
    "name": parse.ACCEPT,
    "string_match": {"contains": parse.MARK, "ignore_case": True},
}


def _case(rule: Rule, entry: Entry) -> Case:
    if rule.place is Place.URL:
        pattern = parse.url_pattern(rule.pattern, entry.below)
        return Case(rule, matchers=[_matches(":path", pattern)], rewrite=_forced(rule, entry))
    if rule.place is Place.HEADER:
        pattern = ".+" if rule.malformed else parse.header_pattern(rule.pattern)
        return Case(rule, matchers=[_matches(parse.HEADER, pattern)])
    if rule.place is Place.ACCEPT:
        return Case(rule, matchers=[_matches(parse.WISHES, parse.wishes_pattern(rule.pattern, rule.unfit))])
    return Case(rule)


def _slot(rule: Rule, entry: Entry) -> Case:
    before, after = entry.prefix.split(names.VERSION_SLOT)
    pattern = f"{re.escape(before)}v(?:{rule.pattern}){re.escape(after)}(?:/.*)?"
    rewrite = None
    if rule.forced:
        rewrite = regex_rewrite(f"^{re.escape(before)}v{parse.ANY}", f"{before}{rule.version}")
    return Case(rule, path={"safe_regex": {"regex": pattern}}, rewrite=rewrite)


def _forced(rule: Rule, entry: Entry) -> Resource | None:
    """A path that names a version that does not exist is one that no instance knows: name the one that
    serves it."""
    if not rule.forced:
        return None
    return regex_rewrite(f"^{re.escape(entry.below)}/api/v{parse.ANY}", f"/api/{rule.version}")


def regex_rewrite(pattern: str, substitution: str) -> Resource:
    """Envoy's rewrite of the path; the query stays."""
    return {"pattern": {"regex": pattern}, "substitution": substitution}


def told(table: Table, version: Version, *, by_service: bool) -> list[Resource]:
    """What an answer says of a deprecated version, as header options.

    ``by_service``: at the service's own sidecar, where the successor's ``Link`` stands beside those of the service.
    Further on it is there already.
    """
    return [
        headers.append(name, headers.literal(value))
        if by_service and name == "link"
        else headers.if_absent(name, headers.literal(value))
        for name, value in plan.response_headers(table, version)
    ]


def discovery(name: str, table: Table, entry: Entry) -> Resource:
    """The route that answers ``GET /api/versions`` of one service."""
    match = {"path": f"{entry.below}{parse.DISCOVERY}", "headers": [_matches(":method", "GET|HEAD")]}
    return direct.answer(
        match, 200, {"service": name, **plan.listing(table)}, name=f"{name} versions", problem=False
    )


def refusal(name: str, table: Table, case: Case, match: Resource) -> Resource:
    """The route that answers what nothing on offer fits."""
    if case.rule.malformed:
        return direct.answer(match, 400, plan.malformed(table), name=f"{name} malformed version")
    extra = [headers.overwrite("x-api-latest-version", str(table.newest)), *case.varies]
    body = plan.not_found(name, table, case.pin)
    title = f"{name} no such version, {case.name}"
    return case.finish(direct.answer(match, 404, body, name=title, extra=extra))


def _matches(header: str, pattern: str) -> Resource:
    return {"name": header, "string_match": {"safe_regex": {"regex": pattern}}}
