"""Which rules an agent's token needs, from its settings."""

from agent.config.sections.kubernetes import Kubernetes
from agent.config.sections.registry import Registry
from agent.config.sections.service import Service
from agent.config.sections.store import Store
from agent.config.sections.traffic import Upstream
from agent.config.settings import Settings
from agent.registry import checkup
from agent.registry.rights import wanted
from tests.unit.docs import blocks

ORDERS = Service(name="orders")


def test_a_sidecar_registers_itself_and_reads_all() -> None:
    assert [str(rule) for rule in wanted(Settings(service=ORDERS))] == [
        'service_prefix "" { policy = "read" }',
        'node_prefix "" { policy = "read" }',
        'agent_prefix "" { policy = "read" }',
        'service "orders" { policy = "write" }',
        'key_prefix "config/orders/" { policy = "read" }',
        'key_prefix "config/_shared/" { policy = "read" }',
        'key "pillion/orders" { policy = "read" }',
    ]


def test_who_names_its_upstreams_reads_those_only() -> None:
    rules = [str(rule) for rule in wanted(Settings(service=ORDERS, upstreams={"stock": Upstream()}))]
    assert 'service "stock" { policy = "read" }' in rules
    assert 'service_prefix "" { policy = "read" }' not in rules


def test_a_gateway_registers_nothing() -> None:
    rules = [str(rule) for rule in wanted(Settings(), gateway=True)]
    assert not [rule for rule in rules if "write" in rule or "config/" in rule]
    assert 'key "pillion/gateway" { policy = "read" }' in rules


def test_who_is_not_to_register_needs_no_right_to() -> None:
    settings = Settings(service=Service(name="batch", register=False))
    assert not [rule for rule in wanted(settings) if rule.policy == "write"]


def test_who_restarts_its_service_holds_the_fleets_lock() -> None:
    settings = Settings(service=ORDERS, store=Store(action="restart"))
    more = [str(rule) for rule in wanted(settings) if rule not in wanted(Settings(service=ORDERS))]
    assert more == [
        'key "pillion/orders/restart" { policy = "write" }',
        'session_prefix "" { policy = "write" }',
    ]
    assert all(not rule.needed for rule in wanted(settings) if str(rule) in more)
    assert "session" not in {rule.resource for rule in wanted(settings, gateway=True)}


def test_catalogue_mode_writes_its_nodes() -> None:
    settings = Settings(
        service=ORDERS,
        registry=Registry(mode="catalog"),
        kubernetes=Kubernetes(pod_uid="u", node="n"),
    )
    assert 'node_prefix "pillion-" { policy = "write" }' in [str(rule) for rule in wanted(settings)]


def test_who_restarts_the_service_for_its_configuration_takes_the_lock_of_the_fleet() -> None:
    """What docs/configuration-store.md tells to add, and nothing else."""
    settings = Settings(service=ORDERS, store=Store(action="restart"))
    more = set(map(str, wanted(settings))) - set(map(str, wanted(Settings(service=ORDERS))))
    assert more == {
        'key "pillion/orders/restart" { policy = "write" }',
        'session_prefix "" { policy = "write" }',
    }
    page = blocks.ROOT / "docs" / "configuration-store.md"
    (told,) = [one.text for one in blocks.blocks([page]) if one.language == "hcl"]
    assert more == set(told.split("\n")) - {""}
    gateway = Settings(store=Store(action="restart"))
    assert wanted(gateway, gateway=True) == wanted(Settings(), gateway=True)


def test_what_is_wanted_of_consuls_agent_is_asked_of_the_one_that_answers() -> None:
    rules = wanted(Settings(service=ORDERS, store=Store(action="restart")))
    assert {one.resource for one in rules if one.question("node-1")["Segment"] == "node-1"} == {
        "agent",
        "session",
    }
    assert all(one.question("")["Segment"] == one.name for one in rules)


def test_how_far_clocks_are_apart_allows_for_whole_seconds_and_the_way() -> None:
    date = "Sat, 28 Nov 2026 12:00:00 GMT"
    noon = 1795867200.0
    apart = checkup._apart
    assert apart(date, noon + 0.2, noon + 0.9) == 0
    assert apart(date, noon - 3, noon + 3) == 0
    assert apart(date, noon + 11, noon + 11.2) == 10
    assert apart(date, noon - 10.5, noon - 10) == -10
    assert apart("no date", noon, noon) == 0
