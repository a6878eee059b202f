"""``pillion trace``: one request's path through the services, with where its time went."""

import asyncio
import json

import click

from agent.cli import trace_words
from agent.cli.durations import duration
from agent.cli.options import SettingsCommand, settings_options
from agent.config import sources
from agent.config.settings import Settings
from agent.runtime.errors import Permanent
from agent.tracing import lookup
from agent.wiring import traces

SECTIONS = ("tracing",)


@click.command(cls=SettingsCommand)
@click.argument("asked", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with all spans and their attributes.")
@click.option(
    "--wait",
    callback=duration,
    default="8s",
    show_default=True,
    metavar="DURATION",
    help="How long late spans are waited for. 0: not.",
)
@click.option(
    "--since",
    callback=duration,
    default="1h",
    show_default=True,
    metavar="DURATION",
    help="How far back a request's id is looked for.",
)
@click.option(
    "--lines", type=click.IntRange(1, 100_000), default=200, show_default=True, help="Calls that are shown."
)
@settings_options(SECTIONS)
def command(
    resolved: sources.Resolved, *, asked: str, as_json: bool, wait: float, since: float, lines: int
) -> None:
    """One request's path through the services: a line a call, its duration, its self time (nobody it called was at
    work) and its share of the critical path (what the request waited for).

    ID is a trace's id, a whole traceparent, or the X-Request-Id of an answer. Jaeger is asked at tracing.query.
    """
    try:
        wanted = lookup.wanted(asked)
    except Permanent as error:
        raise click.UsageError(str(error)) from error
    found = asyncio.run(_found(resolved.settings, asked, wanted, wait, since))
    if as_json:
        click.echo(json.dumps(trace_words.data(found), indent=2, ensure_ascii=False))
        return
    for line in trace_words.told(found, lines):
        click.echo(click.style(line.text, fg="red" if line.failed else None, bold=line.path or None))


async def _found(
    settings: Settings, text: str, asked: lookup.Wanted, wait: float, since: float
) -> lookup.Found:
    def say(words: str) -> None:
        click.echo(words, err=True)

    async with traces.jaeger(settings) as jaeger:
        found = await lookup.request(jaeger, asked, wait=wait if asked.sampled else 0, since=since, say=say)
    if found is None and not asked.sampled:
        raise Permanent(f"{text!r} was not sampled, as its last two digits say: there are no spans of it")
    if found is None:
        raise Permanent(
            f"Jaeger at {lookup.query_url(settings)} has no trace of {text!r}: the request was not sampled "
            f"(tracing.sample is {settings.tracing.sample:g} here), is too young (spans arrive up to 5 s late), is "
            "forgotten (a request's id is looked for within --since), or the id is another"
        )
    return found
