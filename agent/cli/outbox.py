"""``pillion outbox``: prepare the service's database for the relay, show the SQL of it, say how the feeds
fare."""

import asyncio
import dataclasses
import json
import time

import click

from agent.cli.durations import duration
from agent.cli.options import SettingsCommand, settings_options
from agent.cli.outbox_parked import discard, parked, prune, replay
from agent.cli.outbox_settings import SECTIONS, database, needed
from agent.cli.outbox_status import line
from agent.cli.outbox_words import told
from agent.config import sources
from agent.config.sections.outbox import Outbox
from agent.outbox.adoption import Adopted, Adopter, How
from agent.outbox.sql.facts import gather
from agent.outbox.sql.install import Installer
from agent.outbox.sql.owner import warnings
from agent.outbox.sql.plan import grants, names, outboxes, plan, removal
from agent.outbox.sql.steps import Existing, script
from agent.outbox.survey import Survey, survey

existing_option = click.option(
    "--existing",
    type=click.Choice(["publish", "ignore"]),
    help="What becomes of the rows that an outbox table holds already. Must be said when there are any.",
)
role_option = click.option(
    "--role", default="", metavar="NAME", help="Grant this database role what a relay needs, and no more."
)

wait_option = click.option(
    "--wait",
    callback=duration,
    default="2m",
    show_default=True,
    metavar="DURATION",
    help="How long one table's lock is tried for.",
)


@click.group()
def command() -> None:
    """The outbox in the service's database: prepare it, see the SQL, see how the feeds fare."""


@command.command(cls=SettingsCommand)
@existing_option
@role_option
@wait_option
@settings_options(SECTIONS)
def init(resolved: sources.Resolved, existing: Existing | None, role: str, wait: float) -> None:
    """Bring the database to what the settings ask for; again is no change.

    Locks are taken for moments only, so that a busy service goes on; indexes are built beside it.
    """
    settings = needed(resolved)
    installer = Installer(database(settings), settings, click.echo, wait)
    done = asyncio.run(installer.install(existing, role))
    click.echo("nothing to do: everything is there" if not done else f"done: {done} steps")


@command.command(cls=SettingsCommand)
@existing_option
@role_option
@click.option("--remove", is_flag=True, help="The SQL that takes everything of Pillion out again.")
@settings_options(SECTIONS)
def sql(resolved: sources.Resolved, existing: Existing | None, role: str, remove: bool) -> None:
    """Print what `init` would run now, for psql. The database is only looked at."""
    settings = needed(resolved)
    text = asyncio.run(_script(settings, existing, remove))
    click.echo(text or "-- nothing to do: everything is there")
    if role and not remove:
        click.echo(f"-- what the relay's role needs\n{grants(settings, role)}")


async def _script(settings: Outbox, existing: Existing | None, remove: bool) -> str:
    async with database(settings).connection() as connection:
        facts = await gather(connection, settings.schema, names(settings), outboxes(settings))
    notes = "".join(f"-- warning: {each}\n" for each in warnings(facts))
    return notes + script(removal(settings, facts) if remove else plan(settings, facts, existing))


@command.command(cls=SettingsCommand)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@settings_options(SECTIONS)
def status(resolved: sources.Resolved, as_json: bool) -> None:
    """Who relays each feed, how its buckets of keys are shared, and how much is unsent, as the database says.

    It takes up to some seconds, for a relay is alive while its beat moves. Ends with 1 where a feed can't be
    relayed."""
    settings = needed(resolved)
    found = asyncio.run(_surveys(settings))
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(each) for each in found], indent=2))
    else:
        for each in found:
            click.echo(line(each))
    if any(each.problem for each in found):
        click.get_current_context().exit(1)


async def _surveys(settings: Outbox) -> list[Survey]:
    async with database(settings).connection() as connection:
        return await survey(connection, settings)


@command.command(cls=SettingsCommand)
@click.option("--restored", "how", flag_value="restored", help="The database was restored from a backup.")
@click.option("--pg-upgraded", "how", flag_value="pg-upgraded", help="The cluster went through pg_upgrade.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@wait_option
@settings_options(SECTIONS)
def adopt(resolved: sources.Resolved, how: How | None, as_json: bool, wait: float) -> None:
    """Let the feeds of a database that was restored, or went through pg_upgrade, be relayed again.

    Until then a relay publishes nothing there. --restored tells anew what is still to publish; it is right in doubt.
    --pg-upgraded keeps the saved position. Run it as who ran `init`; nothing is changed where it fails.
    """
    settings = needed(resolved)
    if how is None:
        raise click.UsageError("say what happened: --restored or --pg-upgraded")
    done = asyncio.run(_adopted(settings, how, wait))
    click.echo(json.dumps([dataclasses.asdict(each) for each in done], indent=2) if as_json else told(done))


async def _adopted(settings: Outbox, how: How, wait: float) -> list[Adopted]:
    def say(text: str) -> None:
        click.echo(text, err=True)

    where = database(settings)
    await Installer(where, settings, say, wait).secure()
    return await Adopter(where, settings, say, wait, time.monotonic).adopt(how)


for each in (parked, replay, discard, prune):
    command.add_command(each)
