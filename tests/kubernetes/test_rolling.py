"""A rolling update of three pods at 200 requests a second loses none, through the mesh and through the gateway."""

from tests.kubernetes.rolling import RATE, rolled
from tests.kubernetes.world import World


def test_a_rolling_update_at_200_requests_a_second_loses_none(world: World) -> None:
    took, ways = rolled(world)
    lines = [f"{way}: {sent}" for way, sent in ways.items()]
    world.record.section(f"Rolling update of three pods at {RATE} requests a second, {took:.0f} s", lines)
    assert {way: sent.failed for way, sent in ways.items() if sent.failed} == {}
    assert all(sent.sent / sent.seconds > RATE / 2 * 0.9 for sent in ways.values()), lines
    assert world.ghosts("inventory", "pillion-test-shop") == []
