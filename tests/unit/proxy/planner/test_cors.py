"""Origins as patterns, and which policy holds for which route."""

import re

import msgspec
import pytest

from agent.config.sections.gateway import Cors
from agent.proxy.planner import cors


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        (
            "https://*.shop.example",
            ["https://a.shop.example", "https://a-1.shop.example"],
            ["https://shop.example", "https://a.b.shop.example", "https://evil.example/.shop.example",
             "https://a.shop.example.evil.example", "http://a.shop.example", "https://a.shopXexample",
             "https://evil.example#.shop.example", "https://a.shop.example:1", "https://.shop.example"],
        ),
        ("http://localhost:*", ["http://localhost:1", "http://localhost:65535"],
         ["http://localhost", "http://localhost:", "http://localhost:1@evil.example", "http://localhostX:1"]),
        ("https://shop.example:8443", ["https://shop.example:8443"], ["https://shop.example", "https://shop.example:84430"]),
        ("http://[::1]:*", ["http://[::1]:8080"], ["http://::1:8080"]),
        ("*", ["https://anything.example", "null"], []),
    ],
)  # fmt: skip
def test_an_origin_matches_whole_and_a_star_only_one_label(
    text: str, good: list[str], bad: list[str]
) -> None:
    pattern = cors.origin(text)
    assert all(re.fullmatch(pattern, one) for one in good)
    assert not any(re.fullmatch(pattern, one) for one in bad)


def policy(prefix: str, origin: str) -> Cors:
    return msgspec.convert({"prefix": prefix, "origins": [origin]}, Cors)


def test_the_longest_prefix_says_who_may_call() -> None:
    """A policy for a part of the routes is tried before the one for all of them."""
    route = {"name": "r", "match": {"path_separated_prefix": "/a", "headers": [{"name": "m"}]}, "route": {}}
    policies = [policy("/", "https://all"), policy("/a/b/c", "https://c"), policy("/a/b", "https://b")]
    found = cors.governed([route], "/a", policies)
    origins = [
        one["typed_per_filter_config"][cors.NAME]["allow_origin_string_match"][0]["safe_regex"]["regex"]
        for one in found
    ]
    assert origins == ["https://c", "https://b", "https://all"]
    assert [len(one["match"]["headers"]) for one in found] == [2, 2, 1]
    assert cors.governed([route], "/x", [policy("/a", "https://a")]) == [route]
