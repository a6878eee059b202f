"""All alert rules, and the file that Prometheus reads."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from agent.metrics.rules import configuration, inbox, injector, instances, outbox, traffic
from agent.metrics.rules.declare import Rule

GROUPS: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        "instances": instances.ALL,
        "traffic": traffic.ALL,
        "configuration": configuration.ALL,
        "outbox": outbox.ALL,
        "inbox": inbox.ALL,
        "the injector": injector.ALL,
    }
)
ALL: tuple[Rule, ...] = tuple(rule for group in GROUPS.values() for rule in group)


def document() -> dict[str, Any]:
    """The rules as Prometheus' rule file."""
    return {
        "groups": [
            {"name": f"pillion-{name.removeprefix('the ')}", "rules": [_rule(rule) for rule in rules]}
            for name, rules in GROUPS.items()
        ]
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "alert": rule.name,
        "expr": rule.expr,
        "for": rule.wait,
        "labels": {"severity": rule.severity.value},
        "annotations": {
            "summary": f"{rule.summary}.",
            "description": f"{rule.description} {rule.do}",
        },
    }
