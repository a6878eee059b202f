"""What is sent when, as short stories."""

import pytest

from agent.model.revision import Refusal
from agent.proxy.xds.delivery import Delivery, Request, Response
from agent.proxy.xds.encode import Encoded
from agent.proxy.xds.kinds import Kind
from agent.proxy.xds.lanes import Named, Whole
from tests.unit.proxy.xds.envoys import Envoy, snapshot

REFUSAL = Refusal("endpoint", "s", "no")


def one(
    clusters: str, route: str = "r", listener: str = "1", name: str = "s", endpoint: str = "1"
) -> Encoded:
    """A snapshot whose one listener leads to these clusters."""
    names = clusters.split()
    return snapshot(
        dict.fromkeys(names, "1"),
        {"in": {"content": listener, "route": route, "clusters": clusters}},
        dict.fromkeys(names, endpoint),
        name,
    )


def sent(envoy: Envoy) -> list[str]:
    """Let all happen; what was sent, as ``kind names``."""
    found: list[str] = []
    for _ in range(200):
        while (response := envoy.delivery.next()) is not None:
            envoy.to_envoy.append(response)
            found.append(f"{response.kind} {' '.join(sorted(response.contents))}")
        if not (envoy.turn() or envoy.agent_hears() or envoy.drained()):
            return found
    raise AssertionError("it never comes to rest")


def at_rest(wanted: Encoded) -> Envoy:
    """An Envoy that holds this snapshot."""
    envoy = Envoy(Delivery())
    envoy.connect()
    envoy.delivery.offer(wanted)
    assert sent(envoy) == ["cluster a", "endpoint a", "listener in", "route r"]
    return envoy


def test_a_cluster_is_made_before_its_route_and_broken_after_it() -> None:
    envoy = at_rest(one("a"))
    envoy.delivery.offer(one("b", name="t"))
    assert sent(envoy) == ["cluster a b", "endpoint b", "route r", "cluster b"]


def test_a_changed_endpoint_is_sent_alone() -> None:
    envoy = at_rest(one("a"))
    envoy.delivery.offer(one("a", name="t", endpoint="2"))
    assert sent(envoy) == ["endpoint a"]


def test_an_equal_snapshot_sends_nothing() -> None:
    envoy = at_rest(one("a"))
    envoy.delivery.offer(one("a"))
    assert sent(envoy) == []


def test_listeners_wait_until_their_clusters_are_warm() -> None:
    envoy = at_rest(one("a"))
    envoy.delivery.offer(one("a b", listener="2", name="t"))
    first = envoy.delivery.next()
    assert first is not None
    assert first.kind is Kind.CLUSTER
    assert envoy.delivery.next() is None
    assert envoy.delivery.waiting == (Kind.CLUSTER,)


def test_a_renamed_route_keeps_its_clusters_until_the_old_listener_has_drained() -> None:
    envoy = at_rest(one("a"))
    envoy.delivery.offer(one("b", route="r2", listener="2", name="t"))
    for _ in range(50):
        if not (envoy.agent_sends() or envoy.turn() or envoy.agent_hears()):
            break
    assert set(envoy.active) == {"a", "b"}
    assert envoy.delivery.revision.in_force == "t"
    envoy.drained()
    envoy.rest()
    assert set(envoy.active) == {"b"}


def opened(delivery: Delivery) -> Response:
    """A stream that asked for clusters; the answer."""
    delivery.connect()
    delivery.heard(Request(Kind.CLUSTER, ""))
    response = delivery.next()
    assert response is not None
    return response


def test_a_stale_nonce_is_ignored() -> None:
    delivery = Delivery()
    delivery.offer(one("a"))
    response = opened(delivery)
    delivery.heard(Request(Kind.CLUSTER, "another"))
    delivery.heard(Request(Kind.CLUSTER, ""))
    assert delivery.waiting == (Kind.CLUSTER,)
    delivery.heard(Request(Kind.CLUSTER, response.nonce))
    assert delivery.waiting == ()


def test_a_new_stream_begins_anew_and_nothing_is_in_force_until_envoy_says_so() -> None:
    envoy = at_rest(one("a"))
    envoy.delivery.disconnect()
    assert envoy.delivery.next() is None
    assert not envoy.delivery.revision.serving
    assert opened(envoy.delivery).contents.keys() == {"a"}
    assert not envoy.delivery.revision.serving


def test_nothing_is_sent_of_a_type_while_its_last_answer_is_awaited() -> None:
    delivery = Delivery()
    delivery.offer(one("a"))
    opened(delivery)
    delivery.offer(one("b"))
    assert delivery.next() is None


def test_after_a_refused_endpoint_the_former_one_is_sent_again_and_the_bad_one_not() -> None:
    lane = Named({})
    lane.ask(["a"])
    lane.send({"a": b"good"})
    lane.accept()
    assert lane.next({"a": b"bad"}) == {"a": b"bad"}
    lane.send({"a": b"bad"})
    lane.refuse(REFUSAL)
    assert lane.next({"a": b"bad"}) == {"a": b"good"}
    lane.send({"a": b"good"})
    lane.accept()
    assert lane.next({"a": b"bad"}) is None
    assert lane.next({"a": b"better"}) == {"a": b"better"}
    lane.forgive()
    assert lane.next({"a": b"bad"}) == {"a": b"bad"}


