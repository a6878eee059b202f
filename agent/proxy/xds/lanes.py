"""What Envoy holds of one resource type, and what to send next of it.

A lane has at most one response under way; a slow Envoy so skips to the newest. What was refused is not sent
again, but what Envoy accepted before is: Envoy applies refused updates in part.
"""

from collections.abc import Iterable, Mapping

from agent.model.revision import Refusal

REMEMBERED = 8
"""Refused contents that are not sent again.

Older ones are forgotten, so that a row of bad snapshots takes no memory.
"""

Contents = Mapping[str, bytes]
"""Serialised resources by name."""


class Whole:
    """Clusters or listeners: a response holds all of them, and what it leaves out is removed.

    ``known`` is what was accepted last: by this Envoy if ``sure``, else by the one before.
    """

    def __init__(self, known: Contents | None) -> None:
        self.known = known
        self.refusal: Refusal | None = None
        self._refused: list[Contents] = []
        self.connect()

    def connect(self) -> None:
        """A new stream: nothing of what this Envoy holds is certain."""
        self.asked = False
        self.sure = False
        self.sent = False
        self.under_way: Contents | None = None

    def ask(self, names: Iterable[str] = ()) -> None:  # noqa: ARG002 - the lanes' common form
        """Envoy wants this type, always all of it."""
        self.asked = True

    def next(self, *wanted: Contents) -> Contents | None:
        """The first of ``wanted`` that was not refused, else what was accepted last.

        None when there is nothing to send.
        """
        if not self.asked or self.under_way is not None:
            return None
        choice = self.choice(*wanted)
        if choice is None or (self.sure and choice == self.known):
            return None
        return choice

    def choice(self, *wanted: Contents) -> Contents | None:
        """What Envoy should come to hold; None where everything was refused."""
        known = () if self.known is None else (self.known,)
        return next((content for content in (*wanted, *known) if content not in self._refused), None)

    def send(self, contents: Contents) -> None:
        """``contents`` are on their way."""
        self.under_way = contents
        self.sent = True

    def accept(self) -> None:
        """Envoy took what was under way."""
        if self.under_way is not None:
            self.known, self.under_way, self.sure = self.under_way, None, True

    def refuse(self, refusal: Refusal) -> None:
        """Envoy refused what was under way, and may hold parts of it."""
        if self.under_way is not None:
            self._refused = [*self._refused[1 - REMEMBERED :], self.under_way]
            self.refusal, self.under_way, self.sure = refusal, None, False

    def refused(self, contents: Contents) -> bool:
        """Whether these contents were refused."""
        return contents in self._refused

    def includes(self, contents: Contents) -> bool:
        """Whether Envoy holds all of ``contents`` and nothing under way changes that."""
        held = [self.known or {}] if self.under_way is None else [self.known or {}, self.under_way]
        return self.sure and all(
            one.get(name) == content for one in held for name, content in contents.items()
        )

    def equals(self, contents: Contents) -> bool:
        """Whether Envoy holds exactly ``contents`` and nothing under way changes that."""
        return self.sure and self.known == contents and self.under_way in (None, contents)

    def forgive(self) -> None:
        """Forget what was refused."""
        self._refused.clear()
        self.refusal = None


