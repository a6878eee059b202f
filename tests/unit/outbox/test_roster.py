"""How the buckets of a feed are shared, and which of them nobody works on."""

from agent.cli.outbox_status import line
from agent.outbox.roster import Share, shares
from agent.outbox.shares import View
from agent.outbox.survey import Survey

VIEW = View(
    {"a/1": 5, "b/1": 9, "c/1": 1},
    {0: "a/1", 1: "b/1", 2: "d/1", 3: None, 4: "a/1"},
    {0: 3, 1: 1, 2: 7, 3: 2, 4: 6},
)


def test_a_relay_is_alive_only_if_its_beat_moved_while_it_was_looked_at() -> None:
    found = shares(VIEW, {"a/1": 6, "c/1": 2}, {"a/1": 60.0, "b/1": None})
    assert found == (
        Share("a/1", "alive", 2, {0: 3, 4: 6}, 60.0),
        Share("b/1", "silent", 1, {1: 1}),
        Share("c/1", "alive", 0, {}),
        Share("d/1", "gone", 1, {2: 7}),
        Share("", "nobody", 1, {3: 2}),
    )
    assert [each.orphaned for each in found] == [0, 1, 0, 1, 1]


def test_each_share_is_told_in_a_line_with_what_becomes_of_orphaned_buckets() -> None:
    found = shares(VIEW, {"a/1": 6, "c/1": 2}, {"a/1": 300.0})
    told = line(Survey("f", "a/1, b/1", 64, 0, None, shares=found)).splitlines()
    assert told == [
        "f: relayed by a/1, b/1; 0 unsent",
        "    a/1: 2 of 64 buckets, epochs 3 to 6, joined 5 m ago",
        "    b/1: 1 of 64 buckets, epoch 1: it gave no sign of life; another one takes them after outbox.lease",
        "    c/1: 0 of 64 buckets",
        "    d/1: 1 of 64 buckets, epoch 7: it is gone; the next relay that looks takes them",
        "    nobody: 1 of 64 buckets, epoch 2: the next relay that looks takes them",
    ]


def test_a_name_that_would_move_the_cursor_of_a_terminal_does_not() -> None:
    found = shares(View({}, {0: "\x1b[2J"}, {0: 1}), {})
    assert "\x1b" not in line(Survey("f", "\x1b[2J", 64, 0, None, shares=found))
