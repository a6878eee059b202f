"""The plan of an Envoy: catalogue, settings and fragments become a ``Snapshot``. Pure: same input, same
output, no I/O, no clock.

A module per Envoy object. What comes from the catalogue is untrusted: ``names`` decides what of it is used
at all, and it only ever becomes a plain string inside the data. ``problems`` tells what was left out and why.
Settings come with their ports resolved (``agent.config.bound``).
"""

from agent.proxy.planner import reach
from agent.proxy.planner.claims import conflicts
from agent.proxy.planner.fragments import Fragments
from agent.proxy.planner.gateway import plan_gateway
from agent.proxy.planner.memo import Memo
from agent.proxy.planner.sidecar import plan
from agent.proxy.planner.static import static_bootstrap
from agent.proxy.planner.targets import problems
from agent.proxy.planner.tracing import identified

__all__ = [
    "Fragments",
    "Memo",
    "conflicts",
    "identified",
    "plan",
    "plan_gateway",
    "problems",
    "reach",
    "static_bootstrap",
]
