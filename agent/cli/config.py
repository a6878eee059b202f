"""``pillion config``: the settings in force, a file checked, the schema."""

import click


@click.group()
def command() -> None:
    """The settings: what is in force and why, whether a file is right, the schema."""
