"""Recent changes of configuration, and what was slow lately."""

from collections.abc import Iterator, Mapping
from typing import Any

from agent.admin.page.markup import Markup, duration, mark, moment, section, table, tag

SHOWN = 20
_KINDS = {"accepted": "ok", "removed": "plain", "refused": "bad", "kept": "warn"}


def changes(history: Mapping[str, Any]) -> Markup:
    """The newest first: what, and whether it was accepted."""
    rows = (
        (
            moment(one["at"]),
            one["subject"],
            mark(one["outcome"], _KINDS.get(one["outcome"], "plain")),
            one["detail"],
        )
        for one in history.get("changes", ())[:SHOWN]
    )
    return section("Recent changes of configuration", table(("when", "what", "outcome", "detail"), rows))


def slowest(history: Mapping[str, Any]) -> Markup:
    """Of each operation the slowest of the last hour."""
    found = history.get("slowest", ())
    return section(
        "Slowest of the last hour",
        table(("operation", "took", "how many", "when"), _slow(found)),
        tag("p", "As close as the histograms tell; pillion trace shows single requests.", class_="plain")
        if found
        else Markup(),
        name="slowest",
    )


def _slow(found: Any) -> Iterator[tuple[str, ...]]:
    for one in found:
        within, beyond = one["within"], one["beyond"]
        took = f"more than {duration(beyond)}" if within is None else f"up to {duration(within)}"
        yield one["operation"], took, f"{one['count']} of {one['of']}", moment(one["at"])
