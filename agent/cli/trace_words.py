"""What ``pillion trace`` tells a person, and a program. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agent.runtime.words import plain
from agent.tracing import times, traces
from agent.tracing.hops import Hop, hop, walked
from agent.tracing.lookup import REQUEST_TAG, Found
from agent.tracing.tree import Forest, Node, grown


@dataclass(frozen=True)
class Line:
    """One line, and how it is to look."""

    text: str
    path: bool = False
    """Whether it is on the critical path."""
    failed: bool = False


def told(found: Found, most: int) -> Iterator[Line]:
    """A request as a tree of its calls, at most ``most`` of them, the critical path marked."""
    forest = grown(found.spans)
    main = forest.main
    path = times.on_path(times.critical_path(main)) if main else {}
    yield Line(_title(found, forest))
    yield Line(f"{'total':>10} {'self':>10} {'path':>5}")
    left = most
    roots = sorted(forest.roots, key=lambda root: (root is not main, root.start))
    for root in roots:
        if root is not main:
            yield Line(f"not below the others, because its parent {_short(root.span.parent)} is missing:")
        for line in _tree(hop(root), path, main.duration if main else 0):
            if left <= 0:
                break
            left -= 1
            yield line
    yield from _remarks(found, forest, most)


def _title(found: Found, forest: Forest) -> str:
    main = forest.main
    services = {span.service for span in found.spans}
    parts = [f"trace {found.trace}"]
    if main:
        parts += [millis(main.duration), _moment(main.start)]
    parts += [_count(len(found.spans), "span"), _count(len(services), "service")]
    if ids := sorted({span.word(REQUEST_TAG) for span in found.spans} - {""}):
        parts.append(f"request {', '.join(ids[:3])}")
    return plain(" | ".join(parts))


def _moment(micro: int) -> str:
    try:
        return f"{datetime.fromtimestamp(micro / 1e6, UTC).astimezone():%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return "at no time that a calendar has"


def _tree(root: Hop, path: Mapping[str, int], whole: int) -> Iterator[Line]:
    for one, last in walked(root):
        waited = one.waited(path)
        share = f"{100 * waited / whole:.0f} %" if waited and whole else ""
        numbers = f"{millis(one.duration):>10} {millis(one.self_time):>10} {share:>5}"
        words = [f"{one.span.service}  {traces.called(one.span)}", *_notes(one)]
        text = plain(f"{numbers}  {_branch(last)}{'; '.join(words)}")
        yield Line(text, path=bool(waited), failed=one.failed)


def _branch(last: tuple[bool, ...]) -> str:
    if not last:
        return ""
    return "".join("   " if end else "│  " for end in last[:-1]) + ("└─ " if last[-1] else "├─ ")


def _notes(one: Hop) -> Iterator[str]:
    code, flags = traces.status(one.outer.span), traces.flags(one.outer.span)
    if one.failed:
        yield "FAILED" + (f" {code}" if code else "") + (f" ({flags})" if flags else "")
    elif code >= 400:
        yield str(code)
    if one.attempts > 1:
        yield f"{one.attempts} tries"
    if len(one.nodes) > 1:
        yield f"{millis(one.between)} between"
    if one.unanswered:
        yield "the callee's span is missing"
    skew = max((node.skew for node in one.nodes), key=abs)
    if skew:
        yield f"its clock put right by {'+' if skew > 0 else '-'}{millis(abs(skew))}"
    if one.outer.apart:
        yield "began after its parent had ended"
    elif any(node.cut for node in one.nodes):
        yield "outlasts its parent, cut"


def _remarks(found: Found, forest: Forest, most: int) -> Iterator[Line]:
    hops = [one for root in forest.roots for one, _ in walked(hop(root))]
    if len(hops) > most:
        yield Line(f"{len(hops) - most} more calls: --lines shows more, --json all")
    main = forest.main
    if main and main.span.parent is not None and len(forest.roots) == 1:
        yield Line(f"the caller, span {_short(main.span.parent)}, has not told of itself")
    if len(forest.roots) > 1 or any(one.unanswered for one in hops):
        yield Line("incomplete: a span was lost, or a service in between has no tracing or no carry hook")
    if not found.settled:
        yield Line(
            "it is too young to be complete: spans arrive up to 5 s after a request; --wait waits longer"
        )
    if found.others:
        yield Line(plain(f"the same request id is in {', '.join(found.others[:5])} too"))


def data(found: Found) -> dict[str, Any]:
    """The same for a program: spans in the order of the tree; times in milliseconds."""
    forest = grown(found.spans)
    main = forest.main
    path = times.on_path(times.critical_path(main)) if main else {}
    hops = [one for root in forest.roots for one, _ in walked(hop(root))]
    origin = main.start if main else 0
    return {
        "trace": found.trace,
        "start": origin / 1e6,
        "duration_ms": _ms(main.duration) if main else 0.0,
        "settled": found.settled,
        "missing_parents": list(forest.missing),
        "other_traces": list(found.others),
        "hops": [_hop(one, path) for one in hops],
        "spans": [_span(node, origin, path) for node in _nodes(hops)],
    }


def _nodes(hops: Iterable[Hop]) -> Iterator[Node]:
    for one in hops:
        yield from one.nodes


def _hop(one: Hop, path: Mapping[str, int]) -> dict[str, Any]:
    return {
        "service": one.span.service, "operation": traces.called(one.span),
        "spans": [node.span.id for node in one.nodes],
        "duration_ms": _ms(one.duration), "self_ms": _ms(one.self_time), "between_ms": _ms(one.between),
        "path_ms": _ms(one.waited(path)), "failed": one.failed, "status": traces.status(one.outer.span),
        "attempts": one.attempts, "unanswered": one.unanswered,
    }  # fmt: skip


def _span(node: Node, origin: int, path: Mapping[str, int]) -> dict[str, Any]:
    span = node.span
    return {
        "id": span.id, "parent": span.parent, "service": span.service, "operation": span.operation,
        "kind": span.kind, "instance": span.instance, "start_ms": _ms(node.start - origin),
        "duration_ms": _ms(node.duration), "self_ms": _ms(times.self_time(node)),
        "path_ms": _ms(path.get(span.id, 0)), "failed": traces.failed(span), "skew_ms": _ms(node.skew),
        "cut": node.cut, "apart": node.apart, "attributes": dict(span.tags),
    }  # fmt: skip


def millis(micro: int) -> str:
    """Microseconds for a person."""
    if micro >= 1_000_000:
        return f"{micro / 1e6:.2f} s"
    return f"{micro / 1000:.{1 if micro >= 100_000 else 2}f} ms"


def _ms(micro: int) -> float:
    return round(micro / 1000, 3)


def _short(name: str | None) -> str:
    return plain((name or "")[:32])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
