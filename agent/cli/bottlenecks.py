"""``pillion bottlenecks``: where the time of the last minutes' requests went."""

import asyncio
import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

import click

from agent.cli.durations import duration
from agent.cli.options import SettingsCommand, settings_options
from agent.cli.trace_words import Line, millis
from agent.config import sources
from agent.config.settings import Settings
from agent.config.units import written
from agent.runtime.errors import Permanent
from agent.runtime.words import plain
from agent.tracing import lookup
from agent.tracing.bottlenecks import Ranking, ranked
from agent.tracing.traces import Span
from agent.wiring import traces

SECTIONS = ("tracing",)


@click.command(cls=SettingsCommand)
@click.option(
    "--since",
    callback=duration,
    default="15m",
    show_default=True,
    metavar="DURATION",
    help="How far to look back.",
)
@click.option("--service", default="", metavar="NAME", help="Only requests that came through this service.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=15, show_default=True, help="Operations shown."
)
@click.option(
    "--traces", "most", type=click.IntRange(1, 5000), default=500, show_default=True,
    help="Traces looked at for each service, the newest.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@settings_options(SECTIONS)
def command(
    resolved: sources.Resolved, *, since: float, service: str, limit: int, most: int, as_json: bool
) -> None:
    """The operations of all services, those first in which most time was spent on own work.

    Self time is the time in which nobody whom an operation called was at work; "waited for" is its share of the
    critical paths: to make requests faster, begin there. What is counted are the sampled requests that Jaeger has.
    """
    settings = resolved.settings
    found = asyncio.run(_traces(settings, since, most, service))
    ranking = ranked(found)
    if not ranking.spans:
        raise Permanent(
            f"Jaeger at {lookup.query_url(settings)} has no trace of {service or 'any service'} in the last "
            f"{written(since, 's')}: nothing was sampled (tracing.sample is {settings.tracing.sample:g} here), or "
            "--since is too short"
        )
    if as_json:
        click.echo(json.dumps(data(ranking, limit), indent=2, ensure_ascii=False))
        return
    for line in lines(ranking, limit):
        click.echo(click.style(line.text, fg="red" if line.failed else None))
    click.echo(remark(ranking, limit, settings.tracing.sample, most))


async def _traces(settings: Settings, since: float, most: int, service: str) -> tuple[tuple[Span, ...], ...]:
    async with traces.jaeger(settings) as jaeger:
        return await lookup.recent(jaeger, since, most, service)


def lines(ranking: Ranking, limit: int) -> Iterator[Line]:
    """The first ``limit`` operations, one a line."""
    heads = ("self", "share", "waited for", "calls", "errors", "p50", "p95")
    yield Line(_columns(heads) + "  service  operation")
    for one in ranking.operations[:limit]:
        values = (
            millis(one.total), f"{one.share:.0%}", f"{one.waited_share:.0%}", str(one.calls), str(one.failures),
            millis(one.median), millis(one.slow),
        )  # fmt: skip
        yield Line(f"{_columns(values)}  {plain(one.service)}  {plain(one.name)}", failed=one.failures > 0)


def _columns(values: Sequence[str]) -> str:
    widths = (10, 5, 10, 6, 6, 10, 10)
    return " ".join(f"{value:>{width}}" for value, width in zip(values, widths, strict=True))


def remark(ranking: Ranking, limit: int, sample: float, most: int) -> str:
    """What the table was made of, in two lines."""
    parts = [f"{ranking.traces} traces, {ranking.spans} spans"]
    if ranking.partial:
        parts.append(f"{ranking.partial} of them incomplete")
    if len(ranking.operations) > limit:
        parts.append(f"{len(ranking.operations) - limit} more operations (--limit)")
    if ranking.traces >= most:
        parts.append(f"perhaps not all: {most} of each service at most (--traces)")
    sampled = f"only sampled requests are counted: tracing.sample is {sample:g} in the settings read here"
    return "; ".join(parts) + f"\n{sampled}"


def data(ranking: Ranking, limit: int) -> dict[str, Any]:
    """The same for a program; times in milliseconds."""
    times = {"total": "self_ms", "waited": "path_ms", "median": "p50_ms", "slow": "p95_ms"}
    rows = []
    for one in ranking.operations[:limit]:
        row = dataclasses.asdict(one)
        rows.append({times.get(k, k): round(v / 1000, 3) if k in times else v for k, v in row.items()})
    return {
        "traces": ranking.traces,
        "spans": ranking.spans,
        "incomplete": ranking.partial,
        "operations": rows,
        "not_shown": max(0, len(ranking.operations) - limit),
    }
