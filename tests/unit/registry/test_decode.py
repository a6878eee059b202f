"""Entries that anyone may have written into Consul."""

import ipaddress
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model.address import Address
from agent.model.catalog import Service
from agent.model.version import Version
from agent.registry import advertise, decode, remembered


def entry(identity: str = "a", statuses: tuple[str, ...] = ("passing",), **fields: Any) -> dict[str, Any]:
    service = {"ID": identity, "Service": "orders", "Address": "10.0.0.1", "Port": 80, "Meta": {}, **fields}
    return {
        "Node": {"Address": "10.9.9.9"},
        "Service": service,
        "Checks": [{"Status": status} for status in statuses],
    }


def test_an_instance_without_an_address_is_at_its_nodes() -> None:
    (instance,) = decode.reading("orders", [entry(Address="")]).passing
    assert instance.address == Address("10.9.9.9", 80)


@pytest.mark.parametrize(
    ("statuses", "passes"),
    [
        ((), True),
        (("passing", "passing"), True),
        (("passing", "critical"), False),
        (("warning",), False),
        (("maintenance",), False),
    ],
)
def test_an_instance_passes_when_all_its_checks_do(statuses: tuple[str, ...], passes: bool) -> None:
    found = decode.reading("orders", [entry(statuses=statuses)])
    assert bool(found.passing) is passes
    assert found.present == {"a"}


NODE = {"CheckID": "serfHealth", "ServiceID": "", "Status": "critical"}


EXPIRED = {
    "CheckID": "service:a",
    "ServiceID": "a",
    "Type": "ttl",
    "Status": "critical",
    "Output": "TTL expired (last output before timeout follows): all is well",
}
RESTORED = {**EXPIRED, "Output": ""}


@pytest.mark.parametrize(
    ("checks", "ours", "silent"),
    [
        ([EXPIRED], False, True),
        ([{**EXPIRED, "Output": "TTL expired"}], False, True),
        ([RESTORED], True, True),
        ([RESTORED], False, False),
        ([NODE, EXPIRED], True, True),
        ([EXPIRED, {"CheckID": "http", "Type": "http", "Status": "critical", "Output": ""}], True, False),
        ([{"CheckID": "http", "Type": "http", "Status": "critical", "Output": ""}], True, False),
        ([{**EXPIRED, "Output": "the database is away"}], True, False),
        ([{**EXPIRED, "Status": "warning"}], True, False),
        ([{**EXPIRED, "Output": ["TTL expired"]}], True, False),
        ([{**EXPIRED, "Type": {}}], True, False),
        ([EXPIRED, {"CheckID": "_service_maintenance:a", "Status": "critical", "Output": ""}], True, False),
        ([{**EXPIRED, "Status": "passing"}], True, False),
    ],
)
def test_an_instance_is_silent_when_it_fails_only_because_nobody_fed_its_check(
    checks: list[dict[str, Any]], ours: bool, silent: bool
) -> None:
    row = entry(Meta={advertise.HASH: "0"} if ours else {})
    found = decode.reading("orders", [{**row, "Checks": checks}])
    assert [instance.id for instance in found.silent] == (["a"] if silent else [])
    assert found.present == {"a"}


@pytest.mark.parametrize(
    ("checks", "unseen"),
    [
        ([NODE], True),
        ([NODE, {"CheckID": "service:a", "Status": "passing"}], True),
        ([NODE, {"CheckID": "service:a", "Status": "critical"}], False),
        ([NODE, {"CheckID": "_node_maintenance", "Status": "critical"}], False),
        ([{**NODE, "ServiceID": "a"}], False),
        ([{**NODE, "Status": "passing"}], False),
        ([{**NODE, "CheckID": ["serfHealth"]}], False),
    ],
)
def test_an_instance_is_out_of_sight_when_only_its_nodes_own_check_fails(
    checks: list[dict[str, Any]], unseen: bool
) -> None:
    found = decode.reading("orders", [{**entry(), "Checks": checks}])
    assert [one.id for one in found.unseen] == (["a"] if unseen else [])
    assert found.present == (frozenset() if unseen else {"a"})


