"""``pillion status``: what a running agent says of itself."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.cli import reach, status_words
from agent.cli.options import SettingsCommand, settings_options
from agent.cli.status_words import new_table as _table
from agent.config import sources
from agent.runtime.words import plain

COLOURS = {"ok": "green", "degraded": "yellow", "starting": "cyan", "stopped": "red"}


@click.command(cls=SettingsCommand)
@click.option("--json", "as_json", is_flag=True, help="As JSON, with everything.")
@click.option("--address", metavar="HOST:PORT", help="Where the agent listens. Default: admin.listen.")
@settings_options(reach.SECTIONS)
def command(resolved: sources.Resolved, as_json: bool, address: str | None) -> None:
    """What a running agent says of itself: registration, upstreams, versions, Envoy, outbox."""
    found = reach.call(reach.find(resolved.settings, address), "/status").data()
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False, markup=False, emoji=False)
    for table in tables(found):
        console.print(table)


def tables(status: Mapping[str, Any]) -> Iterable[Table | Text]:
    """The status as tables; what others wrote is shown as text, without control characters."""
    agent = status["agent"]
    title = f"{agent.get('instance') or agent.get('service') or 'gateway'}: "
    ready = Text("ready", "green") if status["ready"] else Text("not ready", "red")
    yield Text(plain(title)) + ready
    for reason in status["reasons"]:
        yield Text(f"  - {plain(reason)}")
    yield _components(status["components"])
    yield _envoy(status["envoy"])
    if status["upstreams"]:
        yield _upstreams(status["upstreams"], status["left_out"])
    yield from status_words.tables(status)
    if status.get("review", {}).get("problems") or status.get("review", {}).get("conflicts"):
        yield _review(status["review"])
    for name in ("registration", "service", "verdict", "versions", "routes", "hook", "store"):
        if status.get(name):
            yield _facts(name, status[name])
    yield _facts("ports", status["ports"])


def _components(components: Mapping[str, Any]) -> Table:
    table = _table("Component", "State", "")
    for name, report in components.items():
        state = report["state"]
        table.add_row(plain(name), Text(state, COLOURS.get(state, "")), plain(report["detail"]))
    return table


def _envoy(envoy: Mapping[str, Any]) -> Table:
    table = _table("Envoy", "")
    table.add_row("connected", "yes" if envoy["connected"] else "no")
    table.add_row("in force", plain(envoy["in_force"]) or "nothing")
    if envoy["sent"] != envoy["in_force"]:
        table.add_row("newest", plain(envoy["sent"]) or "nothing")
    for refusal in envoy["refusals"]:
        table.add_row(Text(f"refused {plain(refusal['type'])}", "red"), plain(refusal["message"]))
    return table


def _upstreams(upstreams: Mapping[str, Any], left_out: Iterable[str]) -> Table:
    table = _table("Upstream", "Instance", "Versions", "Zone")
    for name, service in upstreams.items():
        shown = plain(name) + (" (last known)" if service["stale"] else "")
        for instance in service["instances"]:
            versions = plain(", ".join(instance["versions"]))
            table.add_row(shown, plain(instance["address"]), versions, plain(instance["zone"]))
            shown = ""
        if not service["instances"]:
            table.add_row(shown, Text("none passing", "yellow"))
    for name in left_out:
        table.add_row(plain(name), Text("left out: more than 100 services", "yellow"))
    return table


def _review(review: Mapping[str, Any]) -> Table:
    """What others registered that can't be used as it is."""
    table = _table("Left out", "")
    for kind, word in (("problems", "entry"), ("conflicts", "conflict")):
        for sentence in review[kind]:
            table.add_row(Text(word, "yellow"), plain(sentence))
        if more := review[kind.removesuffix("s") + "_count"] - len(review[kind]):
            table.add_row(Text(word, "yellow"), f"and {more} more")
    return table


def _facts(title: str, value: Any) -> Table:
    table = _table(title.capitalize(), "")
    rows = value.items() if isinstance(value, Mapping) else [(title, value)]
    for key, inner in rows:
        text = inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False)
        table.add_row(plain(str(key)), plain(text))
    return table
