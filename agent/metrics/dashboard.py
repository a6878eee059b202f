"""The dashboard as Grafana's JSON.

Source: Grafana's manual, "Dashboard JSON model", and what Grafana 12 itself exports.
"""

from collections.abc import Iterator
from typing import Any

from agent.metrics import catalog, promql
from agent.metrics.declare import Metric, Unit
from agent.metrics.families import process, prometheus
from agent.metrics.panels import agents, inbox, injector, outbox, traffic
from agent.metrics.panels.declare import Panel, Part, Shown

PARTS: tuple[Part, ...] = (
    traffic.OVERVIEW, traffic.UPSTREAMS, agents.CONFIGURATION, agents.REGISTRY, outbox.OUTBOX, inbox.INBOX,
    agents.AGENTS, injector.INJECTOR,
)  # fmt: skip

SOURCE = {"type": "prometheus", "uid": "pillion-prometheus"}
"""As compose/grafana/provisioning/datasources names it."""
SCHEMA = 41
WIDTH, HEIGHT, COLUMNS = 8, 7, 24

_UNITS = {
    Unit.COUNT: "short",
    Unit.SECONDS: "s",
    Unit.MILLISECONDS: "ms",
    Unit.BYTES: "bytes",
    Unit.TRUTH: "short",
    Unit.RATIO: "percentunit",
}


def document() -> dict[str, Any]:
    """The whole dashboard."""
    return {
        "uid": "pillion",
        "title": "Pillion",
        "description": "Made from agent/metrics by `python -m agent.metrics.documents`; not to be edited.",
        "tags": ["pillion"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": list(_variables())},
        "panels": list(_panels()),
    }


def _variables() -> Iterator[dict[str, Any]]:
    chosen: list[str] = []
    for name in prometheus.SCRAPE:
        # Every agent has this one, and Prometheus' own targets have not.
        within = f"{process.ANSWERED.name}{{{','.join(chosen)}}}" if chosen else process.ANSWERED.name
        yield {
            "name": name,
            "label": name.capitalize(),
            "type": "query",
            "datasource": SOURCE,
            "query": {"query": f"label_values({within}, {name})", "refId": name},
            "definition": f"label_values({within}, {name})",
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            # All agents, and not Prometheus' own targets; the others may be labels that nobody gave.
            "allValue": "pillion" if name == "job" else ".*",
            "current": {"text": ["All"], "value": ["$__all"]},
            "hide": 0,
            "options": [],
            "regex": "",
        }
        chosen.append(f'{name}=~"${name}"')


def _panels() -> Iterator[dict[str, Any]]:
    number, y = 1, 0
    for part in PARTS:
        place = {"h": 1, "w": COLUMNS, "x": 0, "y": y}
        yield {
            "id": number,
            "type": "row",
            "title": part.title,
            "collapsed": False,
            "gridPos": place,
            "panels": [],
        }
        number, y = number + 1, y + 1
        for index, panel in enumerate(part.panels):
            x = index * WIDTH % COLUMNS
            yield _panel(
                panel, number, {"h": HEIGHT, "w": WIDTH, "x": x, "y": y + index * WIDTH // COLUMNS * HEIGHT}
            )
            number += 1
        y += -(-len(part.panels) * WIDTH // COLUMNS) * HEIGHT


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit.value if panel.unit else unit(panel), "min": 0}
    if panel.most is not None:
        defaults["max"] = panel.most
    return {
        "id": number,
        "type": panel.shown.value,
        "title": panel.title,
        "description": description(panel),
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _OPTIONS[panel.shown],
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": SOURCE,
                "editorMode": "code",
                "expr": target.expr,
                "legendFormat": target.legend,
                "range": True,
            }
            for index, target in enumerate(panel.targets)
        ],
    }


_OPTIONS: dict[Shown, dict[str, Any]] = {
    Shown.LINES: {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    Shown.NUMBER: {
        "colorMode": "value",
        "graphMode": "area",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "auto",
    },
}


def unit(panel: Panel) -> str:
    """Grafana's name of the unit that the panel's first metric has."""
    return _UNITS[_metrics(panel)[0].unit]


def description(panel: Panel) -> str:
    """What the declarations say of what is shown."""
    said = (f"{one.name}: {one.help} {one.meaning}".rstrip() for one in _metrics(panel))
    return "\n\n".join([panel.note, *said] if panel.note else said)


def _metrics(panel: Panel) -> list[Metric]:
    found: dict[str, Metric] = {}
    for target in panel.targets:
        for name in promql.named(target.expr).order:
            found.setdefault(catalog.SERIES[name].name, catalog.SERIES[name])
    return list(found.values())
