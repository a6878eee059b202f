"""The status as tables: traffic, outbox, and what is remembered of the last hour."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from agent.admin.page.markup import duration as shown
from agent.runtime.words import plain

CHANGES = 10
"""Changes of configuration that are listed; `--json` has more."""
OUTCOMES = {"accepted": "green", "refused": "red"}


def tables(status: Mapping[str, Any]) -> Iterable[Table]:
    """Each that has something to tell; what others wrote is shown as text, without control characters."""
    history = status.get("history", {})
    if status.get("traffic"):
        yield _traffic(status["traffic"])
    if status.get("system", {}).get("calls"):
        yield _calls(status["system"])
    if status.get("outbox"):
        yield _outbox(status["outbox"], history.get("lag", {}))
    if history.get("changes"):
        yield _changes(history["changes"][:CHANGES])
    if history.get("slowest"):
        yield _slowest(history["slowest"])


def _traffic(traffic: Mapping[str, Any]) -> Table:
    table = new_table("Calls to", "Circuit", "Requests", "Failed", "Repeated", "Saved", "Left out")
    for name, one in traffic.items():
        full = ", ".join(one["full"])
        circuit = Text(f"open: {full}", "red") if full else Text("closed", "green")
        unwell = [f"{host['address']} {', '.join(host['unwell'])}" for host in one["hosts"] if host["unwell"]]
        counts = (str(one[key]) for key in ("requests", "failed", "retries", "saved"))
        table.add_row(plain(name), circuit, *counts, plain("; ".join(unwell)))
    return table


def _calls(system: Mapping[str, Any]) -> Table:
    table = new_table("Caller", "Called", "Requests", "Failed")
    for edge in system["calls"]:
        row = (edge["caller"], edge["called"], edge["requests"], edge["failed"])
        table.add_row(*(plain(str(cell)) for cell in row))
    return table


def _outbox(outbox: Any, lags: Mapping[str, Any]) -> Table:
    if isinstance(outbox, Mapping):
        table = new_table("Outbox", "")
        table.add_row("", plain(str(outbox.get("problem", ""))))
        return table
    table = new_table("Feed", "Role", "Lag", "Worst of the hour", "Parked", "Held", "Stopped", "")
    for feed in outbox:
        active = feed["role"] == "active"
        worst = [lag for _, lag in lags.get(feed["feed"], ())]
        aside, said = feed["set_aside"], [feed["problem"], *feed["warnings"]]
        table.add_row(
            plain(feed["feed"]), feed["role"], shown(feed["lag"]) if active else "",
            shown(max(worst)) if worst else "", Text(str(aside["parked"]), "red" if aside["parked"] else ""),
            str(aside["held"]), str(len(feed["stopped"])), plain("; ".join(filter(None, said))),
        )  # fmt: skip
    return table


def _changes(changes: Iterable[Mapping[str, Any]]) -> Table:
    table = new_table("Changed", "What", "Outcome", "")
    for one in changes:
        outcome = Text(plain(one["outcome"]), OUTCOMES.get(one["outcome"], ""))
        table.add_row(_clock(one["at"]), plain(one["subject"]), outcome, plain(one["detail"]))
    return table


def _slowest(slowest: Iterable[Mapping[str, Any]]) -> Table:
    table = new_table("Slowest of the last hour", "Took", "How many", "When")
    for one in slowest:
        within = one["within"]
        took = f"more than {shown(one['beyond'])}" if within is None else f"up to {shown(within)}"
        table.add_row(plain(one["operation"]), took, f"{one['count']} of {one['of']}", _clock(one["at"]))
    return table


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds).astimezone():%H:%M:%S}"


def new_table(*heads: str) -> Table:
    """A table in the form of all of the status."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for head in heads:
        table.add_column(head, overflow="fold")
    return table
