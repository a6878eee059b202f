"""What is typed, what is shown of it, and how the two are compared."""

import pytest

from tests.unit.docs import apart, form, shape, typed
from tests.unit.docs.blocks import Block, blocks
from tests.unit.docs.typed import Typed

ALL = tuple(typed.all_of(blocks()))
APART = [one for one in ALL if apart.entry(one) is not None]
PROGRAMS = (
    "pillion",
    "curl",
    "consul",
    "kubectl",
    "helm",
    "make",
    "docker",
    "docker-compose",
    "pip",
    "python3",
    "psql",
    "dig",
)


def test_commands_have_their_place_and_what_they_print() -> None:
    text = "$ a \\\n    b\none\n\ntwo\n$ c\n"
    assert [*typed.of(Block("p", 7, "console", text))] == [
        Typed("p", 8, "a b", ("one", "", "two")), Typed("p", 13, "c"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("2 listeners (snapshot 3d1f0c5f7c1d9a3e)", "3 listeners (snapshot 0d1f0c5f7c1d9a30)"),
        ("parked for 12 m; rows: 3", "parked for 4 s; rows: 1"),
        ("at 127.0.0.1:15020", "at 127.0.0.1:41873"),
        ("a   b", "a b"),
        ("took 1.5 ms  12 %", "took 250 µs  3%"),
        ("b60bf1cf-dc24-48f5-84a8-89afc1602b15 x", "00000000-dc24-48f5-84a8-89afc1602b15 x"),
        ("one\n…\nfour", "one\ntwo\nthree\nfour"),
        ("one\n…", "one"),
        ("…", "anything"),
        ("GET / is…", "GET / is routed"),
    ],
)  # fmt: skip
def test_other_figures_are_alike(shown: str, printed: str) -> None:
    assert shape.wrong(shown.splitlines(), printed.splitlines()) == ""


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("one", "two"),
        ("one", "one\ntwo"),
        ("one\ntwo", "one"),
        ("one\n…\nfour", "one\ntwo"),
        ("v1 of orders", "v2 of orders"),
        ("12 rows", "12 keys"),
        ("GET / is…", "GET /x is routed"),
    ],
)
def test_other_words_or_lines_are_not(shown: str, printed: str) -> None:
    assert shape.wrong(shown.splitlines(), printed.splitlines()) != ""


@pytest.mark.parametrize("one", APART, ids=lambda one: one.place)
def test_a_command_that_is_not_run_names_what_is_there(one: Typed) -> None:
    assert form.wrong(one) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("make tea", "no target tea"),
        ("helm install x charts/tea", "no file charts/tea"),
        ("helm install x charts/pillion --set gateway.enabld=false", "no value gateway.enabld"),
        ("install docs/vm/tea /x", "no file docs/vm/tea"),
        ("helm 'x", "closing quotation"),
    ],
)
def test_a_wrong_form_is_found(text: str, said: str) -> None:
    assert said in " ".join(form.wrong(Typed("p", 1, text))).replace("No closing", "no closing")


def test_no_command_hides_in_a_block_that_is_none_of_a_console() -> None:
    hidden = [
        f"{block.place}: {line}"
        for block in blocks()
        if block.language in ("", "sh", "bash", "shell", "text")
        for line in block.text.splitlines()
        if line.removeprefix("$ ").split(" ")[0] in PROGRAMS
    ]
    assert hidden == []


def test_only_commands_that_need_another_world_are_apart() -> None:
    """The list is small, and it is a minority that it leaves out."""
    assert len(apart.APART) < 10
    assert len(APART) < len(ALL) / 2
