"""The path and the host that the other side sees."""

import re

from agent.proxy.explain.request import Request
from agent.proxy.snapshot import Resource

_GROUP = re.compile(r"\\([0-9\\])")


def path(action: Resource, route: Resource, request: Request) -> str:
    """Path and query after the route's rewrite; empty for CONNECT."""
    if request.path is None:
        return ""
    before, mark, query = request.path.partition("?")
    if "regex_rewrite" in action:
        rule = action["regex_rewrite"]
        before = re.sub(rule["pattern"]["regex"], _substitution(rule["substitution"]), before, flags=re.ASCII)
    elif action.get("prefix_rewrite"):
        match = route["match"]
        matched = match.get("path_separated_prefix") or match.get("prefix") or match.get("path") or ""
        before = action["prefix_rewrite"] + before[len(matched) :]
    return before + mark + query


def host(action: Resource, request: Request) -> str:
    """The host after the route's rewrite."""
    return str(action.get("host_rewrite_literal") or request.authority)


def _substitution(text: str) -> str:
    """RE2's ``\\1`` in Python's words; nothing else in it means anything."""
    return _GROUP.sub(lambda one: r"\\" if one[1] == "\\" else rf"\g<{one[1]}>", text)
