"""Durations and sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import units


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("250ms", 0.25),
        ("10s", 10.0),
        ("5m", 300.0),
        ("1h", 3600.0),
        ("7d", 604800.0),
        ("1.5m", 90.0),
        (".5s", 0.5),
        ("0s", 0.0),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text, value):
    assert units.seconds(text) == value


@pytest.mark.parametrize(
    "text", ["", "5", "s", "5 s", "-5s", "5sec", "1e3s", "1h30m", "5s\n", "٣s", "nan", "infs"]
)
def test_anything_else_is_no_duration(text):
    assert units.seconds(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("512MiB", 2**29),
        ("64kB", 64000),
        ("1GB", 10**9),
        ("0B", 0),
        ("5", None),
        ("1.5MiB", None),
        ("5mb", None),
    ],
)
def test_a_size_is_a_whole_number_and_a_unit(text, value):
    assert units.size(text) == value


@given(st.integers(0, 10**7).map(lambda milliseconds: milliseconds / 1000))
def test_a_written_duration_reads_back_to_the_same(value):
    assert units.seconds(units.written(value, "s")) == pytest.approx(value, abs=0)


@given(st.integers(0, 2**53))
def test_a_written_size_reads_back_to_the_same(value):
    text = units.written(value, "B")
    assert units.size(text) == value
