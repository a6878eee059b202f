"""Whatever the order of events, Envoy ends with the newest good snapshot and no request meets a missing
cluster.
"""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.proxy.xds.delivery import Delivery
from agent.proxy.xds.encode import Encoded
from tests.unit.proxy.xds.envoys import Envoy, holds, snapshot

NAMES = ("a", "b", "c")
EVENTS = ("send", "turn", "hear", "drain", "offer", "good", "reconnect", "crash", "agent", "retry")
_numbers = itertools.count()


@st.composite
def snapshots(draw: st.DrawFn, bad: bool = True) -> Encoded:
    """Snapshots whose routes name only their own clusters; some with a part that Envoy refuses."""
    contents = st.sampled_from(["1", "2", "!"] if bad else ["1", "2"])
    clusters = draw(st.dictionaries(st.sampled_from(NAMES), contents, max_size=3))
    endpoints = {name: draw(contents) for name in clusters}
    listeners = draw(
        st.dictionaries(st.sampled_from(["in", "out"]), st.sampled_from(["r1", "r2"]), max_size=2)
    )
    leads = {
        route: " ".join(sorted(draw(st.sets(st.sampled_from(sorted(clusters)))))) if clusters else ""
        for route in set(listeners.values())
    }
    routes = {
        listener: {"content": draw(contents), "route": route, "clusters": leads[route]}
        for listener, route in listeners.items()
    }
    return snapshot(clusters, routes, endpoints, f"s{next(_numbers)}")


def play(envoy: Envoy, events: list[tuple[str, Encoded, Encoded]]) -> Envoy:  # noqa: C901 - a table of events
    """Let the events happen in this order."""
    for event, any_one, good in events:
        match event:
            case "send":
                envoy.agent_sends()
            case "turn":
                envoy.turn()
            case "hear":
                envoy.agent_hears()
            case "drain":
                envoy.drained()
            case "offer":
                envoy.delivery.offer(any_one)
            case "good":
                envoy.delivery.offer(good)
            case "reconnect":
                envoy.delivery.disconnect()
                envoy.connect()
            case "crash":
                envoy = Envoy(envoy.delivery, envoy.partly)
                envoy.connect()
            case "agent":
                envoy.rest()
                if envoy.delivery.good is None:
                    continue  # an agent that knows nothing of what Envoy holds can't keep it
                envoy.delivery = Delivery(envoy.delivery.good, envoy.delivery.refused)
                envoy.connect()
            case "retry":
                envoy.delivery.retry()
    return envoy


events = st.lists(
    st.tuples(st.sampled_from(EVENTS), snapshots(), snapshots(bad=False)), min_size=1, max_size=40
)


@settings(max_examples=200, deadline=None)
@given(events, snapshots(bad=False), st.booleans())
def test_envoy_ends_with_the_newest_good_snapshot(
    story: list[tuple[str, Encoded, Encoded]], last: Encoded, partly: bool
) -> None:
    envoy = Envoy(Delivery(), partly)
    envoy.connect()
    envoy = play(envoy, story)
    envoy.delivery.offer(last)
    envoy.rest()
    assert holds(envoy, last)
    revision = envoy.delivery.revision
    assert revision.in_force == last.hash
    assert revision.refusals == ()


@settings(max_examples=200, deadline=None)
@given(snapshots(bad=False), snapshots())
def test_a_refused_snapshot_leaves_the_listeners_and_routes_of_the_last_good_one(
    good: Encoded, newer: Encoded
) -> None:
    envoy = Envoy(Delivery())
    envoy.connect()
    envoy.delivery.offer(good)
    envoy.rest()
    before = dict(envoy.listeners), dict(envoy.routes)
    envoy.delivery.offer(newer)
    envoy.rest()
    revision = envoy.delivery.revision
    types = {refusal.type for refusal in revision.refusals}
    if revision.in_force == newer.hash:
        assert types <= {"endpoint"}
        assert holds(envoy, newer) == (not types)
    else:
        assert revision.in_force == good.hash
        assert types & {"listener", "cluster"}
        assert (envoy.listeners, envoy.routes) == before
