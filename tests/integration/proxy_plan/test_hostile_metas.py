"""What others write into Consul about their versions: whatever it is, Envoy takes the plan."""

import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model.catalog import Catalog, Service
from agent.proxy import assets
from agent.proxy.planner import plan, plan_gateway
from agent.registry import advertise, decode
from tests.integration.proxy_plan import rig
from tests.integration.proxy_plan.test_validate import refusal

texts = st.text(max_size=20) | st.sampled_from(
    ["%REQ(:path)%", "a\r\nb: c", "{version}", "\ud800", "\\", '"}', "v" * 512]
)
versions = st.from_regex(r"\Av?([0-9]|[1-9][0-9]{1,3})(\.([0-9]|[1-9][0-9]{1,3}))?\Z") | st.sampled_from(
    ["v99999", "v-1", ""]
)
links = texts | st.sampled_from(["https://docs.example/v2?a=%41", "/changes", "https://x/a>; rel=next"])
moments = st.none() | st.integers(-1, 2**40) | st.booleans() | st.just(253402300799)
tables = st.dictionaries(versions, st.tuples(moments, moments, links).map(list), max_size=5).map(json.dumps)
metas = st.fixed_dictionaries(
    {},
    optional={
        advertise.VERSIONS: st.lists(versions, max_size=8).map(",".join) | texts,
        advertise.DEFAULT: versions | texts,
        advertise.DEPRECATED: tables | texts | st.just("[" * 400),
        advertise.STRIP: st.sampled_from(["1", "0", "yes"]),
        advertise.ROUTES: st.sampled_from(["/api/{version}/orders /orders", "/"]) | texts,
        advertise.ZONE: texts | st.just("a"),
        advertise.NAMESPACE: texts | st.just("shop"),
    },
)
good = st.lists(st.integers(0, 40).map("v{}".format), min_size=1, max_size=4).map(",".join)
rows = st.lists(metas | good.map(lambda text: {advertise.VERSIONS: text}), min_size=1, max_size=12)


def entry(service: str, number: int, meta: dict[str, Any]) -> dict[str, Any]:
    """An instance as Consul tells of it."""
    body = {
        "ID": f"i-{number}",
        "Service": service,
        "Address": "127.0.0.1",
        "Port": 9000 + number,
        "Meta": meta,
    }
    return {"Node": {"Node": "n", "Address": "127.0.0.1"}, "Service": body, "Checks": [{"Status": "passing"}]}


def registered(name: str, published: list[dict[str, Any]]) -> Service:
    """The service with what is left of its instances: one with a malformed meta is left out."""
    found = decode.reading(name, [entry(name, number, meta) for number, meta in enumerate(published)])
    assert len(found.passing) + len(found.skipped) == len(published)
    return Service(name, found.passing, found.routes, found.namespaces)


async def test_envoy_takes_the_plan_whatever_others_publish(folder: Path) -> None:
    """Versions, defaults, deprecations, routes and zones of eighty services or more, all of them random."""
    services: dict[str, Service] = {}

    @settings(max_examples=80, deadline=None, database=None)
    @given(rows)
    def collect(published: list[dict[str, Any]]) -> None:
        name = f"orders-{len(services)}"
        services[name] = registered(name, published)

    # Much of what is random is malformed and leaves no instance: as often as it takes until enough of them differ.
    while len({repr(one.instances) for one in services.values()}) <= 40:
        collect()
    given_settings = rig.settings({"versions": {"policy": "latest"}})
    fragments, known = assets.load(), Catalog(services)
    for snapshot in (plan(given_settings, known, fragments), plan_gateway(given_settings, known, fragments)):
        assert await refusal(snapshot, folder) == ""


async def test_envoy_takes_the_longest_names_and_paths_with_the_most_versions(folder: Path) -> None:
    """Its limit of a pattern's size is raised in the bootstrap: one long path would else take all routes with it."""
    name = "s" * 63
    versions = ",".join(f"v{number * 311}.{number * 211 + 1}" for number in range(32))
    route = "/" + "/".join(["x" * 60, "y" * 60, "{version}", "z" * 55])
    found = registered(name, [{advertise.VERSIONS: versions, advertise.ROUTES: route}])
    bare = registered(name[1:], [{advertise.VERSIONS: versions}])
    assert len(found.routes) == len(found.instances) == 1
    known = Catalog({name: found, name[1:]: bare})
    given_settings = rig.settings({"versions": {"policy": "latest"}})
    for snapshot in (
        plan(given_settings, known, assets.load()),
        plan_gateway(given_settings, known, assets.load()),
    ):
        assert await refusal(snapshot, folder) == ""
