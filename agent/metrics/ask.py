"""Parts of PromQL expressions, made from declarations."""

from agent.metrics.declare import Metric

INSTANCE = "job, service, instance"
"""One agent."""
SERVICE = "job, service"
"""All agents of a service."""


def select(metric: Metric, *matchers: str, suffix: str = "") -> str:
    """A metric's series; ``suffix`` is a histogram's ``_bucket``, ``_sum`` or ``_count``."""
    return (
        metric.name
        + suffix
        + ("{" + ",".join(each for each in matchers if each) + "}" if any(matchers) else "")
    )


def rate(metric: Metric, *matchers: str, over: str, suffix: str = "") -> str:
    """How often a second."""
    return f"rate({select(metric, *matchers, suffix=suffix)}[{over}])"


def increase(metric: Metric, *matchers: str, over: str) -> str:
    """How many in that time."""
    return f"increase({select(metric, *matchers)}[{over}])"


def gathered(how: str, by: str, inner: str) -> str:
    """``sum by (…) (…)`` and the like."""
    return f"{how} by ({by}) ({inner})"


def or_zero(expression: str, present: str) -> str:
    """The expression, and 0 where only ``present`` has a series: Envoy hides what never counted."""
    return f"({expression} or 0 * {present})"
