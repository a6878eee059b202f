"""Two scrapes become one."""

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from agent.admin.exposition import exposition, own

ENVOY = """# TYPE envoy_a_total counter
envoy_a_total{x="1"} 1
envoy_a_total{x="2"} 2

# TYPE pillion_mine_total counter
pillion_mine_total 77
# TYPE envoy_b histogram
envoy_b_bucket{le="+Inf"} 1
envoy_b_sum 2
envoy_b_count 1
# TYPE envoy_a_total counter
envoy_a_total{x="3"} 3
"""


def registry() -> CollectorRegistry:
    """A registry with one counter at 1."""
    collectors = CollectorRegistry()
    Counter("pillion_mine", "Mine.", registry=collectors).inc()
    return collectors


def test_every_family_is_there_once_and_the_agents_win() -> None:
    text = exposition(registry(), ENVOY)
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    samples = {
        (one.name, one.labels.get("x", "")): one.value for family in families for one in family.samples
    }
    assert samples["pillion_mine_total", ""] == 1
    assert samples["envoy_a_total", "2"] == 2
    assert samples["envoy_b_sum", ""] == 2
    assert samples["pillion_envoy_answered", ""] == 1


def test_only_what_is_declared_is_shown_and_not_when_each_counter_began() -> None:
    assert own(registry()).splitlines()[-1] == "pillion_mine_total 1.0"
    assert "_created" not in exposition(registry(), ENVOY)


def test_without_envoy_the_agents_metrics_say_so() -> None:
    assert "pillion_envoy_answered 0.0\n" in exposition(registry(), None)
    assert "pillion_mine_total 1.0\n" in exposition(registry(), None)


def test_lines_that_belong_to_no_family_are_left_out() -> None:
    assert "stray" not in exposition(registry(), "stray 1\n# TYPE envoy_a_total counter\nenvoy_a_total 1\n")


SERVICE = """# HELP shop_orders_total Orders.
# TYPE shop_orders_total counter
shop_orders_total{kind="a\\"b\\\\c\\n"} 3
shop_orders_total{kind="x"} 4 1700000000000
shop_orders_total{kind="x"} 5
shop_orders_total{kind="x",kind="y"} 5
# TYPE pillion_mine_total counter
pillion_mine_total 99
# TYPE envoy_b histogram
envoy_b_bucket{le="+Inf"} 99
bare 1.5e-3
# a remark
# TYPE odd strange
broken{ 1
broken{x=1} 1
broken{x="1"} one
<html>
# TYPE shop_seconds histogram
shop_seconds_bucket{le="+Inf"} 2
shop_seconds_sum NaN
shop_seconds_count 2
"""


def test_the_services_own_metrics_come_along_and_what_no_prometheus_reads_is_left_out() -> None:
    text = exposition(registry(), ENVOY, SERVICE, of_service=True)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    orders = [(one.labels["kind"], one.value) for one in families["shop_orders"].samples]
    assert orders == [('a"b\\c\n', 3), ("x", 4)]
    assert families["bare"].samples[0].value == 0.0015
    assert families["shop_seconds"].type == "histogram"
    assert [one.value for one in families["pillion_service_metrics_answered"].samples] == [1]
    assert "99" not in text
    assert "broken" not in text
    assert "<html>" not in text


def test_a_service_that_does_not_answer_costs_its_own_metrics_alone() -> None:
    text = exposition(registry(), ENVOY, None, of_service=True)
    assert "pillion_service_metrics_answered 0.0" in text
    assert "envoy_a_total" in text
    assert "pillion_service_metrics_answered" not in exposition(registry(), ENVOY)
