"""Reading the annotations: each by its declaration, together by the settings' own rules."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from agent.config import checks, document, fields, sources, texts, values
from agent.config.origins import Given, Origin
from agent.config.problems import Report, did_you_mean, masked
from agent.config.settings import Settings
from agent.inject.options import META, NAME_LABELS, OTHERS, PREFIX, Own, meta, options, outbox
from agent.runtime.errors import Misconfigured, Problem


@dataclass(frozen=True)
class Read:
    """What the annotations of a pod and of its namespace say."""

    given: Mapping[str, Given]
    """Values of settings by their dotted keys."""
    variables: Mapping[str, str]
    """The variables that tell the sidecar so."""
    own: Own
    names: frozenset[str]
    """The options that somebody gave, without the prefix."""
    warnings: tuple[str, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class _Text:
    """An annotation's value and whose it is."""

    text: str
    source: str


def read(own: Mapping[str, Any], defaults: Mapping[str, Any], namespace: str) -> Read:
    """The options in ``own``, a pod's annotations, and in ``defaults``, its namespace's, which count where the pod's
    say nothing."""
    there = _collected(own, defaults, namespace)
    report = Report()
    _refuse_shared(there, report)
    given: dict[str, Given] = {}
    variables: dict[str, str] = {}
    for option in options():
        if option.name.endswith("*"):
            _read_meta(there, given, variables, report)
        elif option.name in there and not option.own:
            one = there[option.name]
            value = texts.read(option.member.shape, one.text, option.annotation, report.of(one.source))
            given[option.key] = Given(value, Origin("annotation", option.annotation))
            if option.variable:
                variables[option.variable] = one.text
    mine = _read_own(there, report)
    if mine.outbox_config:
        _read_outbox(there["outbox-config"], given, variables, report)
    return Read(
        given, variables, mine, frozenset(there), (*_unknown(own, defaults), *_shared(there)),
        tuple(report.problems),
    )  # fmt: skip


def _collected(own: Mapping[str, Any], defaults: Mapping[str, Any], namespace: str) -> dict[str, _Text]:
    found: dict[str, _Text] = {}
    for source, annotations in ((f"namespace {namespace}", defaults), ("", own)):
        for key, text in annotations.items():
            if isinstance(key, str) and key.startswith(PREFIX) and key not in OTHERS:
                found[key.removeprefix(PREFIX)] = _Text(text if isinstance(text, str) else str(text), source)
    return found


def _refuse_shared(there: dict[str, _Text], report: Report) -> None:
    """Take out of ``there`` what a namespace can't be the default of, and note it."""
    one = there.get("service")
    if one and one.source:
        del there["service"]
        report.of(one.source).refuse(
            f"{PREFIX}service",
            "would make all workloads of the namespace one service",
            f"on a pod only; without it the labels {' and '.join(NAME_LABELS)} name the service",
        )


def _shared(there: Mapping[str, _Text]) -> Iterator[str]:
    for name, effect in _SHARED.items():
        if name in there and there[name].source:
            yield f"{PREFIX}{name} is from the {there[name].source}: {effect}; say it on the pods"


_SHARED = {
    "port": "every pod there that says nothing else is registered at that port, whether it listens there or not",
    "routes": "every service there that says nothing else gets these paths at the gateway",
}
"""What a namespace may give all its pods, but hardly means."""


def _unknown(own: Mapping[str, Any], defaults: Mapping[str, Any]) -> Iterator[str]:
    known = [one.annotation for one in options()]
    for key in sorted({*own, *defaults}):
        if key.startswith(PREFIX) and key not in OTHERS and key not in known and not _is_meta(key):
            yield f"{key[:300]} is not an annotation of Pillion{did_you_mean(key[:100], known)}"


def _is_meta(key: str) -> bool:
    return key.startswith(PREFIX + META)


def _read_meta(
    there: Mapping[str, _Text], given: dict[str, Given], variables: dict[str, str], report: Report
) -> None:
    pairs = {name.removeprefix(META): one for name, one in there.items() if name.startswith(META)}
    for key, one in pairs.items():
        place, about = f"{PREFIX}{META}{key[:200]}", report.of(one.source)
        values.read(meta().key, key, place, about)
        values.read(meta().value, one.text, place, about)
    if not pairs:
        return
    found = {key: one.text for key, one in pairs.items()}
    if meta().at_most is not None and len(found) > (meta().at_most or 0):
        report.refuse(f"{PREFIX}{META}*", f"are {len(found)}", f"at most {meta().at_most}")
    given["service.meta"] = Given(found, Origin("annotation", f"{PREFIX}{META}*"))
    variables[fields.by_key()["service.meta"].variable] = json.dumps(found)