def test_of_several_refused_endpoints_each_is_tried_alone() -> None:
    lane = Named({})
    lane.ask(["a", "b"])
    wanted = {"a": b"1", "b": b"!"}
    lane.send(lane.next(wanted) or {})
    lane.refuse(REFUSAL)
    assert lane.next(wanted) == {"a": b"1"}
    lane.send({"a": b"1"})
    lane.accept()
    assert lane.next(wanted) == {"b": b"!"}
    lane.send({"b": b"!"})
    lane.refuse(REFUSAL)
    assert lane.next(wanted) is None
    assert lane.refusals == {"b": REFUSAL}


def test_what_envoy_refused_waits_until_all_clusters_have_endpoints() -> None:
    """And what Envoy never saw until those have some that it accepted before."""
    lane = Named({"good": b"1", "other": b"1"})
    lane.ask(["bad", "good", "other"])
    wanted = {"bad": b"!", "good": b"1", "other": b"2"}
    assert lane.next(wanted) == {"good": b"1"}
    lane.send({"good": b"1"})
    lane.accept()
    lane.send({"bad": b"!"})
    lane.refuse(REFUSAL)
    lane.forgive()
    assert lane.next(wanted) == {"other": b"2"}
    lane.send({"other": b"2"})
    lane.accept()
    assert lane.next({**wanted, "good": b"3"}) == {"bad": b"!"}
    lane.send({"bad": b"!"})
    lane.refuse(REFUSAL)
    assert lane.next({**wanted, "good": b"3"}) == {"good": b"3"}


@pytest.mark.parametrize("restarted", [False, True], ids=["the same agent", "a new agent"])
@pytest.mark.parametrize("partly", [False, True], ids=["as a whole", "in part"])
def test_a_cluster_that_is_made_anew_gets_its_former_instances_before_others_are_tried(
    restarted: bool, partly: bool
) -> None:
    """All in one: it is made anew, its instances changed, and those of another are such as Envoy refuses."""
    listeners = {"in": {"content": "1", "route": "r", "clusters": "a"}}
    envoy = Envoy(Delivery(), partly)
    envoy.connect()
    envoy.delivery.offer(snapshot({"a": "1", "b": "1"}, listeners, {"a": "1", "b": "1"}, "good"))
    envoy.rest()
    if restarted:
        envoy.delivery = Delivery(envoy.delivery.good, envoy.delivery.refused)
        envoy.connect()
    envoy.delivery.offer(snapshot({"a": "2", "b": "2"}, listeners, {"a": "9", "b": "!"}, "bad"))
    envoy.rest()
    assert envoy.endpoints == {"a": b"9", "b": b"1"}
    assert [refusal.message for refusal in envoy.delivery.revision.refusals] == ["b: bad endpoints ['b']"]


def test_a_new_agent_tries_what_envoy_refused_of_its_last_good_snapshot_when_all_else_has_something() -> None:
    """Else the refusal would end the warming of a cluster that changes at that moment."""
    listeners = {"in": {"content": "1", "route": "r", "clusters": "a b"}}
    envoy = Envoy(Delivery())
    envoy.connect()
    envoy.delivery.offer(snapshot({"a": "1", "b": "1"}, listeners, {"a": "!", "b": "1"}, "good"))
    envoy.rest()
    assert envoy.delivery.refused == ("a",)
    envoy.delivery = Delivery(envoy.delivery.good, envoy.delivery.refused)
    envoy.delivery.offer(snapshot({"a": "1", "b": "2"}, listeners, {"a": "!", "b": "2"}, "next"))
    envoy.connect()
    assert sent(envoy)[:4] == ["cluster a b", "endpoint b", "endpoint a", "endpoint b"]
    assert envoy.endpoints == {"b": b"2"}


def test_a_cluster_that_is_made_anew_while_each_of_several_is_tried_alone_gets_its_former_instances_first() -> (
    None
):
    lane = Named({"z": b"1"}, proven_first=True)
    lane.ask(["a", "z"])
    wanted = {"a": b"!", "z": b"2"}
    lane.send({"z": b"1"})
    lane.accept()
    assert lane.next(wanted) == wanted
    lane.send(wanted)
    lane.refuse(REFUSAL)
    lane.resend(["z"])
    assert lane.next(wanted) == {"z": b"1"}
    lane.send({"z": b"1"})
    lane.accept()
    assert lane.next(wanted) == {"a": b"!"}


