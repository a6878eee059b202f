"""The agent's metrics and Envoy's as one scrape in Prometheus' text form."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from agent.metrics import make
from agent.metrics.families import process as declared

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(collectors: CollectorRegistry, envoy: str | None) -> str:
    """All families, each once.

    The agent's win. ``envoy`` is None when Envoy did not answer, which a gauge says.
    """
    families = dict(_families(generate_latest(collectors).decode()))
    families |= _families(_answered(envoy is not None))
    for name, text in _families(envoy or ""):
        families.setdefault(name, text)
    return "".join(families.values())


def _answered(answered: bool) -> str:
    of_this_scrape = CollectorRegistry()
    make.gauge(declared.ANSWERED, of_this_scrape).set(answered)
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
