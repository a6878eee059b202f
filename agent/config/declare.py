"""How a setting is declared: a frozen msgspec field whose annotation carries all that others derive from
it."""

from typing import Any

import msgspec

LONGEST = 315_360_000
"""Ten years in seconds: no duration may be longer, so that none overflows what it is converted to."""

MOST_BYTES = 2**53
"""No size may be larger: beyond it JSON's numbers are not exact."""

LARGEST = 2**31 - 1
"""No whole number may be larger, unless it is declared so."""


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of settings; a field that is itself a Section is a deeper group."""


def about(
    description: str,
    *,
    unit: str = "",
    form: str = "",
    secret: bool = False,
    aliases: tuple[str, ...] = (),
    live: bool = False,
    names: bool = False,
    some_of: type[Section] | None = None,
    **constraints: Any,
) -> msgspec.Meta:
    """The metadata of one setting.

    ``description`` says what it means, why the default is what it is and how to turn it off. ``unit`` ``s``
    makes ``250ms``, ``10s`` and ``5m`` acceptable beside plain seconds, ``B`` makes ``512MiB`` acceptable
    beside bytes. ``form`` says in words what a ``pattern`` allows. A ``secret`` has no flag (a process list
    shows flags), is masked wherever settings are shown, and can come from a file by its ``…_file`` sibling.
    ``aliases`` are foreign variables honoured when the Pillion setting is absent. A ``live`` setting may be
    overridden from KV without a restart. ``names`` lets a mapping be written as a list of its keys.
    ``some_of`` says that a mapping holds some of that section's settings. ``constraints`` are msgspec's
    (``ge``, ``pattern``, …)."""
    extra = {
        "unit": unit,
        "form": form,
        "secret": secret,
        "aliases": aliases,
        "live": live,
        "names": names,
        "some_of": some_of,
    }
    return msgspec.Meta(description=description, extra=extra, **constraints)
