"""Names as operators write them, and as SQL must hold them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.outbox.names import Name, identifier, literal


@pytest.mark.parametrize(
    ("text", "schema", "table"),
    [
        ("orders", "public", "orders"), ("sales.Orders", "sales", "Orders"),
        ('"a.b"."c""d"', "a.b", 'c"d'), ('x."y.z"', "x", "y.z"),
    ],
)  # fmt: skip
def test_a_name_is_read_as_it_stands_in_the_catalogue(text: str, schema: str, table: str) -> None:
    assert Name.parse(text) == Name(schema, table)


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a.b.c", '"a', 'a"b', "a\0", "x" * 64, '""'])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is "):
        Name.parse(text)


@given(
    st.text(min_size=1, max_size=15).filter(lambda text: "\0" not in text), st.text(min_size=1, max_size=15)
)
def test_every_name_survives_its_own_text(schema: str, table: str) -> None:
    if "\0" in table:
        return
    name = Name(schema, table)
    assert Name.parse(str(name)) == name


@given(st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_a_quoted_text_ends_where_it_should(text: str) -> None:
    assert identifier(text)[1:-1].replace('""', "").count('"') == 0
    inner = literal(text)
    assert inner.removeprefix("E")[1:-1].replace("''", "").count("'") == 0
