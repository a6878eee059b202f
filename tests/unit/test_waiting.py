"""What the tests' own waiting makes of a machine that is too busy."""

import asyncio
import time

import pytest

from tests.waiting import until


async def test_what_came_true_while_the_test_itself_was_asleep_is_seen() -> None:
    looks = []

    def came_true() -> bool:
        looks.append(1)
        if len(looks) == 1:
            time.sleep(0.2)  # the process is put to sleep in the first look, beyond its time
        return len(looks) > 1

    assert await until(came_true, within=0.1, every=0.0)


async def test_time_that_the_machine_takes_from_the_pauses_is_given_back() -> None:
    began = time.monotonic()
    blocking = asyncio.get_running_loop().call_later(0.05, time.sleep, 0.5)
    try:
        assert await until(lambda: time.monotonic() - began > 0.6, within=0.3)
    finally:
        blocking.cancel()


async def test_what_never_comes_true_ends_with_the_last_thing_seen() -> None:
    with pytest.raises(AssertionError, match=r"not true within 0\.05 s; last seen: \[\]"):
        await until(list, within=0.05)
