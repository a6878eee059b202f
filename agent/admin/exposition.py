"""The agent's metrics and Envoy's as one scrape in Prometheus' text form."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ANSWERED = "pillion_envoy_answered"


def exposition(collectors: CollectorRegistry, envoy: str | None) -> str:
    """All families, each once.

    The agent's win. ``envoy`` is None when Envoy did not answer, which a gauge says.
    """
    families = dict(_families(generate_latest(collectors).decode()))
    answered = f"# HELP {ANSWERED} 1 if Envoy's own metrics are in this scrape.\n# TYPE {ANSWERED} gauge\n"
    families[ANSWERED] = f"{answered}{ANSWERED} {0 if envoy is None else 1}\n"
    for name, text in _families(envoy or ""):
        families.setdefault(name, text)
    return "".join(families.values())


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
