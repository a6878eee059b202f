"""A command's own option that takes a duration as settings do."""

import click

from agent.config.units import seconds

LONGEST = 315_360_000.0
"""Ten years in seconds."""


def duration(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """The seconds in ``250ms``, ``10s``, ``5m`` or plain seconds: an option's ``callback``."""
    found = seconds(value)
    if found is None:
        try:
            found = float(value)
        except ValueError:
            found = -1.0
    if not 0 <= found <= LONGEST:
        raise click.BadParameter(
            f"{value!r} is no duration, such as 250ms, 10s, 5m or plain seconds", ctx, param
        )
    return found
