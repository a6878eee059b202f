"""What stands around a document that is written anew."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.inject.injection import Outcome, Verdict
from agent.inject.manifests import load
from agent.inject.manifests.stream import changed

HEAD = "apiVersion: v1\nkind: Pod\nmetadata: {labels: {app: a}}\nspec:\n"
LINES = st.lists(
    st.sampled_from(
        ["      # deep\n", "    # c\n", "  # c\n", " # c\n", "# c\n", "\n", "   \n", "      x\n", "\t# c\n"]
    ),
    max_size=6,
).map("".join)
STYLES = st.sampled_from(["|", "|-", "|+", ">", ">-", ">+", "|2", "|2-"])


def anew(text: str) -> str:
    """The text with its pod written anew, equal as data."""
    result = changed(text, "a", lambda pod, _name: Outcome(Verdict.INJECTED, "", dict(pod)))
    assert [one.verdict for one in result.entries] == [Verdict.INJECTED]
    return result.text


def read(text: str):
    node = load.compose(text)
    assert node is not None
    return load.data(node)


@settings(max_examples=500, deadline=None)
@given(STYLES, LINES)
def test_a_document_that_ends_in_a_text_stays_equal_whatever_looks_like_a_comment_there(style, lines):
    text = f"{HEAD}  args: {style}\n    x\n{lines}"
    try:
        before = read(text)
    except load.InvalidError:
        return
    after = anew(text)
    assert read(after) == before
    assert read(anew(after)) == before


@pytest.mark.parametrize(
    ("end", "tail"),
    [
        ("  a: |\n    x\n    # of the text\n", ""),
        ("  a: |\n    x\n    # of the text\n   # none\n\n# none\n", "# none\n\n# none\n"),
        ("  a: 'x\n    # of the text'\n# none\n", "# none\n"),
        ("  a: {b: 1,\n    # inside\n    c: 2}\n# none\n", "# none\n"),
        ("  a: b\n    # none\n", "# none\n"),
        ("  a:\n  # none\n", "# none\n"),
        ("  a: |\n    x\n\n# none\n", "\n# none\n"),
    ],
)
def test_only_what_is_a_comment_is_kept_as_one(end, tail):
    after = anew(HEAD + end)
    assert read(after) == read(HEAD + end)
    assert after.endswith(tail)
    assert after.count("# none") == tail.count("# none")
    assert after.count("# of the text") == end.count("# of the text")
