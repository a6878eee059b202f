"""Injection and what looks at it mean the same marks."""

from agent.inject import names, options, version
from agent.model import marks


def test_the_marks_are_those_that_injection_leaves() -> None:
    assert (marks.INJECT, marks.INJECTED, marks.REVISION) == (
        options.INJECT,
        options.MARKER,
        options.REVISION,
    )
    assert marks.LEAST == version.LEAST
    pod = {"metadata": {}, "spec": {"containers": [{"name": "app"}]}}
    assert names.names(pod).sidecar == marks.SIDECAR
