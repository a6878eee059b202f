"""What a plan takes over from the one before."""

from dataclasses import replace

from agent.model.address import Address
from agent.model.catalog import Catalog, Instance, Service
from agent.proxy import assets
from agent.proxy.planner import Memo, plan
from agent.proxy.planner.memo import Digests
from agent.proxy.snapshot import digest_of, kept
from tests.unit.proxy.planner import sample

FRAGMENTS = assets.load()


def changed(catalog: Catalog) -> Catalog:
    """The same catalogue with one instance more of one service; all else made anew, but equal."""
    services = {name: replace(one) for name, one in catalog.services.items()}
    stock = services["stock"]
    services["stock"] = replace(
        stock, instances=(*stock.instances, Instance("s-2", Address("10.0.0.9", 15006)))
    )
    return replace(catalog, services=services)


def test_what_did_not_change_is_the_very_object_of_the_plan_before() -> None:
    memo, settings = Memo(), sample.settings()
    before = plan(settings, sample.CATALOG, FRAGMENTS, (), memo)
    after = plan(settings, changed(sample.CATALOG), FRAGMENTS, (), memo)
    assert after.endpoints["upstream_stock"] != before.endpoints["upstream_stock"]
    assert kept(after.endpoints)["upstream_orders"] is kept(before.endpoints)["upstream_orders"]
    assert after.clusters["upstream_orders"] is before.clusters["upstream_orders"]
    for part in ("clusters", "listeners", "routes"):
        assert getattr(after, part) is getattr(before, part), part


def test_other_settings_make_everything_anew() -> None:
    memo = Memo()
    plan(sample.settings(), sample.CATALOG, FRAGMENTS, (), memo)
    other = sample.settings({"traffic": {"connect_timeout": 7}})
    found = plan(other, sample.CATALOG, FRAGMENTS, (), memo)
    assert found.clusters["upstream_orders"]["connect_timeout"] == "7s"
    assert found == plan(other, sample.CATALOG, FRAGMENTS)


def test_what_is_gone_is_forgotten_and_the_order_is_that_of_what_is_given() -> None:
    memo, made = Memo(), []

    def make(name: str) -> str:
        made.append(name)
        return name.upper()

    for names in ("ab", "a", "ab", "ba", "xba"):
        memo.begin("same")
        assert list(memo.each("part", {name: name for name in names}, make).items()) == [
            (name, name.upper()) for name in names
        ]
    assert made == ["a", "b", "b", "x"]


def test_what_is_made_anew_but_equal_is_the_object_of_before() -> None:
    memo = Memo()
    memo.begin("same")
    before = memo.each("part", {"a": 1, "b": 2}, lambda number: [number % 2])
    memo.begin("same")
    assert memo.each("part", {"a": 3, "b": 4}, lambda number: [number % 2]) is before
    memo.begin("same")
    after = memo.each("part", {"a": 4, "b": 6}, lambda number: [number % 2])
    assert (after["a"], after["b"] is before["b"]) == ([0], True)


def test_a_part_may_be_made_from_nothing() -> None:
    memo = Memo()
    for _ in range(2):
        memo.begin("same")
        assert memo.each("part", {"": None}, lambda _: "made") == {"": "made"}


def test_a_digest_is_that_of_the_contents_whatever_was_known_before() -> None:
    digests, resource = Digests(), {"a": 1}
    for part in ({"x": resource}, {"x": resource, "y": {}}, {"y": {}}, {"y": {"a": 2}}, {"y": {"a": 2}}):
        assert digests.of("clusters", part) == digest_of("clusters", part)


def test_an_equal_service_by_another_name_is_another() -> None:
    one, other = (
        plan(sample.settings(), Catalog({name: Service(name, ())}), FRAGMENTS) for name in ("a", "b")
    )
    assert one.hash != other.hash