def test_a_newer_envoy_that_refuses_several_of_those_accepted_before_is_not_asked_for_ever() -> None:
    lane = Named({"a": b"!", "b": b"1"}, proven_first=True)
    lane.ask(["a", "b"])
    wanted = {"a": b"!", "b": b"2"}
    assert lane.next(wanted) == {"a": b"!", "b": b"1"}
    lane.send({"a": b"!", "b": b"1"})
    lane.refuse(REFUSAL)
    assert lane.next(wanted) == {"a": b"!"}
    lane.send({"a": b"!"})
    lane.refuse(REFUSAL)
    for content in (b"1", b"2"):
        assert lane.next(wanted) == {"b": content}
        lane.send({"b": content})
        lane.accept()
    assert lane.next(wanted) is None


def test_endpoints_of_a_cluster_that_changed_while_they_were_under_way_are_sent_again() -> None:
    lane = Named({})
    lane.ask(["a"])
    lane.send({"a": b"1"})
    lane.resend(["a"])
    lane.accept()
    assert lane.next({"a": b"1"}) == {"a": b"1"}


def test_a_lane_whose_last_good_contents_are_refused_too_stays_quiet() -> None:
    lane = Whole({"x": b"good"})
    lane.ask()
    for contents in ({"x": b"bad"}, {"x": b"good"}):
        assert lane.next({"x": b"bad"}) == contents
        lane.send(contents)
        lane.refuse(REFUSAL)
    assert lane.next({"x": b"bad"}) is None


def test_a_new_envoy_is_sent_refused_endpoints_again_where_it_would_wait_for_them_for_ever() -> None:
    lane = Named({})
    lane.ask(["a"])
    lane.send({"a": b"!"})
    lane.refuse(REFUSAL)
    assert lane.next({"a": b"!"}) is None
    lane.connect()
    lane.ask(["a"])
    assert lane.next({"a": b"!"}) == {"a": b"!"}


def test_an_agent_that_is_new_gives_endpoints_to_a_cluster_that_still_warms() -> None:
    """Envoy asks it for clusters only once all are warm."""
    envoy = at_rest(one("a"))
    envoy.delivery.offer(one("a b", name="t"))
    assert envoy.agent_sends()
    assert envoy.turn()
    assert list(envoy.warming) == ["b"]
    envoy.delivery = Delivery(one("a"))
    envoy.delivery.offer(one("a b", name="t"))
    envoy.connect()
    assert envoy.delivery.silent
    assert sent(envoy)[:2] == ["endpoint a", "endpoint b"]
    assert envoy.delivery.revision.in_force == one("a b", name="t").hash
    assert not envoy.delivery.silent


def test_clusters_that_are_never_answered_are_taken_back_and_count_as_refused() -> None:
    good = one("a")
    envoy = at_rest(good)
    envoy.delivery.offer(one("a b", name="t"))
    assert envoy.agent_sends()
    envoy.to_envoy.clear()
    assert envoy.delivery.silent
    refusal = envoy.delivery.lose_patience(15)
    assert refusal is not None
    assert (refusal.type, refusal.message) == ("cluster", "no answer within 15 s; Envoy's own log says why")
    assert sent(envoy) == ["cluster a", "endpoint a"]
    revision = envoy.delivery.revision
    assert (revision.in_force, revision.refusals) == (good.hash, (refusal,))
    envoy.delivery.retry()
    assert envoy.delivery.revision.refusals == (refusal,)
    assert sent(envoy)[0] == "cluster a b"
    assert envoy.delivery.revision.refusals == ()


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (
            snapshot({"a": "!"}, {"in": {"content": "1", "route": "r", "clusters": "a"}}, {"a": "1"}, "t"),
            "cluster",
        ),
        (one("a", name="t", endpoint="!"), "endpoint"),
        (one("a", name="t", listener="!"), "listener"),
        (one("a !", name="t"), "route"),
    ],
    ids=["cluster", "endpoint", "listener", "route"],
)
def test_what_is_refused_again_was_refused_all_the_time(bad: Encoded, kind: str) -> None:
    """Else the status would be well for a moment at each try, and the journal would tell of it each time."""
    envoy = at_rest(one("a"))
    envoy.delivery.offer(bad)
    sent(envoy)
    told = envoy.delivery.revision
    assert [refusal.type for refusal in told.refusals] == [kind]
    for _ in range(2):
        envoy.delivery.retry()
        steps = 0
        while envoy.agent_sends() or envoy.turn() or envoy.agent_hears():
            assert envoy.delivery.revision == told
            steps += 1
        assert steps > 2


def test_what_is_tried_again_is_no_refusal_of_the_snapshot_after_it() -> None:
    envoy = at_rest(one("a"))
    envoy.delivery.offer(one("a", name="t", listener="!"))
    sent(envoy)
    envoy.delivery.retry()
    envoy.delivery.offer(one("a", name="u", listener="2"))
    assert envoy.delivery.revision.refusals == ()


def test_an_envoy_that_never_asks_for_clusters_gets_them_all_the_same() -> None:
    envoy = at_rest(one("a"))
    envoy.warming["lost"] = b"1"
    envoy.connect()
    assert "cluster a" not in sent(envoy)
    assert envoy.delivery.lose_patience(15) is None
    assert "cluster a" in sent(envoy)
    assert envoy.warming == {}
    assert envoy.delivery.revision.in_force == one("a").hash
