"""What the plan before was made of, so that a plan makes anew only what changed."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from agent.proxy.snapshot import Packed, Part, Resource, digest, kept, packed, together

G = TypeVar("G")
T = TypeVar("T")
_ABSENT = object()


@dataclass(frozen=True)
class Shelf(Generic[G, T]):
    """All parts of one kind, and what each was made from."""

    given: Mapping[str, G]
    made: Mapping[str, T]


class Memo:
    """The parts of one Envoy's last plan, each with what it was made from; given to each next plan.

    A plan with a memo equals one without: a part is taken from it only if what it is made from is equal, and
    ``begin`` forgets all when what all parts depend on has changed. What depends on more than that must not be
    asked for here. Nothing that is given or returned may be changed.
    """

    def __init__(self) -> None:
        self._context: tuple[object, ...] = ()
        self._former: dict[str, Shelf[Any, Any]] = {}
        self._now: dict[str, Shelf[Any, Any]] = {}
        self._once: dict[Hashable, Any] = {}
        self._digests = Digests()

    def begin(self, *context: object) -> None:
        """A new plan, all of whose parts depend on ``context``."""
        if context != self._context:
            self._now = {}
            self._once = {}
        self._former = self._now
        self._now = {}
        self._context = context

    def each(self, what: str, given: Mapping[str, G], make: Callable[[G], T]) -> Mapping[str, T]:
        """``make`` of each by name, in the order of ``given``; the very objects of before where they are equal, and the
        very mapping where all are.

        ``what`` names the kind of part and is asked for once in a plan.
        """
        former: Shelf[G, T] = self._former.get(what) or Shelf({}, {})
        changed = [name for name, one in given.items() if former.given.get(name, _ABSENT) is not one]
        made = dict(former.made)
        new = False
        for name in changed:
            if name not in made or former.given[name] != given[name]:
                fresh = make(given[name])
                if name not in made or made[name] != fresh:
                    made[name] = fresh
                    new = True
        if list(made) != list(given):
            made = {name: made[name] for name in given}
            new = True
        self._now[what] = Shelf(given, made if new else former.made)
        return self._now[what].made

    def same(self, what: str, resources: Mapping[str, Resource]) -> Mapping[str, Resource]:
        """The resources, each as the very object of the plan before where it equals that one."""
        return self.each(what, resources, lambda resource: resource)

    def packed(
        self, what: str, given: Mapping[str, G], make: Callable[[G], Resource]
    ) -> Mapping[str, Resource]:
        """As ``each``, of resources that are kept as text."""
        return Packed(self.each(what, given, lambda one: packed(make(one))))

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What depends on the context and ``key`` only; made the first time."""
        if key not in self._once:
            self._once[key] = make()
        found: T = self._once[key]
        return found

    @property
    def digest(self) -> Callable[[str, Part], bytes]:
        """For ``Snapshot.digest``."""
        return self._digests.of


class Digests:
    """Digests of a snapshot's parts, of which only what is another object than before is looked at."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[Mapping[str, Resource | bytes], dict[str, bytes], bytes]] = {}

    def of(self, what: str, part: Part) -> bytes:
        """The digest of the part of this name."""
        former, known, whole = self._last.get(what, ({}, {}, b""))
        now = kept(part)
        if now is not former:
            found = {
                name: known[name] if former.get(name) is one else digest(one) for name, one in now.items()
            }
            whole = together(found)
            self._last[what] = now, found, whole
        return whole
