"""A native sleep before an application is told to end, while its callers hear that it goes."""

import re
from collections.abc import Mapping
from typing import Any

from agent.inject.mutate.marker import Container, mapped
from agent.inject.plan import Plan

GRACE = 30
"""Seconds that Kubernetes gives a pod that says nothing of it."""


def seconds(spec: Mapping[str, Any], plan: Plan) -> int:
    """How long; 0: not at all. Kubernetes knows the sleep from 1.30 on, and refuses one beyond the grace period;
    two thirds of that stay with the application. Nobody calls a pod that does not serve."""
    injector = plan.settings.injector
    minor = re.match(r"v?1\.([0-9]+)", injector.cluster_version)
    if not plan.port or minor is None or int(minor[1]) < 30:
        return 0
    grace = spec.get("terminationGracePeriodSeconds")
    return min(injector.pre_stop_sleep, max(0, GRACE if grace is None else grace) // 3)


def sleeping(container: dict[str, Any], length: int, added: Container) -> dict[str, Any]:
    """The container with the sleep, where it has no preStop."""
    there = container.get("lifecycle") or {}
    if not length or there.get("preStop") is not None:
        return container
    lifecycle = mapped(container, "lifecycle", added)
    if "preStop" in there:
        added.nulls.append("preStop")
    added.sleep = True
    return {**container, "lifecycle": {**lifecycle, "preStop": {"sleep": {"seconds": length}}}}
