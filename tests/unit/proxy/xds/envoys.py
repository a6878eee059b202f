"""An Envoy as the protocol sees it, for tests of the delivery without any I/O.

It keeps to what Envoy does: one queue each way; no listeners wanted before the clusters are there; clusters
are acknowledged once none warms; endpoints are asked for by name, refused ones end the warming of all clusters; a
changed cluster wants its endpoints anew; a refused update takes effect in part; a listener that was replaced drains
with its old routes for a while.
"""

from collections import deque
from dataclasses import dataclass, field

from agent.proxy.xds.delivery import Delivery, Request, Response
from agent.proxy.xds.encode import Encoded
from agent.proxy.xds.kinds import Kind
from agent.proxy.xds.lanes import Contents

BAD = b"!"
"""Contents that hold this are refused."""


def snapshot(
    clusters: dict[str, str], routes: dict[str, dict[str, str]], endpoints: dict[str, str], name: str
) -> Encoded:
    """``routes``.

    Listener content and route by listener; a route's content is the clusters that it names, by space.
    """
    listeners = {listener: f"{one['content']} {one['route']}".encode() for listener, one in routes.items()}
    named = {one["route"]: one["clusters"].encode() for one in routes.values()}
    return Encoded(
        name,
        {
            Kind.CLUSTER: {key: text.encode() for key, text in clusters.items()},
            Kind.ENDPOINT: {key: endpoints[key].encode() for key in clusters},
            Kind.LISTENER: listeners,
            Kind.ROUTE: named,
        },
        {key: key for key in clusters},
        frozenset(named),
    )


class BrokenError(AssertionError):
    """A request would have failed in this Envoy."""


