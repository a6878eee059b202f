"""Live settings: what KV `pillion/SERVICE` changes without a restart."""

from collections.abc import Iterator

import msgspec

from agent.config import checks, document, fields, values
from agent.config.origins import Given, Origin
from agent.config.problems import Report
from agent.config.settings import Settings
from agent.config.shapes import Group, Named
from agent.config.sources import assemble
from agent.config.upstream import traffic_for

__all__ = ["override", "traffic_for"]

ENTRY = ("traffic", "paths")
"""What may change of one upstream."""

ALLOWED = (
    "traffic, versions.policy, limits and max_body of proxy and gateway, and of upstreams: traffic and paths"
)


def override(settings: Settings, text: bytes, name: str = "the override") -> Settings:
    """``settings`` with what the document ``text`` (YAML or JSON, hostile until read) says; ``name`` is what
    messages call it.

    Only settings declared live may be in it, and of each upstream `traffic` (its entries are changed one by
    one) and `paths` (replaced). An empty document changes nothing. Raises Misconfigured with all problems;
    ``settings`` is never altered."""
    report = Report(source=name)
    content = _content(text, name, report)
    upstreams = _upstreams(settings, content.pop("upstreams", None), report)
    given = dict(_live(fields.shape(), content, "", report))
    report.check()
    given["upstreams"] = Given({**msgspec.to_builtins(settings.upstreams), **upstreams}, Origin("KV", name))
    result = assemble(given, settings)
    checks.check(result, source=lambda _key: name)
    return result


def _content(text: bytes, name: str, report: Report) -> dict[str, object]:
    try:
        content = document.parse(text.decode())
    except UnicodeDecodeError:
        report.refuse(name, "is not UTF-8")
    except document.UnreadableError as error:
        report.refuse(name, str(error))
    else:
        if isinstance(content, dict | None):
            return dict(content or {})
        report.refuse(name, "is not a mapping", ALLOWED)
    return {}


def _live(
    group: Group, content: dict[str, object], prefix: str, report: Report
) -> Iterator[tuple[str, Given]]:
    for name, raw in content.items():
        key = values.place_of(prefix, name)
        member = group.members.get(name)
        if member is None:
            values.unknown(key, name, list(group.members), report)
        elif isinstance(member.shape, Group) and isinstance(raw, dict | None):
            yield from _live(member.shape, raw or {}, key, report)
        elif not member.live:
            report.refuse(key, "can't be changed without a restart", ALLOWED)
        else:
            yield key, Given(values.read(member.shape, raw, key, report), Origin("KV", report.source))


def _upstreams(settings: Settings, content: object, report: Report) -> dict[str, object]:
    if content is None:
        return {}
    if not isinstance(content, dict):
        report.refuse("upstreams", "is not a mapping", ALLOWED)
        return {}
    return {name: _upstream(settings, name, raw, report) for name, raw in content.items()}


def _upstream(settings: Settings, name: str, raw: object, report: Report) -> object:
    named = fields.shape().members["upstreams"].shape
    assert isinstance(named, Named)
    key = values.place_of("upstreams", name)
    values.read(named.key, name, key, report)
    if name not in settings.upstreams and "*" not in settings.upstreams:
        report.refuse(
            key, "is not an upstream of this service", f"one of {', '.join(sorted(settings.upstreams))}"
        )
    read = values.read(named.value, raw, key, report)
    former = settings.upstreams.get(name)
    entry: dict[str, object] = dict(msgspec.to_builtins(former)) if former else {}
    if not isinstance(read, dict):
        return entry
    for field in read.keys() - set(ENTRY):
        report.refuse(values.place_of(key, field), "can't be changed without a restart", "traffic and paths")
    if isinstance(traffic := read.get("traffic", {}), dict):
        entry["traffic"] = {**(former.traffic if former else {}), **traffic}
    entry["paths"] = read.get("paths", entry.get("paths", []))
    return entry
