"""The JSON Schema says what the loader does."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings

from agent.config import document, fields, units, values
from agent.config.problems import Report
from agent.config.schema import schema
from agent.config.shapes import Number
from agent.config.sources import from_document
from tests.unit.config.generated import DOCUMENTS

VALIDATOR = jsonschema.Draft202012Validator(schema())


def _plain(content: Any) -> Any:
    """The same with durations and sizes that have a unit as numbers, whose range a schema can't check in a
    text."""
    match content:
        case dict():
            return {key: _plain(value) for key, value in content.items()}
        case list():
            return [_plain(value) for value in content]
        case str() if (seconds := units.seconds(content)) is not None:
            return seconds
        case str() if (size := units.size(content)) is not None:
            return size
    return content


def _read(content: Any) -> list[str]:
    report = Report()
    values.read(fields.shape(), content, "", report)
    return [str(problem) for problem in report.problems]


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(schema())


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=300, deadline=None)
@given(DOCUMENTS)
@example({"registry": {"deregister_after": 59}})
@example({"upstreams": "a,,b"})
@example({"upstreams": "a\n"})
@example({"service": {"port": 80.0, "tags": None}})
@example({"outbox": {"tables": [None, {}, {"table": "a"}]}})
@example({"service": {"name": "a\n"}})
def test_loader_and_schema_refuse_the_same_documents(content):
    content = _plain(content)
    assert bool(_read(content)) == (not VALIDATOR.is_valid(content)), (
        _read(content),
        list(VALIDATOR.iter_errors(content)),
    )


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=100, deadline=None)
@given(DOCUMENTS)
@example({"registry": {"address": "0E0"}})  # a number to YAML 1.2, which the dump does not know
def test_reading_by_sections_and_reading_the_whole_find_the_same_problems(content):
    """The loader walks sections to keep origins; the shape of everything read at once is the same rule."""
    report, text = Report(), yaml.safe_dump(content)
    from_document(text, "p.yaml", report)
    strip = lambda problems: sorted(problem.key for problem in problems)  # noqa: E731
    if not any(problem.key == "p.yaml" for problem in report.problems):
        whole = Report()
        values.read(fields.shape(), document.parse(text), "", whole)
        assert strip(report.problems) == strip(whole.problems)


@pytest.mark.parametrize(
    "content",
    [
        {"service": {"prot": 1}},
        {"service": {"port": "80"}},
        {"traffic": {"timeout": "soon"}},
        {"upstreams": {"orders": {"traffic": {"retries": 99}}}},
        {"versions": {"deprecated": {"v1": {"since": 2026}}}},
    ],
)
def test_mistakes_that_an_editor_should_mark(content):
    assert not VALIDATOR.is_valid(content)


def test_durations_with_units_and_descriptions_are_in_the_schema():
    assert VALIDATOR.is_valid({"traffic": {"timeout": "250ms"}, "proxy": {"heap_limit": "512MiB"}})
    timeout = schema()["properties"]["traffic"]["properties"]["timeout"]
    assert re.search("request", timeout["description"])
    assert schema()["additionalProperties"] is False


def test_the_page_of_settings_is_current():
    """After a change of a declaration: python -m agent.config.docs docs/settings.md."""
    from agent.config import docs

    assert (Path(__file__).parents[3] / "docs" / "settings.md").read_text(encoding="utf-8") == docs.page()


@pytest.mark.parametrize(
    "setting",
    [one for one in fields.all_settings() if isinstance(one.shape, Number)],
    ids=lambda one: one.key,
)
def test_loader_and_schema_agree_at_the_bounds_and_the_bounds_are_the_declared_ones(setting):
    shape = setting.shape
    good = [shape.high] + ([shape.low] if shape.low is not None else [shape.above + 1])
    bad = [shape.high + 1] + ([shape.low - 1] if shape.low is not None else [shape.above])
    for value in good + bad:
        content: Any = value
        for part in reversed(setting.key.split(".")):
            content = {part: content}
        assert (not _read(content)) == VALIDATOR.is_valid(content) == (value in good), value
