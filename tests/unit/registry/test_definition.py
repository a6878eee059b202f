"""What Consul is told of an instance."""

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import checks
from agent.config.settings import Settings
from agent.model.version import Deprecation, Offer, Version
from agent.registry import advertise, definition
from agent.runtime.errors import Misconfigured


def settings(**sections: Any) -> Settings:
    service = {"name": "orders", **sections.pop("service", {})}
    return msgspec.convert({"service": service, "proxy": {"inbound": "0.0.0.0:15006"}, **sections}, Settings)


def found(body: Any) -> dict[str, Any]:
    """The same as Consul's agent gives it back."""
    return {"Service": body["Name"], **{key: body[key] for key in ("ID", "Address", "Port", "Tags", "Meta")}}


def test_the_id_is_service_host_and_inbound_port_with_no_character_that_a_url_path_minds() -> None:
    assert definition.build(settings(), "my host/1", "10.0.0.1").instance == "orders-my-host-1-15006"


def test_in_a_pod_the_id_is_service_and_pod_uid_and_the_meta_tells_namespace_and_uid() -> None:
    identity = {"pod_uid": "0b2c-1", "namespace": "shop", "pod": "orders-0", "node": "n1"}
    made = definition.build(settings(kubernetes=identity), "orders-0", "10.0.0.1")
    assert made.instance == "orders-0b2c-1"
    meta = made.body["Meta"]
    assert (meta[advertise.NAMESPACE], meta[advertise.POD_UID]) == ("shop", "0b2c-1")


def test_the_check_starts_critical_and_deregisters_as_the_settings_say() -> None:
    made = definition.build(settings(registry={"ttl": 7.5, "deregister_after": 90}), "h", "10.0.0.1")
    check = made.body["Check"]
    assert (check["TTL"], check["DeregisterCriticalServiceAfter"], check["Status"]) == (
        "7.5s",
        "90s",
        "critical",
    )
    assert check["CheckID"] == made.check == "service:orders-h-15006"


@pytest.mark.parametrize(
    "other",
    [
        {"registry": {"ttl": 11}},
        {"registry": {"deregister_after": 61}},
        {"service": {"tags": ["a"]}},
        {"versions": {"serves": ["v1"]}},
        {"service": {"meta": {"a": "b"}}},
    ],
)
def test_the_hash_tells_every_difference_the_check_included(other: dict[str, Any]) -> None:
    one, two = (definition.build(made, "h", "10.0.0.1").body for made in (settings(), settings(**other)))
    assert one["Meta"][advertise.HASH] != two["Meta"][advertise.HASH]
    assert "meta" in definition.differences(two, found(one))


def test_the_same_settings_make_the_same_definition() -> None:
    assert definition.build(settings(), "h", "a") == definition.build(settings(), "h", "a")


def test_nothing_differs_from_itself_nor_by_what_others_added_to_the_meta() -> None:
    body = definition.build(settings(versions={"serves": ["v1"]}), "h", "10.0.0.1").body
    assert definition.differences(body, found(body)) == ()
    more = found(body)
    more["Meta"] = {**more["Meta"], "team": "x"}
    assert definition.differences(body, more) == ()


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("Service", "other", "name"),
        ("Address", "10.0.0.2", "address"),
        ("Port", 1, "port"),
        ("Tags", None, "tags"),
        ("Meta", None, "meta"),
        ("Meta", {"pillion-zone": "x"}, "meta"),
        ("Meta", 3, "meta"),
    ],
)
def test_each_field_of_ours_that_differs_is_named(field: str, value: object, named: str) -> None:
    body = definition.build(settings(service={"tags": ["a"]}), "h", "10.0.0.1").body
    assert definition.differences(body, {**found(body), field: value}) == (named,)


def test_a_key_of_pillions_own_that_is_no_longer_published_is_a_difference() -> None:
    body = definition.build(settings(), "h", "10.0.0.1").body
    old = found(body)
    old["Meta"] = {**old["Meta"], "pillion-versions": "v1"}
    assert definition.differences(body, old) == ("meta",)


@pytest.mark.parametrize(
    ("sections", "key"),
    [
        ({"service": {"name": ""}}, "service.name"),
        ({"service": {"routes": ["/" + "a" * 250 for _ in range(3)]}}, "service.routes"),
        ({"service": {"routes": ["orders"]}}, "service or versions"),
        ({"versions": {"serves": ["v1"], "default": "v2"}}, "service or versions"),
        (
            {"versions": {"serves": ["v1"], "deprecated": {"v1": {"since": "yesterday"}}}},
            "service or versions",
        ),
    ],
)
def test_what_consul_or_readers_would_refuse_is_a_problem_with_its_key(
    sections: dict[str, Any], key: str
) -> None:
    with pytest.raises(Misconfigured) as raised:
        definition.build(settings(**sections), "h", "10.0.0.1")
    assert key in [problem.key for problem in raised.value.problems]


@pytest.mark.parametrize("length", [0, 300, 430, 450, 500])
def test_what_is_too_long_for_consul_is_found_with_the_settings_already(length: int) -> None:
    """The check of the settings counts what the registrar publishes."""
    link = "https://docs.example/" + "x" * length
    deprecated = {"v1": {"since": "2026-01-01", "sunset": "2027-01-01T00:00:00+01:00", "link": link}, "2": {}}
    made = settings(versions={"serves": ["v1", "v2"], "deprecated": deprecated})
    taken = len(definition.published(made)[advertise.DEPRECATED])
    found = [str(one.wrong) for one in checks.versions.room(made)]
    assert found == ([f"takes {taken} characters in Consul's meta"] if taken > 512 else [])
    assert bool(found) == bool(definition.problems(made))


def test_the_most_versions_and_pairs_that_settings_allow_fit_into_consul() -> None:
    """64 pairs of 512 characters."""
    made = settings(
        service={
            "meta": {f"key-{number}": "x" for number in range(48)}, "routes": ["/a"], "zone": "z",
        },
        versions={"serves": [f"v{number}.9999" for number in range(9968, 10_000)], "strip_prefix": True,
                  "default": "v9999.9999", "deprecated": {"v9999.9999": {}}},
        kubernetes={"namespace": "n" * 63, "pod_uid": "u" * 36},
    )  # fmt: skip
    checks.check(made)
    meta = definition.build(made, "h", "10.0.0.1").body["Meta"]
    assert len(meta) <= 64
    assert all(len(value.encode()) <= 512 for value in meta.values())
    assert all(re.fullmatch("[A-Za-z0-9_-]{1,128}", key) for key in meta)


versions = st.builds(Version, st.integers(0, 9999), st.integers(-1, 9999))
deprecations = st.builds(
    Deprecation,
    st.none() | st.integers(0, 2_000_000_000),
    st.none() | st.integers(0, 2_000_000_000),
    st.sampled_from(["", "/changes", "https://docs.example/v2?a=b#c"]),
)


@given(st.sets(versions, max_size=8), st.booleans(), st.booleans(), st.data())
def test_what_is_written_into_the_meta_is_read_back_the_same(
    serves: set[Version], strip: bool, default: bool, data: st.DataObject
) -> None:
    ordered = tuple(sorted(serves))
    chosen = data.draw(st.sampled_from(ordered)) if default and ordered else None
    deprecated = data.draw(st.dictionaries(st.sampled_from(ordered), deprecations)) if ordered else {}
    offer = Offer(ordered, chosen, deprecated, strip)
    assert advertise.offer(advertise.written(offer)) == offer
