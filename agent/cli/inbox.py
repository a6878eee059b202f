"""``pillion inbox``: prepare the consumer's database, see who takes messages, deal with dead letters."""

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from agent.cli.options import SettingsCommand, settings_options
from agent.config import sources
from agent.config.settings import Settings
from agent.outbox.database import Database
from agent.outbox.inbox import install
from agent.outbox.inbox.letters import Letter, Letters, Partition
from agent.outbox.sql.install import SESSION
from agent.runtime.errors import Misconfigured, Problem

T = TypeVar("T")

SECTIONS = ("inbox", "outbox", "service")
role_option = click.option(
    "--role", default="", metavar="NAME", help="Grant this database role what an inbox needs, and no more."
)
json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.group()
def command() -> None:
    """The inbox: prepare the consumer's database, see who takes messages, deal with dead letters."""


@command.command(cls=SettingsCommand)
@role_option
@settings_options(SECTIONS)
def init(resolved: sources.Resolved, role: str) -> None:
    """Make the inbox's tables; again is no change."""
    asyncio.run(_init(resolved.settings, role))
    click.echo(f"the schema {resolved.settings.inbox.schema} is there")


async def _init(settings: Settings, role: str) -> None:
    schema = settings.inbox.schema
    async with (
        _database(settings).connection() as connection,
        connection.transaction("making the inbox's tables"),
    ):
        await connection.execute("making the inbox's tables", install.made(schema))
        if role:
            await connection.execute(f"granting to {role}", install.grants(schema, role))


@command.command(cls=SettingsCommand)
@role_option
@settings_options(SECTIONS)
def sql(resolved: sources.Resolved, role: str) -> None:
    """Print what `init` runs, for psql."""
    schema = resolved.settings.inbox.schema
    click.echo(install.made(schema))
    if role:
        click.echo(install.grants(schema, role))


@command.command(cls=SettingsCommand)
@json_option
@settings_options(SECTIONS)
def status(resolved: sources.Resolved, as_json: bool) -> None:
    """Who has each partition, and how many dead letters it has."""
    found: list[Partition] = asyncio.run(_with(resolved.settings, lambda letters: letters.partitions()))
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(each) for each in found], indent=2))
        return
    for each in found:
        owner = f"with {each.owner}" if each.owner else "with nobody"
        click.echo(
            f"{each.topic} {each.partition}: {owner}; {each.dead} dead letters, {each.replay} to be replayed"
        )


@command.command(cls=SettingsCommand)
@click.option(
    "--limit", default=100, show_default=True, metavar="N", help="How many to show, the oldest first."
)
@json_option
@settings_options(SECTIONS)
def dead(resolved: sources.Resolved, limit: int, as_json: bool) -> None:
    """The dead letters with their reasons; what is in them is not shown."""
    found: list[Letter] = asyncio.run(_with(resolved.settings, lambda letters: letters.listed(limit)))
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(each) for each in found], indent=2))
        return
    for each in found:
        key = f", key {each.key}" if each.key is not None else ""
        click.echo(
            f"{each.number} {each.state} {each.at} {each.topic}{key}, {each.type} {each.id}: {each.reason}"
        )
    if not found:
        click.echo("no dead letters")


@command.command(cls=SettingsCommand)
@click.argument("numbers", metavar="NUMBER…", type=int, nargs=-1, required=True)
@settings_options(SECTIONS)
def replay(resolved: sources.Resolved, numbers: tuple[int, ...]) -> None:
    """Let the service have dead letters again, by the numbers that `dead` shows.

    With `inbox.dead: park-key` the later messages of the key follow, in order. An agent does it, soon.
    """
    whole = resolved.settings.inbox.dead == "park-key"
    _said(
        numbers,
        asyncio.run(_with(resolved.settings, lambda letters: letters.replay(numbers, whole))),
        "to be replayed",
    )


@command.command(cls=SettingsCommand)
@click.argument("numbers", metavar="NUMBER…", type=int, nargs=-1, required=True)
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is kept with the letter.")
@settings_options(SECTIONS)
def discard(resolved: sources.Resolved, numbers: tuple[int, ...], reason: str) -> None:
    """Give dead letters up: the service never gets them. Their bodies are deleted, the rest is kept for a while."""
    _said(
        numbers,
        asyncio.run(_with(resolved.settings, lambda letters: letters.discard(numbers, reason))),
        "discarded",
    )


def _said(numbers: tuple[int, ...], done: list[int], what: str) -> None:
    for number in done:
        click.echo(f"{number} {what}")
    missing = [number for number in numbers if number not in done]
    for number in missing:
        click.echo(f"{number}: there is no such dead letter, or its body was cut", err=True)
    if missing:
        click.get_current_context().exit(1)


async def _with(settings: Settings, work: Callable[[Letters], Awaitable[T]]) -> T:
    async with _database(settings).connection() as connection:
        return await work(
            Letters(connection, settings.inbox.schema, settings.inbox.consumer or settings.service.name)
        )


def _database(settings: Settings) -> Database:
    url = settings.inbox.database or settings.outbox.database
    if not url:
        raise Misconfigured(
            [Problem("inbox.database", "is not set", "postgresql://… or inbox.database_file")]
        )
    return Database(lambda: url, settings=SESSION)
