"""A connection's basket hands out in order, and nothing after its end."""

import asyncio

import pytest

from agent.outbox.inbox.message import Parcel
from agent.outbox.inbox.sources.basket import Basket
from agent.runtime.errors import Permanent, Transient


def parcel(number: int) -> Parcel:
    return Parcel(number, "t", {}, b"", "o", str(number))


async def test_what_came_is_taken_in_order_and_waited_for() -> None:
    basket = Basket()
    basket.put([parcel(1)])
    basket.put([parcel(2)])
    assert [each.number for each in await basket.take()] == [1, 2]
    waiting = asyncio.create_task(basket.take())
    await asyncio.sleep(0)
    assert not waiting.done()
    basket.put([])
    basket.put([parcel(3)])
    assert [each.number for each in await waiting] == [3]


async def test_after_the_end_nothing_is_handed_out_and_its_first_reason_is_told() -> None:
    basket = Basket()
    basket.put([parcel(1)])
    basket.end(Permanent("the first"))
    basket.end(Transient("the second"))
    assert basket.ended
    with pytest.raises(Permanent, match="the first"):
        await basket.take()
