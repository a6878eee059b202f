"""Envoy's matching rules, one by one."""

from typing import Any

import pytest

from agent.proxy.explain import paths
from agent.proxy.explain.filters import changed
from agent.proxy.explain.manager import without_dot
from agent.proxy.explain.matching import mismatch, virtual_host
from agent.proxy.explain.request import Request
from agent.proxy.explain.rewrite import path as rewritten
from agent.proxy.planner.limits import too_large
from agent.runtime.errors import Permanent


def hosts(*domains: str, **more: Any) -> dict[str, Any]:
    """A route configuration with a virtual host for each domain."""
    return {"virtual_hosts": [{"name": one, "domains": [one]} for one in domains], **more}


@pytest.mark.parametrize(
    ("authority", "domain"),
    [
        ("a.example", "a.example"), ("A.EXAMPLE", "a.example"), ("b.example", "*.example"),
        ("x.b.example", "*.b.example"),
        ("pre.fix", "pre.*"), (".example", "*"), ("pre.", "*"), ("a.example:80", "*"), ("", "*"),
    ],
)  # fmt: skip
def test_exact_domains_come_before_suffixes_before_prefixes(authority: str, domain: str) -> None:
    config = hosts("*", "pre.*", "*.example", "*.b.example", "a.example")
    found = virtual_host(config, authority)
    assert found is not None
    assert found.domain == domain


def test_ports_are_ignored_where_the_configuration_says_so() -> None:
    config = hosts("a", "[::1]", ignore_port_in_host_matching=True)
    for authority in ("a:80", "a", "[::1]:80", "[::1]"):
        assert virtual_host(config, authority) is not None
    assert virtual_host(config, "b") is None


@pytest.mark.parametrize(
    ("match", "path", "fits"),
    [
        ({"prefix": "/a"}, "/ab?c", True), ({"prefix": "/a"}, "/b", False), ({"path": "/a"}, "/a?b", True),
        ({"path": "/a"}, "/a/", False),
        ({"path_separated_prefix": "/a"}, "/a", True), ({"path_separated_prefix": "/a"}, "/a/b", True),
        ({"path_separated_prefix": "/a"}, "/ab", False), ({"path_separated_prefix": "/a"}, "/a?b", True),
        ({"safe_regex": {"regex": "/v[0-9]"}}, "/v1?x", True), ({"safe_regex": {"regex": "/v[0-9]"}}, "/v1/", False),
        ({"prefix": "/"}, "*", False), ({"connect_matcher": {}}, "/", False),
    ],
)  # fmt: skip
def test_paths_are_matched_without_their_query(match: dict[str, Any], path: str, fits: bool) -> None:
    assert (mismatch({"match": match}, Request("GET", "a", path)) == "") is fits


@pytest.mark.parametrize(
    ("matcher", "fits"),
    [
        ({"present_match": True}, True), ({"present_match": False}, False),
        ({"present_match": True, "invert_match": True}, False),
        ({"string_match": {"exact": "b"}}, True), ({"string_match": {"exact": "b,c"}}, False),
        ({"string_match": {"prefix": "B", "ignore_case": True}}, True), ({"string_match": {"suffix": "c"}}, True),
        ({"string_match": {"contains": ","}}, False), ({"string_match": {"safe_regex": {"regex": "[cd]"}}}, True),
        ({"string_match": {"exact": "x"}, "invert_match": True}, True),
        ({"name": "none", "string_match": {"exact": "x"}, "invert_match": True}, False),
        ({"name": "none", "string_match": {"exact": ""}, "treat_missing_header_as_empty": True}, True),
        ({"name": "none", "present_match": True, "invert_match": True}, True), ({}, True),
    ],
)  # fmt: skip
def test_each_value_of_a_header_is_looked_at_by_itself(matcher: dict[str, Any], fits: bool) -> None:
    request = Request("GET", "a", "/", (("h", "b"), ("h", "c")))
    route = {"match": {"prefix": "/", "headers": [{"name": "h", **matcher}]}}
    assert (mismatch(route, request) == "") is fits


@pytest.mark.parametrize(
    ("length", "refused"),
    [("10", False), ("0", False), ("11", True), ("9" * 30, True), ("-1", True), ("x", True), (None, False)],
)
def test_a_body_beyond_the_limit_is_told_by_its_length(length: str | None, refused: bool) -> None:
    (route,) = too_large(10)
    headers = () if length is None else (("content-length", length),)
    assert (mismatch(route, Request("POST", "a", "/", headers)) == "") is refused


def test_what_can_not_be_read_is_said_and_not_guessed() -> None:
    for match in (
        {"prefix": "/", "query_parameters": []},
        {"prefix": "/", "headers": [{"name": "h", "contains_match": "b"}]},
    ):
        with pytest.raises(Permanent, match="does not read"):
            mismatch({"match": match}, Request("GET", "a", "/", (("h", "1"),)))
    with pytest.raises(Permanent, match=r"pillion\.new"):
        changed({"typed_per_filter_config": {"pillion.new": {}}}, Request("GET", "a", "/"))


@pytest.mark.parametrize(
    ("path", "seen"),
    [("/a/./b", "/a/b"), ("/a/../b", "/b"), ("/../a", "/a"), ("/a/..", "/"), ("/a/%2e%2E/b?x/../y", "/b?x/../y"),
     ("/a//../b", "/a/b"), ("/a\\b", "/a/b"), ("/a/.", "/a/"), ("/%41%7e%2F{", "/A~%2F%7B")],
)  # fmt: skip
def test_paths_are_normalized(path: str, seen: str) -> None:
    assert paths.normalized(path) == seen


def test_slashes_are_merged_and_unescaped_before_the_query_only() -> None:
    assert paths.merged("//a///b?c//d") == "/a/b?c//d"
    assert paths.unescaped_slashes("/a%2fb%5Cc?d%2f") == "/a/b\\c?d%2f"
    assert paths.has_escaped_slash("/a%2F")
    assert not paths.has_escaped_slash("/a?%2F")


def test_a_trailing_dot_goes_with_and_without_a_port() -> None:
    assert [without_dot(one) for one in ("a.", "a.:80", "a.b", "a")] == ["a", "a:80", "a.b", "a"]


def test_rewrites_keep_the_query_and_read_groups_as_re2_does() -> None:
    request = Request("GET", "a", "/x/y?z=/x/")
    rule = {"regex_rewrite": {"pattern": {"regex": "^/(x)/*"}, "substitution": r"/\1-\\"}}
    assert rewritten(rule, {"match": {}}, request) == "/x-\\y?z=/x/"
    assert rewritten({"prefix_rewrite": "/"}, {"match": {"prefix": "/x/"}}, request) == "/y?z=/x/"
