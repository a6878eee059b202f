"""What to send to Envoy next: the protocol without I/O.

State of the world over one aggregated stream, in the order that breaks no request (make before break):

1. clusters, the new beside the old, and their endpoints. Envoy withholds its acknowledgement of clusters
   while one of them warms, so it says that all of them can take requests;
2. listeners; 3. routes, which so never name a cluster that is not there;
4. clusters without those that nothing names any more: once Envoy also stopped asking for routes that are
   gone, since a listener that drains still uses them.

Endpoints flow at any time. A refusal ends a snapshot at that step: what Envoy accepted last of that type is
sent again, what comes after is not sent, clusters and endpoints go on. Sources: Envoy's "xDS REST and gRPC
protocol", "Eventual consistency considerations", and ``ClusterManagerImpl::updateClusterCounts`` for the
withheld acknowledgement.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from agent.model.revision import Refusal, Revision
from agent.proxy.xds.encode import Encoded
from agent.proxy.xds.kinds import Kind
from agent.proxy.xds.lanes import Contents, Named, Whole


@dataclass(frozen=True)
class Request:
    """What Envoy said about one type."""

    kind: Kind
    nonce: str
    """The nonce of the response that it answers; empty when it opens the type on this stream."""
    names: tuple[str, ...] = ()
    """Resources that it wants; meaningless for clusters and listeners, of which it wants all."""
    error: str | None = None
    """Envoy's message when it refuses."""
    version: str = ""
    """The version that it accepted last; empty in the first words of an Envoy that has nothing yet."""


@dataclass(frozen=True)
class Response:
    """What to send."""

    kind: Kind
    nonce: str
    version: str
    contents: Contents