@dataclass
class Envoy:
    """The other end of the stream."""

    delivery: Delivery
    partly: bool = False
    """Whether it takes the good ones of refused endpoints: it takes them in any order up to the first bad one."""
    to_envoy: deque[Response] = field(default_factory=deque)
    to_agent: deque[Request] = field(default_factory=deque)
    active: dict[str, bytes] = field(default_factory=dict)
    warming: dict[str, bytes] = field(default_factory=dict)
    endpoints: dict[str, bytes] = field(default_factory=dict)
    listeners: dict[str, bytes] = field(default_factory=dict)
    draining: list[str] = field(default_factory=list)
    """Routes of listeners that were replaced and still end their requests."""
    routes: dict[str, bytes] = field(default_factory=dict)
    nonces: dict[Kind, str] = field(default_factory=dict)
    withheld: str | None = None
    seen: set[Kind] = field(default_factory=set)
    accepted: set[Kind] = field(default_factory=set)
    served: set[str] = field(default_factory=set)
    """Clusters that had endpoints while a route led to them."""

    def connect(self) -> None:
        """Open a stream anew: what was on its way is lost, what Envoy holds stays."""
        self.to_envoy.clear()
        self.to_agent.clear()
        self.nonces.clear()
        # While a cluster warms Envoy says nothing of clusters, on a new stream either.
        self.withheld = "" if self.warming else None
        self.seen = set()
        self.delivery.connect()
        held = bool(self.active or self.warming)
        if not self.warming:
            self._ask(Kind.CLUSTER)
        if held:
            self._ask(Kind.ENDPOINT)
            self._ask(Kind.LISTENER)
        if self._wanted_routes():
            self._ask(Kind.ROUTE)

    def agent_sends(self) -> bool:
        """The agent puts what it wants onto the wire; whether there was anything."""
        response = self.delivery.next()
        if response is None:
            return False
        self.to_envoy.append(response)
        return True

    def agent_hears(self) -> bool:
        """One request reaches the agent."""
        if not self.to_agent:
            return False
        self.delivery.heard(self.to_agent.popleft())
        return True

    def turn(self) -> bool:
        """One response reaches Envoy."""
        if not self.to_envoy:
            return False
        response = self.to_envoy.popleft()
        {
            Kind.CLUSTER: self._take_clusters,
            Kind.ENDPOINT: self._take_endpoints,
            Kind.LISTENER: self._take_listeners,
            Kind.ROUTE: self._take_routes,
        }[response.kind](response)
        return True

    def drained(self) -> bool:
        """Listeners that drain are gone."""
        if not self.draining:
            return False
        self.draining.clear()
        self._drop_routes()
        return True

    def rest(self) -> None:
        """Let everything happen that is still to happen."""
        for _ in range(2000):
            if not (self.agent_sends() or self.turn() or self.agent_hears() or self.drained()):
                return
        raise BrokenError("it never comes to rest")

    def _take_clusters(self, response: Response) -> None:
        bad = [name for name, content in response.contents.items() if BAD in content]
        for name, content in response.contents.items():
            if name in bad or self.warming.get(name, self.active.get(name)) == content:
                continue
            self.warming[name] = content
        for gone in {*self.active, *self.warming} - response.contents.keys():
            self.active.pop(gone, None)
            self.warming.pop(gone, None)
            self.endpoints.pop(gone, None)
            self.served.discard(gone)
        self._check()
        self.nonces[Kind.CLUSTER] = response.nonce
        self._ask(Kind.ENDPOINT)
        if bad:
            self._ask(Kind.CLUSTER, error=f"bad clusters {bad}")
        elif self.warming:
            self.withheld = response.nonce
        else:
            self._clusters_done()

    def _take_endpoints(self, response: Response) -> None:
        self.nonces[Kind.ENDPOINT] = response.nonce
        bad = [name for name, content in response.contents.items() if BAD in content]
        for name, content in response.contents.items():
            if name in bad or (bad and not self.partly):
                continue
            if name in self.warming:
                self.active[name] = self.warming.pop(name)
            if name in self.active:
                self.endpoints[name] = content
        if bad:
            for name in self.warming:
                self.endpoints.pop(name, None)
            self.active.update(self.warming)
            self.warming.clear()
        self._check()
        self._ask(Kind.ENDPOINT, error=f"bad endpoints {bad}" if bad else None)
        if self.withheld is not None and not self.warming:
            self.withheld = None
            self._clusters_done()

    def _clusters_done(self) -> None:
        self._ask(Kind.CLUSTER)
        if Kind.LISTENER not in self.seen:
            self._ask(Kind.LISTENER)

    def _take_listeners(self, response: Response) -> None:
        before = self._wanted_routes()
        bad = [name for name, content in response.contents.items() if BAD in content]
        for name, content in response.contents.items():
            if name not in bad and self.listeners.get(name) != content:
                self._retire(name)
                self.listeners[name] = content
        for gone in self.listeners.keys() - response.contents.keys():
            self._retire(gone)
            del self.listeners[gone]
        self.nonces[Kind.LISTENER] = response.nonce
        if self._wanted_routes() != before:
            self._ask(Kind.ROUTE)
        self._ask(Kind.LISTENER, error=f"bad listeners {bad}" if bad else None)

    def _take_routes(self, response: Response) -> None:
        self.nonces[Kind.ROUTE] = response.nonce
        wanted = self._wanted_routes()
        bad = [
            name
            for name, content in response.contents.items()
            if BAD in content or not set(content.decode().split()) <= {*self.active, *self.warming}
        ]
        if any(BAD not in response.contents[name] for name in bad):
            raise BrokenError(
                f"routes name clusters that Envoy does not have: {response.contents}, {set(self.active)}"
            )
        for name, content in response.contents.items():
            if name in wanted and name not in bad:
                self.routes[name] = content
        self._check()
        self._ask(Kind.ROUTE, error=f"bad routes {bad}" if bad else None)

    def _retire(self, listener: str) -> None:
        if listener in self.listeners:
            self.draining.append(self.listeners[listener].decode().split()[1])

    def _wanted_routes(self) -> set[str]:
        return {content.decode().split()[1] for content in self.listeners.values()} | set(self.draining)

    def _drop_routes(self) -> None:
        gone = self.routes.keys() - self._wanted_routes()
        for name in gone:
            del self.routes[name]
        self._ask(Kind.ROUTE)

    def _check(self) -> None:
        for name, content in self.routes.items():
            named = set(content.decode().split())
            if missing := named - self.active.keys():
                raise BrokenError(f"route {name} leads to {missing}, active are {set(self.active)}")
            if empty := (named & self.served) - self.endpoints.keys():
                raise BrokenError(f"route {name} leads to {empty}, which lost their endpoints")
            self.served |= named & self.endpoints.keys()

    def _ask(self, kind: Kind, error: str | None = None) -> None:
        self.seen.add(kind)
        if error is None and kind in self.nonces:
            self.accepted.add(kind)
        version = "1" if kind in self.accepted else ""
        names = {Kind.ENDPOINT: {*self.active, *self.warming}, Kind.ROUTE: self._wanted_routes()}.get(
            kind, set()
        )
        self.to_agent.append(Request(kind, self.nonces.get(kind, ""), tuple(sorted(names)), error, version))


def holds(envoy: Envoy, wanted: Encoded) -> bool:
    """Whether Envoy holds exactly this snapshot."""

    def same(held: Contents, kind: Kind) -> bool:
        return dict(held) == dict(wanted.resources[kind])

    return (
        same(envoy.active, Kind.CLUSTER)
        and not envoy.warming
        and same(envoy.endpoints, Kind.ENDPOINT)
        and same(envoy.listeners, Kind.LISTENER)
        and same(envoy.routes, Kind.ROUTE)
    )
