"""What an operator declares in ``versions`` as an offer."""

from datetime import UTC, datetime

from agent.config.sections import mesh
from agent.model.version import Deprecation, Offer, Version


def offer(section: mesh.Versions) -> Offer:
    """The offer that the settings declare. Raises ValueError for what is no version or date."""
    return Offer(
        serves=tuple(sorted({Version.parse(text) for text in section.serves})),
        default=Version.parse(section.default) if section.default else None,
        deprecated={Version.parse(text): _deprecation(one) for text, one in section.deprecated.items()},
        strip_prefix=section.strip_prefix,
    )


def _deprecation(section: mesh.Deprecated) -> Deprecation:
    return Deprecation(_second(section.since), _second(section.sunset), section.link)


def _second(text: str) -> int | None:
    """A date (midnight UTC) or an RFC 3339 time as seconds since the epoch; None for an empty text."""
    if not text:
        return None
    when = datetime.fromisoformat(text)
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
