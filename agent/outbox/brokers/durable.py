"""Refusing a broker that may lose what it acknowledged, where ``outbox.require_durable`` asks for it. Pure."""

from collections.abc import Sequence

from agent.runtime.errors import Permanent


def demand(doing: str, losses: Sequence[str]) -> None:
    """Raise Permanent with all reasons why what was acknowledged may still be lost; ``doing`` says of what."""
    if losses:
        raise Permanent(
            f"{doing}: outbox.require_durable is set, and an acknowledged event may be lost: {'; '.join(losses)}. "
            "Nothing is published until that is mended"
        )
