"""What ``pillion outbox status`` tells a person. Pure."""

from agent.cli.outbox_words import age
from agent.outbox.cursor import BUCKETS
from agent.outbox.roster import Share
from agent.outbox.survey import MOST, Survey
from agent.runtime.words import plain

_WORDS = {
    "alive": "",
    "silent": ": it gave no sign of life; another one takes them after outbox.lease",
    "gone": ": it is gone; the next relay that looks takes them",
    "nobody": ": the next relay that looks takes them",
}


def line(found: Survey) -> str:
    """A feed, and below it each relay's share. Names of relays come from others."""
    if found.problem:
        return f"{found.feed}: {found.problem}"
    owner = f"relayed by {plain(found.owner)}" if found.owner else "relayed by nobody"
    count = f"more than {MOST}" if found.unsent > MOST else str(found.unsent)
    old = f", the oldest {found.oldest:.1f} s old" if found.oldest is not None and found.unsent else ""
    first = f"{found.feed}: {owner}; {count} unsent{old}{_set_aside(found)}"
    return "\n".join([first, *(f"    {_share(each)}" for each in found.shares)])


def _share(share: Share) -> str:
    name = plain(share.relay) or "nobody"
    since = f", joined {age(share.seconds)} ago" if share.seconds is not None else ""
    words = _WORDS[share.state] if share.buckets or share.state == "silent" else ""
    return f"{name}: {share.buckets} of {BUCKETS} buckets{_epochs(share)}{since}{words}"


def _epochs(share: Share) -> str:
    if not share.epochs:
        return ""
    low, high = min(share.epochs.values()), max(share.epochs.values())
    return f", epoch {low}" if low == high else f", epochs {low} to {high}"


def _set_aside(found: Survey) -> str:
    if not found.held_rows and not found.held and not found.parked:
        return ""
    keys = f"{found.parked} keys parked, {found.held} held, {found.replaying} being sent"
    return f"; set aside: {found.held_rows} rows of {keys} (see `pillion outbox parked`)"
