"""Answers that Envoy gives by itself."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agent.proxy.planner import headers
from agent.proxy.snapshot import Resource

LARGEST_BODY = 1024 * 1024
"""Bytes; Envoy refuses direct answers beyond 4,096 unless the route configuration says more."""


def answer(
    match: Resource,
    status: int,
    body: Mapping[str, Any],
    *,
    name: str,
    problem: bool = True,
    extra: Sequence[Resource] = (),
) -> Resource:
    """A route that answers with a JSON document; ``problem`` makes it ``application/problem+json`` (RFC
    9457)."""
    kind = "application/problem+json" if problem else "application/json"
    return {
        "name": name,
        "match": match,
        "direct_response": {"status": status, "body": {"inline_string": json.dumps(body, indent=1) + "\n"}},
        "response_headers_to_add": [headers.overwrite("content-type", kind), *extra],
    }


def problem(status: int, title: str, detail: str) -> dict[str, Any]:
    """A problem document without further members."""
    return {"type": "about:blank", "title": title, "status": status, "detail": detail}
