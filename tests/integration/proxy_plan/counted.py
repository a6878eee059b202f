"""What an agent's scrape says of an Envoy."""

import re

from prometheus_client import CollectorRegistry

from agent.admin.exposition import exposition
from agent.metrics.declare import Metric
from agent.proxy.admin import EnvoyAdmin
from tests.integration.proxy_plan.rig import Envoy

_SAMPLE = re.compile(r"^(\w+)\{(.*)\} (\S+)$", re.MULTILINE)


async def counted(envoy: Envoy, metric: Metric, of: str = "upstream_orders") -> float:
    """The sum of the metric's samples whose only or one label is ``of``; 0 before it counted.

    It is read from what the agent's ``/metrics`` makes of Envoy's own statistics.
    """
    text = exposition(CollectorRegistry(), await EnvoyAdmin(envoy.admin).metrics())
    return sum(
        float(value)
        for name, labels, value in _SAMPLE.findall(text)
        if name == metric.name and f'"{of}"' in labels
    )