class Delivery:
    """One Envoy's state of delivery.

    ``good`` is what an Envoy accepted before this agent started, if that is known, but for the endpoints that it
    ``refused``.
    """

    def __init__(self, good: Encoded | None = None, refused: Iterable[str] = ()) -> None:
        self._good = good
        self._good_refused = tuple(refused)
        self._target = good
        self._unfit: tuple[Refusal, ...] = ()
        self._retried: tuple[Refusal, ...] = ()
        self._new = True
        self._empty = False
        self._connected = False
        self._in_force = ""
        self._nonces: dict[Kind, str] = {}
        self._count = 0
        self._clusters = Whole(_part(good, Kind.CLUSTER))
        self._listeners = Whole(_part(good, Kind.LISTENER))
        known = _part(good, Kind.ENDPOINT) or {}
        self._endpoints = Named(known, proven_first=True, refused=self._good_refused)
        self._routes = Named(_part(good, Kind.ROUTE) or {})
        self._assignments = dict(good.assignments) if good else {}
        self._former: dict[str, bytes] = {}

    @property
    def good(self) -> Encoded | None:
        """The newest snapshot that Envoy accepted whole, but for endpoints."""
        return self._good

    @property
    def refused(self) -> tuple[str, ...]:
        """Endpoints of ``good`` that it refused."""
        return self._good_refused

    @property
    def revision(self) -> Revision:
        """The state of delivery for others."""
        sent = self._target.hash if self._target else ""
        # What is tried again counts as refused until Envoy has taken it or says something else.
        return Revision(sent, self._in_force, self._refusals() or self._retried, self._connected)

    @property
    def waiting(self) -> tuple[Kind, ...]:
        """Types of which a response is not answered yet."""
        return tuple(kind for kind in Kind if self._lane(kind).under_way is not None)

    def offer(self, snapshot: Encoded) -> None:
        """Aim at this snapshot from now on."""
        if self._target is not None:
            self._former.update(self._target.resources[Kind.ENDPOINT])
        self._target = snapshot
        self._unfit = self._retried = ()
        self._new = True
        self._assignments.update(snapshot.assignments)
        self._settle()

    def reject(self, refusals: Iterable[Refusal]) -> None:
        """A snapshot that can't be sent at all; the one before stays."""
        self._unfit = tuple(refusals)

    def connect(self) -> None:
        """An Envoy opened a stream; one before it counts no more."""
        self._connected = True
        self._in_force = ""
        self._nonces.clear()
        for lane in (self._clusters, self._endpoints, self._listeners, self._routes):
            lane.connect()

    def disconnect(self) -> None:
        """The stream ended. What was in force may well still be, but nobody says so."""
        self._connected = False

    def retry(self) -> None:
        """Forget what Envoy refused, because the reason may be gone (a port that was in use)."""
        self._retried = self._refusals() or self._retried
        for lane in (self._clusters, self._endpoints, self._listeners, self._routes):
            lane.forgive()

    @property
    def silent(self) -> bool:
        """Envoy owes a word about the clusters: an answer, or the question that opens them on a stream."""
        return self._connected and (self._clusters.under_way is not None or not self._clusters.asked)

    def lose_patience(self, seconds: float) -> Refusal | None:
        """Go on although Envoy has been silent for so long; returns what counts as its refusal.

        Envoy says nothing of clusters while one warms. One that it refuses when that was counted as warming already
        (seen with 1.40: a bad ring hash) keeps it silent for ever, its refusal included. Clusters that are sent
        without being asked for end that, if the bad one is not among them.
        """
        refusal = None
        if self._clusters.under_way is not None:
            text = f"no answer within {seconds:g} s; Envoy's own log says why"
            refusal = self._refusal(Kind.CLUSTER, text, self._clusters.under_way)
            self._clusters.refuse(refusal)
        self._clusters.ask()
        self._settle()
        return refusal

    def heard(self, request: Request) -> Refusal | None:
        """Take in what Envoy said.

        Returns the refusal if it is one. A stale request is ignored: a newer one follows.
        """
        nonce = self._nonces.get(request.kind, "")
        if nonce and request.nonce != nonce:
            return None
        if request.kind is Kind.CLUSTER:
            self._empty = not request.version
        lane = self._lane(request.kind)
        answers = bool(nonce) and lane.under_way is not None
        lane.ask(request.names)
        refusal = None
        if answers and request.error is not None:
            refusal = self._refusal(request.kind, request.error, lane.under_way or {})
            lane.refuse(refusal)
        elif answers:
            lane.accept()
        self._settle()
        return refusal

    def _refusal(self, kind: Kind, message: str, contents: Contents) -> Refusal:
        """Envoy's message; where it is about one endpoint or route, with its name."""
        named = kind in {Kind.ENDPOINT, Kind.ROUTE} and len(contents) == 1
        text = f"{next(iter(contents))}: {message}" if named else message
        return Refusal(kind.value, self._target.hash if self._target else "", text)

    def next(self) -> Response | None:
        """What to send now; to be asked until there is nothing, after every event."""
        if self._target is None or not self._connected:
            return None
        for kind, contents in self._wishes(self._target):
            if contents is not None:
                return self._send(kind, contents, self._target)
        return None

    def _wishes(self, target: Encoded) -> Iterable[tuple[Kind, Contents | None]]:
        yield Kind.CLUSTER, self._clusters.next(*self._wanted_clusters(target))
        if self._clusters.sent or not self._clusters.asked:
            # Clusters of the snapshot before may be warming: without endpoints they would for ever. Envoy asks for
            # no clusters as long as one is, not even an agent that is new.
            yield Kind.ENDPOINT, self._endpoints.next({**self._former, **target.resources[Kind.ENDPOINT]})
        if self._clusters_in(target):
            yield Kind.LISTENER, self._listeners.next(self._wanted_listeners(target))
        elif self._clusters_back(target):
            yield Kind.LISTENER, self._listeners.next()
        if self._listeners_in(target) and self._clusters_in(target):
            yield Kind.ROUTE, self._routes.next(self._wanted_routes(target))
        elif self._listeners_back(target):
            yield Kind.ROUTE, self._routes.next(_part(self._good, Kind.ROUTE) or {})

    def _send(self, kind: Kind, contents: Contents, target: Encoded) -> Response:
        if kind is Kind.CLUSTER:
            self._endpoints.resend(self._renewed(contents))
        elif kind is Kind.LISTENER and contents != self._listeners.known:
            self._routes.resend(self._routes.asked)
        self._lane(kind).send(contents)
        self._count += 1
        self._nonces[kind] = str(self._count)
        return Response(kind, self._nonces[kind], target.hash, contents)

    def _renewed(self, clusters: Contents) -> list[str]:
        """Endpoints that Envoy wants again, without asking by a new name, because their cluster is new or
        another now.
        """
        former = (self._clusters.known if self._clusters.sure else None) or {}
        names = [name for name, content in clusters.items() if content != former.get(name)]
        return [self._assignments[name] for name in names if name in self._assignments]

    def _wanted_clusters(self, target: Encoded) -> list[Contents]:
        exact = target.resources[Kind.CLUSTER]
        if self._nothing_else_named(target):
            return [exact]
        both = {**(self._clusters.known or {}), **exact}
        # An Envoy that has nothing yet needs no old clusters: go without if it (a newer release) refuses one.
        return [both, exact] if self._empty else [both]

    def _wanted_listeners(self, target: Encoded) -> Contents:
        """The target's, but the last good ones where its routes are refused and no good ones can stand in."""
        good = self._good
        if (
            good is not None
            and self._routes.refusals
            and not target.routed <= good.resources[Kind.ROUTE].keys()
        ):
            return good.resources[Kind.LISTENER]
        return target.resources[Kind.LISTENER]

    def _wanted_routes(self, target: Encoded) -> Contents:
        """The target's, but the last good ones, all of them, where one is refused."""
        if self._good is not None and self._routes.refusals:
            return self._good.resources[Kind.ROUTE]
        return target.resources[Kind.ROUTE]

    def _clusters_in(self, target: Encoded) -> bool:
        """Envoy holds the target's clusters, warm, each with endpoints."""
        return self._clusters.includes(target.resources[Kind.CLUSTER]) and all(
            self._endpoints.settled(name) for name in target.assignments.values()
        )

    def _clusters_back(self, target: Encoded) -> bool:
        """Envoy refused the target's clusters and has the last good ones again."""
        wanted = self._wanted_clusters(target)
        at_rest = self._clusters.sure and self._clusters.under_way is None
        return at_rest and all(self._clusters.refused(content) for content in wanted)

    def _listeners_in(self, target: Encoded) -> bool:
        return self._listeners.equals(target.resources[Kind.LISTENER])

    def _listeners_back(self, target: Encoded) -> bool:
        """Envoy has the last good listeners, because the target's are refused or not to be sent."""
        if not self._listeners.sure or self._listeners.under_way is not None or self._listeners_in(target):
            return False
        return self._clusters_back(target) or bool(self._listeners.refusal or self._routes.refusals)

    def _routes_in(self, target: Encoded) -> bool:
        return self._routes.has(target.resources[Kind.ROUTE], target.routed)

    def _nothing_else_named(self, target: Encoded) -> bool:
        """Envoy's listeners and routes are the target's: no request can reach a cluster outside it."""
        return (
            self._listeners_in(target)
            and self._routes_in(target)
            and self._routes.asked <= target.resources[Kind.ROUTE].keys()
        )

    def _settle(self) -> None:
        """Note what is in force now."""
        target = self._target
        if target is None or not self._connected:
            return
        if self._whole(target):
            if self._new or self._in_force != target.hash:
                self._absolve(target)
            self._new = False
            self._retried = ()
            self._in_force, self._good = target.hash, target
            self._good_refused = self._endpoints.unlike(target.resources[Kind.ENDPOINT])
            self._forget()
        elif self._good is not None and self._fell_back(target, self._good):
            self._in_force = self._good.hash

    def _absolve(self, target: Encoded) -> None:
        """Forget refusals, but of endpoints that the target has as well."""
        for lane in (self._clusters, self._listeners, self._routes):
            lane.forgive()
        self._endpoints.absolve(target.resources[Kind.ENDPOINT])

    def _forget(self) -> None:
        """Drop what no cluster asks for any more."""
        held = {*(self._clusters.known or {}), *(self._clusters.under_way or {})}
        self._assignments = {name: wanted for name, wanted in self._assignments.items() if name in held}
        asked = set(self._assignments.values())
        self._former = {name: content for name, content in self._former.items() if name in asked}

    def _whole(self, target: Encoded) -> bool:
        """Envoy holds all of the target, but for endpoints that it refused, and perhaps more clusters.

        Endpoints that are refused are one upstream's trouble: they hold up neither other routes nor this
        service.
        """
        return (
            self._clusters_in(target)
            and self._endpoints.done(target.resources[Kind.ENDPOINT], target.assignments.values())
            and self._listeners_in(target)
            and self._routes_in(target)
        )

    def _fell_back(self, target: Encoded, good: Encoded) -> bool:
        """Envoy refused some of the target, holds what it accepted before instead, and waits for nothing."""
        at_rest = self._clusters.sure and self._listeners.sure and not self.waiting
        routed = target.routed if self._listeners_in(target) else good.routed
        return at_rest and routed <= self._routes.held and bool(self._refusals())

    def _refusals(self) -> tuple[Refusal, ...]:
        whole = [lane.refusal for lane in (self._clusters, self._listeners) if lane.refusal is not None]
        return (*self._unfit, *whole, *self._named(self._endpoints), *self._named(self._routes))

    def _named(self, lane: Named) -> Iterable[Refusal]:
        """Refusals of what the target has: what is to be removed anyway is no news."""
        kind = Kind.ENDPOINT if lane is self._endpoints else Kind.ROUTE
        names = self._target.resources[kind] if self._target else {}
        return [lane.refusals[name] for name in sorted(lane.refusals) if name in names]

    def _lane(self, kind: Kind) -> Whole | Named:
        lanes: dict[Kind, Whole | Named] = {
            Kind.CLUSTER: self._clusters,
            Kind.ENDPOINT: self._endpoints,
            Kind.LISTENER: self._listeners,
            Kind.ROUTE: self._routes,
        }
        return lanes[kind]


def _part(snapshot: Encoded | None, kind: Kind) -> Contents | None:
    return None if snapshot is None else snapshot.resources[kind]
