"""What a request would meet: a planned ``Snapshot`` read as Envoy reads it. Pure.

A small reading of Envoy's own rules (which virtual host, which route, which endpoints), not a second opinion on
Pillion's policy: whatever is told here was taken from what the planner made for Envoy. What it can't read it says,
instead of guessing. From the agent's cells or a catalogue on disk to the command ``pillion explain`` and the API.
"""

from agent.proxy.explain.ask import Ask, Side, parts
from agent.proxy.explain.explain import GOOD, explain
from agent.proxy.explain.met import World

__all__ = ["GOOD", "Ask", "Side", "World", "explain", "parts"]
