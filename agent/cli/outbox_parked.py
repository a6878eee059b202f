"""``pillion outbox parked|replay|discard|prune``: what a person does about events that were set aside, and about old
rows."""

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import click
from prometheus_client import CollectorRegistry

from agent.cli.options import SettingsCommand, settings_options
from agent.cli.outbox_settings import SECTIONS, database, needed
from agent.cli.outbox_words import listed, named
from agent.config import sources
from agent.config.sections.outbox import Outbox
from agent.config.units import seconds
from agent.outbox.cleanup import Cleaner
from agent.outbox.feeds import feeds
from agent.outbox.metrics import Metrics
from agent.outbox.parked.desk import Desk, Done, SetAsideKey, Which
from agent.outbox.parked.keys import LONGEST_REASON

T = TypeVar("T")

json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")
feed_option = click.option("--feed", default="", metavar="TABLE", help="Only this feed. Otherwise: all.")
key_option = click.option("--key", default=None, metavar="KEY", help="The key, whole as it is in the row.")
row_option = click.option(
    "--row", default=None, type=int, metavar="NUMBER", help="A row of the key, by its number."
)
all_option = click.option("--all", "everything", is_flag=True, help="Every key that is set aside.")


@click.command(cls=SettingsCommand)
@feed_option
@json_option
@settings_options(SECTIONS)
def parked(resolved: sources.Resolved, feed: str, as_json: bool) -> None:
    """List the keys that are set aside: why, since when, how many rows. Contents are never shown."""
    settings = needed(resolved)
    names = _feeds(settings, feed)

    async def work(desk: Desk) -> list[SetAsideKey]:
        return await desk.look(names)

    found = asyncio.run(_at_desk(settings, work))
    click.echo(_json(found) if as_json else listed(found))


@click.command(cls=SettingsCommand)
@feed_option
@key_option
@row_option
@all_option
@json_option
@settings_options(SECTIONS)
def replay(
    resolved: sources.Resolved,
    *,
    feed: str,
    key: str | None,
    row: int | None,
    everything: bool,
    as_json: bool,
) -> None:
    """Have the events of a key sent again, in order, by the relay that owns it, within seconds."""
    settings = needed(resolved)
    which = _which(settings, feed, key, row, everything)

    async def work(desk: Desk) -> list[Done]:
        return await desk.replay(which)

    done = asyncio.run(_at_desk(settings, work))
    if as_json:
        click.echo(_json(done))
        return
    for each in done:
        click.echo(f"{each.feed}: {named(each.key, each.rows)}: asked for")
    click.echo(f"keys to be sent again by the relay that owns them: {len(done)}")


@click.command(cls=SettingsCommand)
@feed_option
@key_option
@click.option("--row", default=None, type=int, metavar="NUMBER", help="This row alone, by its number.")
@all_option
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is recorded with your database role.")
@json_option
@settings_options(SECTIONS)
def discard(
    resolved: sources.Resolved,
    *,
    feed: str,
    key: str | None,
    row: int | None,
    everything: bool,
    reason: str,
    as_json: bool,
) -> None:
    """Give events up that are set aside: they are never sent. Their rows stay in their table."""
    settings = needed(resolved)
    which = _which(settings, feed, key, row, everything)
    if not reason.strip() or len(reason) > LONGEST_REASON or "\0" in reason:
        raise click.UsageError(f"--reason is 1 to {LONGEST_REASON} characters that say why")

    async def work(desk: Desk) -> list[Done]:
        return await desk.discard(which, reason)

    done = asyncio.run(_at_desk(settings, work))
    if as_json:
        click.echo(_json(done))
        return
    for each in done:
        click.echo(f"{each.feed}: {named(each.key, each.rows)}: {len(each.rows)} discarded")
    click.echo(f"rows discarded, and recorded in held_audit: {sum(len(each.rows) for each in done)}")


@click.command(cls=SettingsCommand)
@click.option(
    "--older-than",
    required=True,
    metavar="DURATION",
    help="The least age of a row that is deleted, such as 12h or 7d.",
)
@json_option
@settings_options(SECTIONS)
def prune(resolved: sources.Resolved, older_than: str, as_json: bool) -> None:
    """Delete rows of Pillion's own table that are published, old enough and not set aside.

    A relay does that by itself with outbox.retention. Tables that the service writes are the service's own to prune.
    """
    settings = needed(resolved)
    age = seconds(older_than)
    if age is None:
        raise click.UsageError(f"--older-than is {older_than!r}; a duration such as 12h or 7d")
    own = [feed.name for feed in feeds(settings) if feed.own]
    if not own:
        raise click.UsageError("outbox.changes is empty: there is no table of Pillion's own to prune")
    gone = asyncio.run(_pruned(settings, own[0], age))
    if as_json:
        click.echo(json.dumps([{"feed": own[0], "deleted": gone}], indent=2))
    else:
        click.echo(f"{own[0]}: {gone} rows deleted")


async def _pruned(settings: Outbox, feed: str, age: float) -> int:
    metrics = Metrics(CollectorRegistry())
    return await Cleaner(database(settings), settings.schema, feed, age, metrics).round()


async def _at_desk(settings: Outbox, work: Callable[[Desk], Awaitable[T]]) -> T:
    async with database(settings).connection() as connection:
        return await work(Desk(connection, settings.schema))


def _feeds(settings: Outbox, feed: str) -> tuple[str, ...]:
    names = tuple(each.name for each in feeds(settings))
    if feed and feed not in names:
        raise click.UsageError(f"--feed is {feed!r}; the feeds are {', '.join(names)}")
    return (feed,) if feed else names


def _which(settings: Outbox, feed: str, key: str | None, row: int | None, everything: bool) -> Which:
    if [key is not None, row is not None, everything].count(True) != 1:
        raise click.UsageError("say which: one of --key, --row and --all")
    if row is not None and not feed and len(feeds(settings)) > 1:
        raise click.UsageError(
            "--row needs --feed where there are several: each table has numbers of its own"
        )
    return Which(_feeds(settings, feed), key, row)


def _json(found: Sequence[Any]) -> str:
    return json.dumps([dataclasses.asdict(each) for each in found], indent=2)