def _read_own(there: Mapping[str, _Text], report: Report) -> Own:
    found: dict[str, Any] = {}
    for option in options():
        if option.own and option.name in there and option.name != "outbox-config":
            one = there[option.name]
            found[option.key] = texts.read(
                option.member.shape, one.text, option.annotation, report.of(one.source)
            )
    if "outbox-config" in there:
        found["outbox_config"] = there["outbox-config"].text
    return Own(**found)


def _read_outbox(one: _Text, given: dict[str, Given], variables: dict[str, str], report: Report) -> None:
    place = f"{PREFIX}outbox-config"
    about = report.of(one.source)
    try:
        content = document.parse(one.text)
    except document.UnreadableError as error:
        about.refuse(place, str(error), _OUTBOX)
        return
    if not isinstance(content, dict):
        about.refuse(place, "is not a mapping", _OUTBOX)
        return
    shape = outbox()
    found = dict(sources.flattened(shape, content, place, Origin("annotation", place), about))
    for key, value in found.items():
        setting = f"outbox{key.removeprefix(place)}"
        _no_secret(setting, value.value, key, about)
        given[setting] = value
        variables[fields.by_key()[setting].variable] = _as_text(_at(content, key.removeprefix(f"{place}.")))


_OUTBOX = "the settings of the section `outbox`, such as `changes: [{table: orders}]`"


def _no_secret(setting: str, value: object, place: str, report: Report) -> None:
    if not fields.by_key()[setting].member.secret or not isinstance(value, str):
        return
    if setting == "outbox.database" or masked(value) != value or re.search(r"[?&]|token|pass", value):
        report.refuse(
            place,
            "may hold a secret, and a manifest is read by many",
            f"a Secret: {PREFIX}outbox-database-secret",
        )


def _at(content: Mapping[str, Any], path: str) -> object:
    found: object = content
    for part in path.split("."):
        assert isinstance(found, dict)
        found = found[part]
    return found


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def settled(read: Read, base: Settings, changes: Mapping[str, object]) -> tuple[Settings, list[Problem]]:
    """The sidecar's settings as far as they are known here, and what the rules over several settings find wrong.

    ``changes`` are further values by dotted key. Where there are problems the settings mean nothing.
    """
    given = {**read.given, **{key: Given(value, Origin("default")) for key, value in changes.items()}}
    try:
        settings = sources.assemble(given, base)
        checks.check(_with_secrets(settings, read))
    except Misconfigured as error:
        return base, [_renamed(one) for one in error.problems]
    return settings, []


def _with_secrets(settings: Settings, read: Read) -> Settings:
    """With something in place of what the sidecar reads from files."""
    box, secret = settings.outbox, read.own.outbox_database_secret
    if box.database_file or secret:
        box = msgspec.structs.replace(box, database="postgresql://a.file")
    if not box.broker.url and (box.broker.url_file or secret):
        box = msgspec.structs.replace(box, broker=msgspec.structs.replace(box.broker, url="nats://a.file"))
    return msgspec.structs.replace(settings, outbox=box)


def _renamed(problem: Problem) -> Problem:
    """The same problem by the annotation's name, where there is one for it."""
    special = {
        "outbox.database": f"{PREFIX}outbox-database-secret",
        "outbox.broker.url": f"{PREFIX}outbox-database-secret",
    }
    if problem.key in special and problem.wrong == "is missing":
        allowed = "a Secret with the keys `url` and `broker`"
        return Problem(special[problem.key], f"is missing, and the outbox needs {problem.key}", allowed)
    for option in options():
        rest = problem.key.removeprefix(option.key)
        if problem.key.startswith(option.key) and (not rest or rest[0] in ".[") and not option.own:
            name = option.annotation if option.name != "meta-*" else f"{PREFIX}meta-{rest.lstrip('.')}"
            return Problem(name + (rest if option.name != "meta-*" else ""), problem.wrong, problem.allowed)
    if problem.key.startswith("outbox."):
        name = f"{PREFIX}outbox-config{problem.key.removeprefix('outbox')}"
        return Problem(name, problem.wrong, problem.allowed)
    return problem
