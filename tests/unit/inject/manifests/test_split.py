"""Finding the documents of a stream."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.inject.manifests.split import split

LINES = st.sampled_from(
    [
        "---\n",
        "--- a\n",
        "---\r\n",
        "...\n",
        "# c\n",
        "\n",
        "a: 1\n",
        "  b\n",
        "%YAML 1.1\n",
        "--- # x\n",
        "----\n",
        "x\u2028---\n",
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(LINES, max_size=12).map("".join) | st.text(max_size=30))
def test_the_pieces_together_are_the_stream(stream):
    assert "".join(piece.text for piece in split(stream)) == stream


@pytest.mark.parametrize(
    ("stream", "bodies"),
    [
        ("a: 1\n---\nb: 2\n", ["a: 1\n", "b: 2\n"]),
        ("---\na: 1\n---\nb: 2\n", ["a: 1\n", "b: 2\n"]),
        ("# c\n\n---\n# d\na: 1\n# e\n", ["a: 1\n"]),
        ("--- {a: 1}\n--- {b: 2}\n", ["--- {a: 1}\n", "--- {b: 2}\n"]),
        ("a: 1\n...\n# c\n---\nb: 2\n", ["a: 1\n", "b: 2\n"]),
        ("a: |\n  ---\n  x\n", ["a: |\n  ---\n  x\n"]),
        ("a: ----\n", ["a: ----\n"]),
        ("---\n---\n", ["", ""]),
        ("", []),
        ("%YAML 1.1\n---\na: 1\n...\n%YAML 1.2\n---\nb: 2\n", ["a: 1\n", "b: 2\n"]),
    ],
)
def test_each_document_is_found(stream, bodies):
    assert [piece.body for piece in split(stream)] == bodies


def test_comments_around_a_document_are_apart_from_it():
    (piece,) = split("# licence\n---\n# head\na: 1  # inside\n# tail\n\n")
    assert (piece.head, piece.body, piece.tail) == (
        "# licence\n---\n# head\n",
        "a: 1  # inside\n",
        "# tail\n\n",
    )
