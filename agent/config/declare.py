"""How a setting is declared: a frozen msgspec field whose annotation carries all that others derive from it."""

from typing import Any

import msgspec


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of settings; a field that is itself a Section is a deeper group."""


def about(
    description: str,
    *,
    unit: str = "",
    secret: bool = False,
    aliases: tuple[str, ...] = (),
    live: bool = False,
    **constraints: Any,
) -> msgspec.Meta:
    """The metadata of one setting.

    ``description`` says what it means, why the default is what it is and how to turn it off. ``unit`` ``s`` makes
    ``250ms``, ``10s`` and ``5m`` acceptable beside plain seconds. A ``secret`` has no flag (a process list shows flags), is
    masked wherever settings are shown, and can come from a file by its ``…_file`` sibling. ``aliases`` are foreign variables honoured when
    the Pillion setting is absent. A ``live`` setting may be overridden from KV without a restart. ``constraints`` are msgspec's (``ge``, ``pattern``, …).
    """
    extra = {"unit": unit, "secret": secret, "aliases": aliases, "live": live}
    return msgspec.Meta(description=description, extra=extra, **constraints)