def test_instances_are_ordered_by_id_and_an_address_counts_once() -> None:
    rows = [entry("b", Address="10.0.0.2"), entry("c"), entry("a")]
    assert [instance.id for instance in decode.reading("orders", rows).passing] == ["a", "b"]


def test_the_namespace_is_taken_from_the_meta_and_a_critical_service_keeps_it() -> None:
    rows = [
        entry("a", Meta={advertise.NAMESPACE: "shop"}),
        entry("b", ("critical",), Address="10.0.0.2", Meta={advertise.NAMESPACE: "test"}),
    ]
    found = decode.reading("orders", rows)
    assert [one.namespace for one in found.passing] == ["shop"]
    assert found.namespaces == ("shop", "test")
    kept = remembered.parse(remembered.encode([Service("orders", found.passing)], ""))
    assert kept is not None
    assert kept.services["orders"].passing == found.passing


@pytest.mark.parametrize("namespace", ["a.b", "Shop", "-", "x" * 64, "a b", "com\n"])
def test_an_entry_with_a_malformed_namespace_is_skipped(namespace: str) -> None:
    found = decode.reading("orders", [entry(Meta={advertise.NAMESPACE: namespace})])
    assert (found.passing, len(found.skipped)) == ((), 1)


def test_routes_are_those_of_all_instances_passing_or_not() -> None:
    rows = [
        entry("a", Meta={advertise.ROUTES: "/x /y"}),
        entry("b", ("critical",), Meta={advertise.ROUTES: "/a"}),
    ]
    assert decode.reading("orders", rows).routes == ("/a", "/x", "/y")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (None, "is not a health entry"),
        ({}, "is not a health entry"),
        ({"Service": {}}, "has no usable id"),
        (entry(""), "has no usable id"),
        (entry("a\nb"), "has no usable id"),
        (entry(Service="other"), "is registered under another name"),
        (entry(Kind="connect-proxy"), "is a proxy or gateway of Consul's own mesh, not a service"),
        (entry(Port=0), "has the port 0"),
        (entry(Port=65536), "has the port 65536"),
        (entry(Port=True), "has the port True"),
        (entry(Port="80"), "has the port 80"),
        (entry(Address="0.0.0.0"), "has the address '0.0.0.0', which nobody can call"),
        (entry(Address="ff02::1"), "has the address 'ff02::1', which nobody can call"),
        (entry(Address="fe80::1%eth0"), "has the address 'fe80::1%eth0', which nobody can call"),
        (entry(Address="1.2.3"), "has the address '1.2.3', not an IP address"),
        (entry(Address="a_b"), "has the address 'a_b', not an IP address"),
        (entry(Address="host\n"), "has the address 'host?', not an IP address"),
        (entry(Address="db.internal"), "has the address 'db.internal', not an IP address"),
        (entry(Address=7), "has no address"),
        (entry(Meta={advertise.VERSIONS: "one"}), "'one' is not a version such as v2 or v2.1"),
        (entry(Meta={advertise.VERSIONS: "v1\n"}), "'v1\\n' is not a version such as v2 or v2.1"),
        (
            entry(Meta={advertise.VERSIONS: ",".join("v1" for _ in range(33))}),
            "has 33 versions, more than 32",
        ),
        (entry(Meta={advertise.DEFAULT: "v1"}), "has the default version v1, which it does not serve"),
        (entry(Meta={advertise.ROUTES: "orders"}), "has the malformed route 'orders'"),
        (entry(Meta={advertise.ROUTES: "/{x}"}), "has the malformed route '/{x}'"),
        (entry(Meta={advertise.ZONE: "a b"}), "has the malformed zone 'a b'"),
        (
            entry(Meta={advertise.DEPRECATED: '{"v1":[1e400,0,""]}'}),
            "has a malformed list of deprecated versions",
        ),
        (
            entry(Meta={advertise.DEPRECATED: '{"v1":[1,2,"/%REQ(cookie)%"]}'}),
            "has a malformed list of deprecated versions",
        ),
        (
            entry(Meta={advertise.DEPRECATED: '{"v1":[1,2,"/a>; rel=x"]}'}),
            "has a malformed list of deprecated versions",
        ),
        ({**entry(), "Checks": 3}, "has malformed checks"),
        ({**entry(), "Checks": [3]}, "is not a health entry"),
    ],
)
def test_a_malformed_entry_is_skipped_with_its_reason_and_the_others_stay(row: Any, reason: str) -> None:
    found = decode.reading("orders", [row, entry("good", Address="10.0.0.7")])
    assert [instance.id for instance in found.passing] == ["good"]
    assert [skipped.reason for skipped in found.skipped] == [reason]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a.b",
        "A",
        "-a",
        "a-",
        "a" * 64,
        "localhost",
        "consul",
        "kubernetes",
        "0",
        "a b",
        "ä",
        "a\n",
        3,
        None,
    ],
)
def test_a_name_that_is_not_one_label_is_never_an_upstream(name: object) -> None:
    assert not decode.usable(name)


