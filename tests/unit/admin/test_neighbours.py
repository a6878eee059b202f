"""What other agents say of whom they call, which anybody may have written."""

import json

import pytest

from agent.admin import neighbours
from agent.admin.neighbours import Count, Told
from agent.model.traffic import Traffic


def test_an_answer_is_read_back_as_it_was_told_without_what_was_never_called() -> None:
    told = neighbours.told("shop", {"orders": Traffic((), 20, 2, 1), "stock": Traffic()})
    assert told == Told("shop", {"orders": Count(20, 2, 1)})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"service":"other","calls":{}}',
        b'{"service":"shop","calls":{"<script>":{"requests":1}}}',
        b'{"service":"shop","calls":{"orders":{"requests":-1}}}',
        b'{"service":"shop","calls":{"orders":{"requests":"many"}}}',
        b'{"service":"shop","calls":{"orders":{"requests":1e99}}}',
        json.dumps({"service": "shop", "calls": {f"s{number}x": {} for number in range(300)}}).encode(),
        b"[" * 60_000,
    ],
)
def test_an_answer_that_no_agent_gives_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"is |names |counts "):
        neighbours.read("shop", body)


def test_the_instances_of_a_service_are_one_caller() -> None:
    answers = [Told("shop", {"orders": Count(1, 1)}), Told("shop", {"orders": Count(2, 0, 3)}), Told("x", {})]
    assert neighbours.summed(answers) == {("shop", "orders"): Count(3, 1, 3)}
