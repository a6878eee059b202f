"""``pillion uninject``: manifests as they were before they were injected."""

import click

from agent.cli import manifests
from agent.inject.manifests.offline import uninjected


@click.command()
@click.argument("where", metavar="FILE|DIR|-")
def command(where: str) -> int:
    """Print the manifests as they were before `pillion inject`, equal as data; what was changed since then stays."""
    return manifests.ended(uninjected(manifests.files(where)), "uninjected")