@pytest.mark.parametrize("name", ["a", "orders", "orders-2", "0a", "a" * 63])
def test_one_label_in_lower_case_is(name: str) -> None:
    assert decode.usable(name)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
metas = st.dictionaries(
    st.sampled_from(
        [advertise.VERSIONS, advertise.DEFAULT, advertise.DEPRECATED, advertise.ROUTES, advertise.ZONE, "x"]
    ),
    st.text(max_size=40) | st.sampled_from(["v1", "v1,v2", '{"v1":[1,2,"/x"]}', "/a /b", "1"]) | anything,
)
rows = st.fixed_dictionaries(
    {},
    optional={
        "Node": anything | st.just({"Address": "10.0.0.1"}),
        "Service": anything
        | st.fixed_dictionaries(
            {"Service": st.just("orders")},
            optional={
                "ID": st.text(max_size=8) | anything,
                "Address": st.text(max_size=20) | st.ip_addresses().map(str) | anything,
                "Port": st.integers(-1, 70000) | anything,
                "Meta": metas | anything,
                "Kind": anything,
            },
        ),
        "Checks": anything
        | st.lists(st.fixed_dictionaries({"Status": st.sampled_from(["passing", "critical"])})),
    },
)


@settings(max_examples=300)
@given(st.lists(rows | anything, max_size=6))
def test_whatever_is_registered_reading_never_raises_and_passes_on_only_what_is_safe(
    found: list[object],
) -> None:
    reading = decode.reading("orders", found)
    assert len({instance.address for instance in reading.passing}) == len(reading.passing)
    for instance in reading.passing:
        assert instance.id.isprintable()
        assert 0 < instance.address.port < 65536
        assert not ipaddress.ip_address(instance.address.host).is_unspecified
        assert re.fullmatch(r"[A-Za-z0-9._-]{0,63}", instance.zone)
        assert all(isinstance(version, Version) for version in instance.offer.serves)
        assert not any(
            set(item.link) & set("%<>\"' \r\n") - {"'"} for item in instance.offer.deprecated.values()
        )
    assert all(re.fullmatch(r"/[!-~]*", route) for route in reading.routes)
    assert all(skipped.who.isprintable() for skipped in reading.skipped)


def test_a_catalogue_comes_back_from_its_file_as_it_was() -> None:
    meta = {
        advertise.VERSIONS: "v1,v2",
        advertise.DEFAULT: "v1",
        advertise.DEPRECATED: '{"v1":[1,2,"/x"]}',
        advertise.STRIP: "1",
        advertise.ZONE: "b",
        advertise.ROUTES: "/o",
    }
    reading = decode.reading("orders", [entry(Meta=meta), entry("b", Address="::1", Port=9)])
    service = Service("orders", reading.passing, reading.routes)
    found = remembered.parse(remembered.encode([service, Service("empty", ())], "here"))
    assert found is not None
    assert found.identity == "here"
    assert {name: (read.passing, read.routes) for name, read in found.services.items()} == {
        "orders": (reading.passing, reading.routes)
    }


@given(st.binary(max_size=200) | anything.map(lambda value: json.dumps(value).encode()))
def test_a_damaged_file_is_none(data: bytes) -> None:
    assert remembered.parse(data) is None


def test_a_file_with_one_changed_character_is_none() -> None:
    service = Service("orders", decode.reading("orders", [entry()]).passing)
    data = remembered.encode([service], "")
    assert remembered.parse(data) is not None
    assert remembered.parse(data.replace(b"10.0.0.1", b"10.0.0.2")) is None
