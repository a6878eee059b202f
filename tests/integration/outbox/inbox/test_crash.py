"""The end of an inbox's process at every point: each message is done, and the service called once but in the gap."""

import asyncio
import signal
from collections import Counter

import pytest

from tests.integration.outbox.inbox.process import GAP, POINTS
from tests.integration.outbox.inbox.rig import Rig, until


@pytest.mark.parametrize("point", POINTS)
async def test_after_an_end_at_any_point_the_service_is_called_once_for_each_message(
    rig: Rig, point: str
) -> None:
    rig.start_service()
    # The first dead letter and the first retry stand in the middle, with the same key as all the others.
    told = {3: {"answers": ["DROP", "DROP"]}, 6: {"answers": [503]}}
    for number in range(12):
        await rig.publish(f"e{number}", key="a", **told.get(number, {}))
    settings = rig.settings(concurrency=1, lease=4.0)
    doomed = rig.process(settings, "one", point)
    await until(lambda: doomed.poll() is not None)
    assert doomed.returncode == -signal.SIGKILL, "it did not come to that point"
    async with rig.inbox(settings, "two"):
        await until(lambda: "e11" in rig.called())
        await rig.until_acknowledged()
    calls = Counter(rig.called())
    assert calls.pop("e6") == 2, "once, and once more for its retry"
    again = [identity for identity, count in calls.items() if count > 1]
    if point in GAP:
        assert len(again) == 1
        assert calls[again[0]] == 2
    else:
        assert not again
    assert set(calls) | {"e6"} == {f"e{number}" for number in range(12)}
    firsts = list(dict.fromkeys(rig.called()))
    assert firsts == [f"e{number}" for number in range(12)], "not in the key's order"
    dead = await rig.sql.fetch("SELECT id FROM pillion_inbox.inbox_dead")
    assert [row["id"] for row in dead] == ["e3"]


async def test_a_database_that_goes_between_answer_and_record_costs_no_second_call(rig: Rig) -> None:
    rig.start_service()
    async with rig.inbox(rig.settings()):
        await rig.publish("warm")
        await rig.until_called("warm")
        await rig.publish("slow", gate="answer")
        await until(lambda: "slow" in rig.called())
        await rig.sql.execute("ALTER TABLE pillion_inbox.inbox_seen RENAME TO gone")
        rig.open_gate("answer")
        await until(lambda: len(rig.noted("end")) == 2)
        await until(lambda: "PostgreSQL" in rig.board.reports["inbox"].detail)
        await rig.sql.execute("ALTER TABLE pillion_inbox.gone RENAME TO inbox_seen")
        await rig.until_acknowledged()
        await asyncio.sleep(0)
        await rig.publish("next")
        await until(lambda: "next" in rig.called())
    assert rig.called() == ["warm", "slow", "next"]


async def test_a_former_owner_that_was_stopped_beyond_its_lease_records_and_calls_nothing_more(
    rig: Rig,
) -> None:
    rig.start_service()
    settings = rig.settings(concurrency=4, lease=4.0)
    stopped = rig.process(settings, "one")
    for number in range(300):
        await rig.publish(f"e{number}", key=f"k{number % 7}", seconds=0.02)
    await until(lambda: len(rig.called()) > 30)
    stopped.send_signal(signal.SIGSTOP)
    async with rig.inbox(settings, "two"):
        before = len(rig.called())
        await until(lambda: len(rig.called()) > before + 50)
        stopped.send_signal(signal.SIGCONT)
        await until(lambda: len(set(rig.called())) == 300)
        await rig.until_acknowledged()
    stopped.terminate()
    await until(lambda: stopped.poll() is not None)
    calls = Counter(rig.called())
    # The other one, too, may lose its connection meanwhile on a machine that is busy.
    assert sum(count - 1 for count in calls.values()) <= 8, "more than what both had at the service"
    for key in range(7):
        firsts = list(dict.fromkeys(note["id"] for note in rig.noted() if note["key"] == f"k{key}"))
        assert firsts == sorted(firsts, key=lambda identity: int(identity[1:]))
