"""What is said of an event that no stream took: whether the stream has no leader, other subjects, or is not there."""

import asyncio

import pytest

from agent.outbox.brokers.nats_untaken import Untaken, why
from agent.runtime.errors import Transient
from tests.waiting import until


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "no leader just now, or JetStream is not available"),
        (b"\xff", "no leader"),
        (b'{"error":{"code":503,"err_code":10008}}', "no leader"),
        (b'{"config":{"name":"s"},"cluster":{"name":"c"}}', "no leader"),
        (b'{"error":{"code":404,"err_code":10059}}', "there is no stream s"),
        (b'{"config":{"name":"s"},"cluster":{"leader":"n1"}}', "do its subjects cover the topic?"),
        (b'{"config":{"name":"s"}}', "do its subjects cover the topic?"),
    ],
)
def test_the_reason_is_what_the_stream_itself_says(answer: bytes, reason: str) -> None:
    said = why("s", answer)
    assert reason in said
    assert said.endswith("sent again")


async def test_one_question_answers_for_all_that_come_back_meanwhile() -> None:
    asked: list[asyncio.Future[bytes]] = []
    told: list[int] = []

    async def ask() -> bytes:
        asked.append(asyncio.get_running_loop().create_future())
        return await asked[-1]

    untaken = Untaken("s", ask, lambda number, _: told.append(number))
    for number in (1, 2, 3):
        untaken.add(number)
    await asyncio.sleep(0)
    asked[0].set_result(b"")
    await until(lambda: len(told) == 3)
    untaken.add(4)
    await asyncio.sleep(0)
    asked[1].set_exception(Transient("no answer"))
    await until(lambda: len(told) == 4)
    assert (told, len(asked)) == ([1, 2, 3, 4], 2)


async def test_nothing_is_told_after_the_link_is_closed() -> None:
    told: list[int] = []

    async def ask() -> bytes:
        await asyncio.Event().wait()
        return b""

    untaken = Untaken("s", ask, lambda number, _: told.append(number))
    untaken.add(1)
    await asyncio.sleep(0)
    await untaken.close()
    await Untaken("s", ask, lambda number, _: told.append(number)).close()
    assert told == []
