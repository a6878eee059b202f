"""All documents of a stream, with their pod templates changed; what became of each is reported."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from agent.inject.injection import Namespace, Outcome, Verdict
from agent.inject.manifests import dump, kinds, load
from agent.inject.manifests.split import Piece, split
from agent.runtime.errors import Problem

LONGEST = 64 * 2**20
"""Characters of a stream beyond which it is refused."""

Change = Callable[[Mapping[str, Any], str], Outcome]
"""From a pod template and the name of its namespace (empty where it is not said) to what becomes of it."""


@dataclass(frozen=True)
class Entry:
    """What became of one resource."""

    title: str
    """``deployment/orders``, or where there is none the place of the document in its file."""
    verdict: Verdict
    reason: str = ""
    warnings: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Result:
    """A stream and what became of it."""

    text: str
    """Documents in which nothing was changed are as they were, byte for byte."""
    entries: tuple[Entry, ...]


def changed(stream: str, name: str, change: Change) -> Result:
    """The stream with ``change`` done to every pod template in it; ``name`` is what the report calls the stream."""
    if len(stream) > LONGEST:
        return Result(stream, (_refused(name, f"is longer than {LONGEST // 2**20} MiB"),))
    texts: list[str] = []
    entries: list[Entry] = []
    for number, piece in enumerate(split(stream), start=1):
        try:
            text, found = _document(piece, change)
        except load.InvalidError as error:
            text, found = piece.text, [_refused(f"{name}: document {number}", str(error))]
        if text is not piece.text and texts and not texts[-1].endswith("\n"):
            texts.append("\n")
        texts.append(text)
        entries += found
    return Result("".join(texts), tuple(entries))


def _refused(place: str, wrong: str) -> Entry:
    problem = Problem(place, wrong)
    return Entry(place, Verdict.REFUSED, wrong, (), (problem,))


def _document(piece: Piece, change: Change) -> tuple[str, list[Entry]]:
    document = load.from_json(piece.body) if _is_json(piece) else None
    end = 0
    if document is None:
        node = load.compose(piece.text)
        if node is None:
            return piece.text, []
        end = load.end(node)
        if (foreign := _foreign(node)) is not None:
            return piece.text, [foreign]
        document = load.data(node)
    if not isinstance(document, dict):
        raise load.InvalidError("is not a mapping")
    after, entries = _resources(document, change)
    return (piece.text if after is None else _written(piece, end, after)), entries


def _is_json(piece: Piece) -> bool:
    return piece.body.lstrip().startswith("{")


def _foreign(node: yaml.Node) -> Entry | None:
    """The entry of a document that is not even read as data: it may have tags that nobody here knows."""
    kind = load.text(load.entry(node, "kind"))
    if kinds.has_templates(load.text(load.entry(node, "apiVersion")), kind):
        return None
    name = load.text(load.entry(load.entry(node, "metadata"), "name"))
    title = f"{kind.lower() or '(without a kind)'}/{name or '(without a name)'}"
    return Entry(title, Verdict.SKIPPED, UNSUPPORTED)


UNSUPPORTED = "its kind is not one with a pod template that is supported"


def _resources(document: dict[str, Any], change: Change) -> tuple[Any, list[Entry]]:
    """The document with its templates changed, None when none was."""
    after: Any = None
    entries = []
    for resource in kinds.resources(document):
        entry, new = _resource(resource, change)
        entries.append(entry)
        if new is not None:
            way = (*resource.place, *(resource.way or ()))
            after = kinds.replaced(document if after is None else after, way, new)
    return after, entries


def _resource(resource: kinds.Resource, change: Change) -> tuple[Entry, Mapping[str, Any] | None]:
    if resource.way is None:
        return Entry(resource.title, Verdict.SKIPPED, UNSUPPORTED), None
    pod = kinds.template(resource.value, resource.way)
    if pod is None:
        place = ".".join(resource.way)
        problem = Problem(place, "is missing or no mapping", "a pod template")
        return Entry(resource.title, Verdict.REFUSED, str(problem), (), (problem,)), None
    found = change(pod, resource.namespace)
    entry = Entry(resource.title, found.verdict, found.reason, found.warnings, found.problems)
    return entry, found.pod if found.verdict is Verdict.INJECTED else None


def _written(piece: Piece, end: int, document: Any) -> str:
    """The document anew, with the comments before and behind it, which begin at ``end`` or later."""
    marker = "---\n" if piece.body.startswith("---") else ""
    head = piece.head if not piece.head or piece.head.endswith("\n") else f"{piece.head}\n"
    return (
        head
        + marker
        + (dump.as_json(document) if _is_json(piece) else dump.as_yaml(document))
        + _comments(piece.tail, end - len(piece.head) - len(piece.body))
    )


def _comments(tail: str, begin: int) -> str:
    """What of a tail are comments: the lines behind ``begin``. A line before that looks like one is of a text.

    They lose their indent, or they would be of a text once more where the new document ends in one."""
    if begin > 0 and tail[:begin].strip():
        tail = tail[begin:] if tail[begin - 1] in "\r\n" else tail[begin:].partition("\n")[2]
    return _INDENT.sub("", tail)


_INDENT = re.compile(r"(?:^|(?<=[\r\n]))[ \t]+(?=#)")


def namespaces(
    streams: Sequence[tuple[str, str]], *, also_unread: bool = True
) -> tuple[dict[str, Namespace], list[Problem]]:
    """The namespaces that manifests (name, text) describe, by name, also in Lists; other kinds are passed over.

    ``also_unread``: whether a document that can't be read at all is a problem here; not where it is one elsewhere."""
    found: dict[str, Namespace] = {}
    problems: list[Problem] = []
    for name, stream in streams:
        for number, piece in enumerate(split(stream), start=1):
            try:
                described = list(_described(piece))
            except load.InvalidError as error:
                if also_unread:
                    problems.append(_no_namespace(name, number, error))
                continue
            for one in described:
                try:
                    space = Namespace(*(_field(one, key) for key in ("name", "labels", "annotations")))
                    found[space.name] = space
                except load.InvalidError as error:
                    problems.append(_no_namespace(name, number, error))
    return found, problems


def _no_namespace(name: str, number: int, error: load.InvalidError) -> Problem:
    return Problem(f"{name}: document {number}", str(error), "manifests of namespaces")


def _described(piece: Piece) -> Iterator[dict[str, Any]]:
    """The Namespaces that a document is or, as a List, holds. Raises InvalidError."""
    document = load.from_json(piece.body) if _is_json(piece) else None
    if document is None:
        node = load.compose(piece.text)
        if node is None or load.text(load.entry(node, "kind")) not in ("Namespace", kinds.LIST):
            return
        document = load.data(node)
    for one in kinds.resources(document):
        if one.kind == "Namespace" and not one.group:
            yield one.value


def _field(document: dict[str, Any], key: str) -> Any:
    metadata = document.get("metadata")
    value = metadata.get(key) if isinstance(metadata, dict) else None
    if key == "name":
        if not isinstance(value, str) or not value:
            raise load.InvalidError("has a Namespace without a name")
        return value
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise load.InvalidError(f"has a Namespace whose metadata.{key} is no mapping of texts")
    return value
