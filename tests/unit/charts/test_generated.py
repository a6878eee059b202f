"""The charts' generated files."""

import json
from pathlib import Path

import jsonschema
import pytest

from tests.charts import generated, schema, values

EXAMPLE = """
# -- How many.
# @ $count
replicas: 2
# A word on the group.
image:
  # -- Where from,
  # by name.
  repository: x
# -- Anything.
free: {}
# -- Only this.
fixed: {a: 1}
"""


@pytest.mark.parametrize("path", generated.documents())
def test_the_generated_files_are_fresh(path: str) -> None:
    """After a change of values.yaml, a script or a server's configuration: make docs."""
    assert (generated.ROOT / path).read_text(encoding="utf-8") == generated.documents()[path]


def test_a_comment_becomes_a_row_of_the_table() -> None:
    rows = generated.table(values.read(EXAMPLE))
    assert '| `image.repository` | `"x"` | Where from, by name. |' in rows
    assert not [row for row in rows if "`image`" in row]


def test_a_value_without_a_comment_is_an_error_that_names_it() -> None:
    with pytest.raises(values.UndocumentedError, match=r"a\.b, c"):
        values.read("a:\n  b: 1\nc: 2\n# -- Known.\nd: 3\n")


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ({}, True),
        ({"replicas": 0}, True),
        ({"replicas": -1}, False),
        ({"replica": 1}, False),
        ({"image": {"repository": "y"}}, True),
        ({"image": {"repo": "y"}}, False),
        ({"free": {"any": {"thing": 1}}}, True),
        ({"free": 1}, False),
        ({"global": {"x": 1}, "enabled": False}, True),
    ],
)
def test_the_schema_knows_what_is_declared_and_nothing_else(given: object, right: bool) -> None:
    checker = jsonschema.Draft7Validator(schema.document(values.read(EXAMPLE)))
    assert checker.is_valid(given) is right


@pytest.mark.parametrize("chart", generated.CHARTS)
def test_the_defaults_fit_their_own_schema_which_is_one(chart: str) -> None:
    import yaml

    folder = generated.ROOT / "charts" / chart
    made = json.loads((folder / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(made)
    jsonschema.Draft7Validator(made).validate(yaml.safe_load((folder / "values.yaml").read_text()))


def test_a_readme_without_a_place_for_the_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="lacks the line"):
        generated.readme("# A chart\n", ())


def test_main_writes_what_documents_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = generated.documents()
    monkeypatch.setattr(generated, "ROOT", tmp_path)
    monkeypatch.setattr(generated, "documents", lambda: made)
    generated.main()
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert written == set(made)
