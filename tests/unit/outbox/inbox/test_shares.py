"""Who should have what."""

from hypothesis import given
from hypothesis import strategies as st

from agent.outbox.inbox.shares import Place, Pulse, share


@given(st.integers(1, 20), st.integers(1, 6), st.data())
def test_shares_become_fair_and_stay(partitions: int, instances: int, data: st.DataObject) -> None:
    places = [Place("t", number) for number in range(partitions)]
    names = [f"i{number}" for number in range(instances)]
    start = data.draw(
        st.lists(st.sampled_from([*names, "dead", None]), min_size=partitions, max_size=partitions)
    )
    owners = {place: owner for place, owner in zip(places, start, strict=True) if owner}
    for _ in range(4 * partitions):
        changed = False
        for name in names:
            claims, gives = share(name, places, owners, names)
            assert not set(claims) & {place for place, owner in owners.items() if owner in names}
            assert all(owners[place] == name for place in gives)
            owners = {place: owner for place, owner in owners.items() if place not in gives}
            owners.update(dict.fromkeys(claims, name))
            changed |= bool(claims or gives)
        if not changed:
            break
    assert not changed, "it never settles"
    assert set(owners) == set(places)
    held = [sum(owner == name for owner in owners.values()) for name in names]
    assert max(held) - min(held) <= 1 or min(held) >= partitions // instances


def test_who_shows_the_same_beat_for_a_lease_is_dead_and_a_new_beat_lives_again() -> None:
    now = 0.0
    pulse = Pulse(10, lambda: now, lambda name: name == "former")
    assert pulse.alive({"a": 1, "former": 1}) == {"a"}
    now = 9.9
    assert pulse.alive({"a": 1}) == {"a"}
    now = 10.0
    assert pulse.alive({"a": 1}) == frozenset()
    assert pulse.alive({"a": 2}) == {"a"}