class Named:
    """Endpoints or routes: Envoy asks for names, and a response holds what changed of them.

    ``held`` are the names of which this Envoy surely has ``known``; the rest of ``known`` is what was
    accepted before. With ``proven_first`` a name that may have nothing is given that before something newer.
    ``refused`` are names of which an earlier Envoy, or this one, refused what ``known`` has.
    """

    def __init__(self, known: Contents, *, proven_first: bool = False, refused: Iterable[str] = ()) -> None:
        self._dubious = set(refused)
        self.known = {name: content for name, content in known.items() if name not in self._dubious}
        self._proven_first = proven_first
        self.refusals: dict[str, Refusal] = {}
        self._refused: dict[str, list[bytes]] = {}
        self._suspects: dict[str, bytes] = {}
        self.connect()

    def connect(self) -> None:
        """A new stream: nothing of what this Envoy holds is certain."""
        self.asked: frozenset[str] = frozenset()
        self.held: set[str] = set()
        self._given: set[str] = set()
        self.under_way: Contents | None = None
        self._outdated: set[str] = set()
        self._try_again(self._refused)

    def ask(self, names: Iterable[str]) -> None:
        """Envoy wants these names, and no others any more."""
        asked = frozenset(names)
        for name in self.asked - asked:
            self.known.pop(name, None)
            self._dubious.discard(name)
        self.held &= asked
        self._given &= asked
        self.asked = asked

    def resend(self, names: Iterable[str]) -> None:
        """Envoy will want these names anew, because what asks for them changed."""
        names = set(names)
        self.held -= names
        self._given -= names
        self._outdated |= names & (self.under_way or {}).keys()
        self._try_again(names)

    def next(self, wanted: Contents) -> Contents | None:
        """What to send so that Envoy comes to hold ``wanted``.

        A name not in there keeps what was accepted last.

        A refusal ends the warming of all clusters, also of those that have no endpoints yet: they would answer 503.
        So first goes what Envoy accepted before, then what is new, then what it refused. After a refusal of several
        resources each is tried alone, so that one bad one holds up no other.
        """
        if self.under_way is not None:
            return None
        changes = {
            name: content for name in self.asked if (content := self._change(name, wanted)) is not None
        }
        self._suspects = {name: one for name, one in self._suspects.items() if name in changes}
        proven = {
            name: self.known[name] for name, content in changes.items() if self._goes_back(name, content)
        }
        return self._first(proven, changes) or None

    def _first(self, proven: Contents, changes: Contents) -> Contents:
        """What to send of all these changes before the rest; ``proven`` is what Envoy accepted before."""
        certain = {name: content for name, content in proven.items() if self._suspects.get(name) != content}
        if certain:
            return certain
        for name in self._suspects:
            return {name: proven.get(name, changes[name])}
        fresh = {name: content for name, content in changes.items() if name not in self._dubious}
        dubious = sorted(changes.keys() & self._dubious)
        if dubious and self._given >= fresh.keys():
            return {dubious[0]: changes[dubious[0]]}
        return fresh

    def _goes_back(self, name: str, content: bytes) -> bool:
        known = self.known.get(name)
        if known is None or known in self._refused.get(name, ()):
            return False
        return content == known or (self._proven_first and name not in self._given)

    def send(self, contents: Contents) -> None:
        """``contents`` are on their way."""
        self.under_way = contents

    def accept(self) -> None:
        """Envoy took what was under way."""
        contents, self.under_way = self.under_way or {}, None
        new = {name for name, content in contents.items() if content != self.known.get(name)}
        self.known.update(contents)
        arrived = (contents.keys() & self.asked) - self._outdated
        self.held |= arrived
        self._given |= arrived
        self._outdated.clear()
        self._dubious -= new
        self._suspects = {
            name: one for name, one in self._suspects.items() if name not in new and contents.get(name) != one
        }

    def refuse(self, refusal: Refusal) -> None:
        """Envoy refused what was under way, and may hold parts of it."""
        contents, self.under_way = self.under_way or {}, None
        self._outdated.clear()
        self.held.difference_update(contents)
        if len(contents) > 1:
            self._suspects = {name: contents[name] for name in sorted(contents)}
            return
        for name, content in contents.items():
            self._refused[name] = [*self._refused.get(name, [])[1 - REMEMBERED :], content]
            self.refusals[name] = refusal
            self._dubious.add(name)

    def has(self, wanted: Contents, names: Iterable[str]) -> bool:
        """Whether Envoy holds exactly ``wanted`` of these names and nothing under way changes that."""
        return all(
            name in self.held
            and self.known.get(name) == wanted.get(name)
            and (self.under_way is None or self.under_way.get(name, wanted.get(name)) == wanted.get(name))
            for name in names
        )

    def done(self, wanted: Contents, names: Iterable[str]) -> bool:
        """Whether Envoy holds or has refused ``wanted`` of each of these names."""
        return all(
            wanted.get(name) in self._refused.get(name, ()) or self.has(wanted, (name,)) for name in names
        )

    def unlike(self, wanted: Contents) -> tuple[str, ...]:
        """Those of the refused names of which Envoy does not hold ``wanted``."""
        return tuple(
            sorted(name for name in self.refusals if name in wanted and not self.has(wanted, (name,)))
        )

    def settled(self, name: str) -> bool:
        """Whether Envoy holds something of the name or has refused it."""
        return name in self.held or name in self._refused

    def forgive(self) -> None:
        """Forget what was refused."""
        self._refused.clear()
        self.refusals.clear()

    def absolve(self, wanted: Contents) -> None:
        """Forget refusals of names whose wanted contents were not refused, or that nobody asks for."""
        for name, contents in list(self._refused.items()):
            if name not in self.asked or (name in wanted and wanted[name] not in contents):
                del self._refused[name]
                self.refusals.pop(name, None)

    def _try_again(self, names: Iterable[str]) -> None:
        """Forget refusals that nothing can stand in for.

        A cluster warms until it gets endpoints or refuses them; without an answer it warms for ever.
        """
        for name in [name for name in names if name not in self.known]:
            self._refused.pop(name, None)
            self.refusals.pop(name, None)

    def _change(self, name: str, wanted: Contents) -> bytes | None:
        known = self.known.get(name)
        refused = self._refused.get(name, ())
        choices = (wanted.get(name, known), known)
        choice = next(
            (content for content in choices if content is not None and content not in refused), None
        )
        return None if choice is None or (name in self.held and choice == known) else choice
