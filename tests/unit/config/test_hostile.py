"""Whatever is given, the answer is settings or Misconfigured."""

from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.config import fields
from agent.config.live import override
from agent.config.settings import Settings
from agent.config.sources import load
from agent.runtime.errors import Misconfigured
from tests.unit.config.generated import ANYTHING, DOCUMENTS
from tests.unit.config.memory import Memory

SOME = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=150)
VARIABLES = [one.variable for one in fields.all_settings()] + [
    "PILLION_X",
    "PILLION_PORT",
    "CONSUL_HTTP_ADDR",
    "OTEL_SERVICE_NAME",
]
TEXTS = (
    st.text(max_size=12)
    | ANYTHING.map(lambda one: yaml.safe_dump(one)[:200])
    | st.sampled_from(
        [
            "tcp://1.2.3.4:80",
            "[",
            "{",
            "a=b",
            "*",
            "1e999",
            "9" * 5000,
            "0.0.0.0:99999",
            "http://[",
            "//@:",
            "v1,v1",
            "-1",
            "nan",
        ]
    )
)


@SOME
@given(st.dictionaries(st.sampled_from(VARIABLES), TEXTS, max_size=6))
def test_any_environment(environ):
    try:
        load({}, environ, None, Memory(), require="sidecar")
    except Misconfigured as error:
        assert all(one.key != "settings" for one in error.problems)  # noqa: PT017 - shapes and declarations agree


@SOME
@given(
    st.dictionaries(
        st.sampled_from([one.key for one in fields.all_settings() if one.flag]),
        TEXTS | st.booleans(),
        max_size=4,
    )
)
def test_any_flags(flags):
    try:
        load(flags, {}, None, Memory())
    except Misconfigured as error:
        assert all(one.key != "settings" for one in error.problems)  # noqa: PT017 - shapes and declarations agree


@SOME
@given(DOCUMENTS | ANYTHING)
def test_any_document(content):
    text = yaml.safe_dump(content)
    for attempt in (
        lambda: load({}, {}, Path("p.yaml"), Memory({"p.yaml": text})),
        lambda: override(Settings(), text.encode()),
    ):
        try:
            attempt()
        except Misconfigured as error:
            assert all(one.key != "settings" for one in error.problems)  # noqa: PT017 - shapes and declarations agree


@SOME
@given(st.text(max_size=80) | st.text(alphabet="ab:-[]{}\"'*&!#|>? \n", max_size=80))
def test_any_text_as_file(text):
    try:
        load({}, {}, Path("p.yaml"), Memory({"p.yaml": text}))
    except Misconfigured as error:
        assert all(one.key != "settings" for one in error.problems)  # noqa: PT017 - shapes and declarations agree


@SOME
@given(st.binary(max_size=40))
def test_any_bytes_as_override(text):
    try:
        override(Settings(), text)
    except Misconfigured as error:
        assert all(one.key != "settings" for one in error.problems)  # noqa: PT017 - shapes and declarations agree
