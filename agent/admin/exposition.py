"""The agent's metrics, Envoy's and the service's own as one scrape in Prometheus' text form."""

import re
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from agent.metrics import make
from agent.metrics.declare import Metric, Unit
from agent.metrics.families import envoy as from_envoy
from agent.metrics.families import process as declared

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_UNITS = {Unit.MILLISECONDS: " In milliseconds.", Unit.BYTES: "", Unit.COUNT: ""}
_HELP = {one.name: f"# HELP {one.name} {one.help}{_UNITS.get(one.unit, '')}\n" for one in from_envoy.ALL}
"""Envoy tells no help; these are of its metrics that rules and dashboard ask for."""
_HEAD = re.compile(r"# (?:HELP [a-zA-Z_:][a-zA-Z0-9_:]* .*|TYPE [a-zA-Z_:][a-zA-Z0-9_:]* (\w+))")
_TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
_NAME = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="(?:[^"\\\n]|\\[\\"n])*"')
_SAMPLE = re.compile(
    rf"(([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{{(?:{_LABEL}(?:,{_LABEL})*,?)?\}})?) "
    r"(?:[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?Inf|NaN)(?: -?[0-9]+)?"
)
_SUFFIXES = ("_bucket", "_sum", "_count", "_total", "_created")


def exposition(
    collectors: CollectorRegistry, envoy: str | None, service: str | None = None, *, of_service: bool = False
) -> str:
    """All families, each once.

    The agent's win, then Envoy's. ``envoy`` and ``service`` are None when they did not answer, which a gauge says, the
    second where ``of_service`` says that the service has any.
    """
    families = _own(collectors)
    families |= _families(_answered(declared.ANSWERED, envoy is not None))
    if of_service:
        families |= _families(_answered(declared.SERVICE_ANSWERED, service is not None))
    for name, text in _families(envoy or ""):
        families.setdefault(name, f"{_HELP.get(name, '')}{text}")
    taken = set(families) | {name.removesuffix("_total") for name in families}
    for name, text in _families("\n".join(sound((service or "").splitlines()))):
        if name not in families and name not in taken:
            families[name] = text
    return "".join(families.values())


def own(collectors: CollectorRegistry) -> str:
    """What the process itself counts, alone."""
    return "".join(_own(collectors).values())


def _own(collectors: CollectorRegistry) -> dict[str, str]:
    # The library says of each counter when it began: as many series again, which nobody declared and nobody asks for.
    families = _families(generate_latest(collectors).decode())
    return {name: text for name, text in families if not name.endswith("_created")}


def sound(lines: Iterable[str]) -> Iterator[str]:
    """The lines that a Prometheus can read, each in its family; one that it can't would cost the whole scrape.

    A sample without a ``# TYPE`` before it gets one. A sample that comes twice is left out. Source: Prometheus'
    text-based exposition format.
    """
    family, seen = "", set[str]()
    for raw in lines:
        line = raw.strip()
        head = _HEAD.fullmatch(line)
        if head and (head[1] is None or head[1] in _TYPES):
            family = line.split(" ", 3)[2]
            yield line
        elif (sample := _SAMPLE.fullmatch(line)) and sample[1] not in seen and _once_each(sample[1]):
            seen.add(sample[1])
            if not _belongs(sample[2], family):
                family = sample[2]
                yield f"# TYPE {family} untyped"
            yield line


def _once_each(series: str) -> bool:
    """Whether no label is named twice."""
    named = _NAME.findall(series)
    return len(named) == len(set(named))


def _belongs(sample: str, family: str) -> bool:
    return sample == family or any(sample == family + suffix for suffix in _SUFFIXES)


def _answered(metric: Metric, answered: bool) -> str:
    of_this_scrape = CollectorRegistry()
    make.gauge(metric, of_this_scrape).set(answered)
    return generate_latest(of_this_scrape).decode()


def _families(text: str) -> Iterator[tuple[str, str]]:
    """The families of a scrape by name.

    Lines before the first ``# HELP`` or ``# TYPE`` belong to none and are left out.
    """
    name, lines = "", list[str]()
    for line in text.splitlines():
        words = line.split(None, 3)
        if len(words) >= 3 and words[0] == "#" and words[1] in {"HELP", "TYPE"} and words[2] != name:
            if name:
                yield name, "".join(lines)
            name, lines = words[2], []
        if name and line:
            lines.append(line + "\n")
    if name:
        yield name, "".join(lines)
