"""The step that asks why: what an agent says about a request before anybody sends it."""

import json
import shlex

from agent.demo import ask
from agent.demo.traffic import NotSeenError
from agent.demo.walk import Scene

SHOWN = ("  Configuration", "route", "version", "instances", "retries")
"""The beginnings of the lines that are shown of a longer explanation, with those that go on with them."""


async def explained(scene: Scene, gateway: str, storefront: str) -> str:
    """A request of the storefront's and one at the gateway, explained by the agents at these addresses."""
    inside = ("GET", "http://orders/api/v1/orders", "--address", storefront)
    outside = ("POST", "/orders", "--gateway", "-H", "X-API-Version: 2", "--address", gateway)
    for request in (inside, outside):
        first, *rest = await ask.pillion("explain", *request)
        for line in (f"pillion explain {shlex.join(request)}", first, *_few(rest)):
            scene.report.saw(line)
    told = json.loads("".join(await ask.pillion("explain", *inside, "--json")))
    used = [one["id"] for one in told["instances"] if one["used"]]
    left = [one["why"] for one in told["instances"] if not one["used"]]
    if (told["outcome"], told["version"]["version"], len(used), len(left)) != ("routed", "v1", 1, 1):
        raise NotSeenError(f"{told['outcome']}, {told['version']}, to {used}, not to those {left}")
    return f"v1 of orders goes to {used[0]} only, and the agent says why not to the other: {left[0]}"


def _few(lines: list[str]) -> list[str]:
    kept, shown = [], False
    for line in lines:
        shown = line.startswith(SHOWN) or (shown and line.startswith("    "))
        if shown:
            kept.append(line)
    return kept
