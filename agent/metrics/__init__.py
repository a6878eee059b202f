"""What is measured, declared once: metrics, and from them alert rules, the dashboard and docs/metrics.md.

``families`` holds the declarations by origin; ``make`` turns one into a ``prometheus_client`` object, which is all that
a capability needs. ``rules`` and ``dashboard`` are expressions over the declarations; ``documents`` writes the
generated files; ``questions`` lists all expressions for a test on a real Prometheus. Pure but for ``documents``.
Nothing else of Pillion is imported here, and no agent loads what only the generated files need.
"""

import importlib


def expressions(*, cluster: bool = False) -> list[tuple[str, str]]:
    """See ``questions.questions``."""
    found: list[tuple[str, str]] = importlib.import_module("agent.metrics.questions").questions(
        cluster=cluster
    )
    return found
