"""What stays of a service when Consul forgets it. Pure.

The question is whether an instance that Consul no longer names has left or was lost. It has *left* when two
answers follow each other without a break, or when the datastore behind both is the same: an instance that
stops in order, is deregistered or dies while Consul watches disappears at once. It was *lost* when Consul
failed to answer in between and the datastore is not known to be the same one: Consul came back empty. It was
lost too when the service's last instances went together with their nodes: a client agent of Consul's that ends takes
what is registered at it along, and whoever lives registers again at the next one. And it counts as lost while the
servers have only lost sight of its node, where no other instance passes: a server that is started again, or a client
agent that dies, makes every instance of the node fail, and those live. Lost
instances stay in use, marked stale, until each is seen again; together they stay at most ``keep_last``
seconds, as long as they are only out of sight without an end, and ``SETTLE`` seconds once any of the service's
instances passes again, because those that still live have registered by then.

An instance that passed and of which nobody has told Consul since is *quiet*: Consul itself stood still or was away
for longer than the TTL, so that every check is over at once when it goes on, and is fed again a moment later. Where no
other passes it stays in use for ``SETTLE`` seconds; by then who lives has spoken.
"""

import math
from dataclasses import dataclass, replace

from agent.model.catalog import Instance, Service
from agent.registry.decode import Node, Reading

SETTLE = 30.0
"""Seconds: three times the interval at which an agent looks at its registration."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one service."""

    name: str
    passing: tuple[Instance, ...] = ()
    """Of the last answer."""
    lost: tuple[Instance, ...] = ()
    """Passing when Consul lost its data, not seen since."""
    lost_at: float = 0.0
    """Seconds of the watcher's clock, infinite for what is only out of sight; without meaning where nothing is lost."""
    back_at: float | None = None
    """When an instance passed again after the loss."""
    routes: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    nodes: tuple[Node, ...] = ()
    """On which the passing instances of the last answer were."""
    quiet: tuple[Instance, ...] = ()
    """Known, and silent in the last answer, in which none passed."""
    quiet_at: float = 0.0
    """Since when, in seconds of the watcher's clock."""

    @property
    def empty(self) -> bool:
        """No instance to call."""
        return not self.passing and not self.held

    @property
    def held(self) -> tuple[Instance, ...]:
        """In use although they don't pass."""
        return (*self.lost, *self.quiet)

    def service(self) -> Service:
        """As callers get it."""
        taken = {instance.address for instance in self.passing}
        kept = tuple(instance for instance in self.held if instance.address not in taken)
        instances = sorted((*self.passing, *kept), key=lambda instance: (instance.id, instance.address))
        return Service(self.name, tuple(instances), self.routes, self.namespaces, stale=bool(self.held))


def missing(before: Known, reading: Reading) -> bool:
    """Whether the answer lacks an instance that passed:
    only then does it matter whether Consul lost its data.
    """
    return any(instance.id not in reading.present for instance in (*before.passing, *before.quiet))


def last_gone(before: Known, reading: Reading) -> bool:
    """Whether all who passed are gone; only then does it matter whether nodes went with them. A client agent that is
    leaving may tell of an instance once more, so that its node goes twice."""
    return bool(before.passing or before.quiet) and not reading.present and not reading.unseen


def fold(before: Known, reading: Reading, *, lost: bool, keep_last: float, now: float) -> Known:
    """Take in an answer; ``lost`` says that what it lacks was lost, not gone."""
    missed, lost_at, back_at = before.lost, before.lost_at, before.back_at
    if lost:
        # No time-out yet: who lives can't register before Consul, or the client of its node, is back.
        missed, lost_at, back_at = (*before.lost, *before.passing, *before.quiet), now, None
    if keep_last and reading.unseen and not reading.passing:
        unseen = {instance.id for instance in reading.unseen}
        missed = (*(instance for instance in missed if instance.id not in unseen), *reading.unseen)
        lost_at, back_at = math.inf, None
    elif lost_at == math.inf:
        lost_at = now
    missed = tuple(instance for instance in missed if instance.id not in reading.present)
    if missed and reading.passing and back_at is None:
        back_at = now
    # A service that is back says itself which paths it wants; a lost one is still asked for by its old ones.
    said = reading if reading.present or reading.unseen or not missed else before
    quiet = _quiet(before, reading) if keep_last else ()
    known = Known(
        before.name, reading.passing, missed, lost_at, back_at, said.routes, said.namespaces,
        reading.nodes or (before.nodes if quiet else ()), quiet, before.quiet_at if before.quiet else now,
    )  # fmt: skip
    return expired(known, keep_last=keep_last, now=now)


def _quiet(before: Known, reading: Reading) -> tuple[Instance, ...]:
    """Of the silent ones those that are to stay in use for a while."""
    if reading.passing or reading.unseen:
        return ()
    used = {instance.id for instance in (*before.passing, *before.held)}
    return tuple(instance for instance in reading.silent if instance.id in used)


def expired(known: Known, *, keep_last: float, now: float) -> Known:
    """The same without held instances whose time is over."""
    if known.quiet and now >= known.quiet_at + SETTLE:
        known = replace(known, quiet=())
    if known.lost and now >= _lost_until(known, keep_last):
        known = replace(known, lost=(), lost_at=0.0, back_at=None)
    return known


def until(known: Known, keep_last: float) -> float:
    """When the first of what is held ends; infinite where nothing is, or nothing ends by itself."""
    quiet = known.quiet_at + SETTLE if known.quiet else math.inf
    return min(quiet, _lost_until(known, keep_last)) if known.lost else quiet


def _lost_until(known: Known, keep_last: float) -> float:
    end = known.lost_at + keep_last
    return end if known.back_at is None else min(end, known.back_at + SETTLE)
