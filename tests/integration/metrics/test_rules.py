"""What Prometheus itself makes of rules and panels."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.metrics import alerts, expressions
from tests.integration.metrics.conftest import Tool

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
RULES = ROOT / "compose" / "prometheus" / "rules.yml"
CASES: dict[str, list[dict[str, Any]]] = yaml.safe_load((HERE / "cases.yaml").read_text())
SCRAPE = {"job": "pillion", "service": "orders", "instance": "a"}


def test_every_rule_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    assert set(CASES) == {rule.name for rule in alerts.ALL}
    for name, cases in CASES.items():
        assert any(case.get("fires") for case in cases), name
        assert any(case.get("silent") for case in cases), name
        # YAML takes a bare 0x10 for a number.
        assert all(isinstance(said, str) for case in cases for said in case["series"].values()), name


def scraped(series: str) -> str:
    """The series with the labels of the scrape that it does not have."""
    name, _, own = series.partition("{")
    missing = [f'{label}="{value}"' for label, value in SCRAPE.items() if not re.search(rf"\b{label}=", own)]
    return f"{name}{{{','.join([own.rstrip('}')] * bool(own) + missing)}}}"


def examined(name: str, case: dict[str, Any]) -> dict[str, Any]:
    """A case as promtool takes it: which of the rule's alerts fire at which time."""
    severity = next(rule.severity.value for rule in alerts.ALL if rule.name == name)
    question = f'ALERTS{{alertname="{name}",alertstate="firing"}}'
    expected = {**{at: [] for at in case.get("silent", ())}, **case.get("fires", {})}
    return {
        "interval": "15s",
        "input_series": [{"series": scraped(one), "values": said} for one, said in case["series"].items()],
        "promql_expr_test": [
            {
                "expr": question,
                "eval_time": at,
                "exp_samples": [
                    {
                        "labels": f'{question[:-1]},severity="{severity}",job="pillion",{",".join(labels)}}}',
                        "value": 1,
                    }
                ]
                if labels
                else [],
            }
            for at, labels in expected.items()
        ],
    }


@pytest.mark.parametrize("name", CASES)
def test_a_rule_fires_when_it_should_and_is_silent_when_it_should_be(
    name: str, promtool: Tool, tmp_path: Path
) -> None:
    file = tmp_path / "cases.yml"
    tests = [examined(name, case) for case in CASES[name]]
    file.write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "15s", "tests": tests})
    )
    done = promtool("test", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(900)  # Prometheus evaluates all cases at once: many seconds of CPU
@pytest.mark.parametrize(("instead", "half"), [("vector(0) > 1", "fires"), ("vector(1)", "silent")])
def test_the_cases_of_each_rule_notice_that_it_never_fires_and_that_it_always_does(
    instead: str, half: str, promtool: Tool, tmp_path: Path
) -> None:
    document = yaml.safe_load(RULES.read_text())
    for rule in (rule for group in document["groups"] for rule in group["rules"]):
        rule["expr"] = instead
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(document))
    tests = [
        examined(name, {"series": case["series"], half: case[half]})
        for name, cases in CASES.items()
        for case in cases
        if half in case
    ]
    file = tmp_path / "cases.yml"
    file.write_text(
        yaml.safe_dump({"rule_files": ["rules.yml"], "evaluation_interval": "15s", "tests": tests})
    )
    done = promtool("test", "rules", str(file))
    noticed = set(re.findall(r'alertname="(\w+)"', done.stdout + done.stderr))
    assert noticed == {rule.name for rule in alerts.ALL}


def test_prometheus_reads_its_configuration_and_the_rules(promtool: Tool) -> None:
    """The rules stand beside the configuration, which names them."""
    done = promtool("check", "config", "--lint-fatal", "--lint=all", str(RULES.parent / "prometheus.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(alerts.ALL)} rules found" in done.stdout


def test_prometheus_understands_every_expression_of_the_dashboard(promtool: Tool, tmp_path: Path) -> None:
    file = tmp_path / "panels.yml"
    rules = [
        {"record": f"question:{number}", "expr": expression, "labels": {"panel": where}}
        for number, (where, expression) in enumerate(expressions(cluster=True))
    ]
    file.write_text(yaml.safe_dump({"groups": [{"name": "questions", "rules": rules}]}))
    done = promtool("check", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout
