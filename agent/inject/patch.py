"""The difference of two documents as a JSON Patch (RFC 6902)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Any


def between(before: object, after: object) -> list[dict[str, Any]]:
    """Operations (``add``, ``remove``, ``replace``) that make ``after`` of ``before``, in the order in which they
    apply; paths are JSON Pointers (RFC 6901).

    Only what differs is named: an item that was put into a list is one ``add``. Numbers and booleans are told
    apart, as in JSON.
    """
    return list(_between(before, after, ""))


def _between(before: object, after: object, path: str) -> Iterator[dict[str, Any]]:
    if before is after:
        return  # most of a pod: the injection copies only what it changes
    match before, after:
        case Mapping(), Mapping():
            yield from _mappings(before, after, path)
        case list(), list():
            yield from _lists(before, after, path)
        case _ if not same(before, after):
            yield {"op": "replace", "path": path, "value": after}


def _mappings(before: Mapping[str, Any], after: Mapping[str, Any], path: str) -> Iterator[dict[str, Any]]:
    for key in before:
        if key not in after:
            yield {"op": "remove", "path": f"{path}/{_escaped(key)}"}
    for key, value in after.items():
        if key in before:
            yield from _between(before[key], value, f"{path}/{_escaped(key)}")
        else:
            yield {"op": "add", "path": f"{path}/{_escaped(key)}", "value": value}


def _lists(before: Sequence[Any], after: Sequence[Any], path: str) -> Iterator[dict[str, Any]]:
    same_begin = _identical(zip(before, after, strict=False))
    rest = min(len(before), len(after)) - same_begin
    same_end = min(rest, _identical(zip(reversed(before), reversed(after), strict=False)))
    before = before[same_begin : len(before) - same_end]
    after = after[same_begin : len(after) - same_end]
    matcher = SequenceMatcher(None, _keys(before), _keys(after), autojunk=False)
    shift = same_begin
    for what, start, end, first, last in matcher.get_opcodes():
        here = start + shift
        if what == "equal":
            for offset in range(end - start):
                yield from _between(before[start + offset], after[first + offset], f"{path}/{here + offset}")
            continue
        for _ in range(end - start):
            yield {"op": "remove", "path": f"{path}/{here}"}
        for offset, value in enumerate(after[first:last]):
            yield {"op": "add", "path": f"{path}/{here + offset}", "value": value}
        shift += (last - first) - (end - start)


def _identical(pairs: Iterable[tuple[Any, Any]]) -> int:
    """How many pairs from the first on are one and the same object: what the injection only took over."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], pairs))


def _keys(items: Sequence[Any]) -> list[str]:
    # What has a name is the same thing with other contents, as Kubernetes' own merge keys have it.
    return [_key(item) for item in items]


def _key(item: Any) -> str:
    if isinstance(item, Mapping) and isinstance(item.get("name"), str):
        return f"name {item['name']}"
    return f"{type(item).__name__} {_canonical(item)}"


def _canonical(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ",".join(f"{key!r}:{_canonical(value[key])}" for key in sorted(value, key=str))
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_canonical, value))}]"
    return repr(value)


def same(one: object, other: object) -> bool:
    """Whether two documents are equal as JSON data, where 1, 1.0 and true are not the same."""
    return type(one) is type(other) and _canonical(one) == _canonical(other)


def _escaped(key: str) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")
