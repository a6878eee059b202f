"""The step at the gateway's door: pages of other origins, and a rate limit that is set while it runs."""

import json

from agent.demo import kv
from agent.demo.cast import ORIGIN
from agent.demo.traffic import NotSeenError, until
from agent.demo.walk import Scene

PATH = "/inventory/stock"
LIMIT = {"gateway": {"limits": [{"prefix": "/inventory", "requests": 3, "per": "1m", "by": "client"}]}}


async def door(scene: Scene) -> str:
    """The gateway judges its clients: CORS by its settings, a rate limit by a key in Consul."""
    await _pages(scene)
    await kv.put(scene, "pillion/gateway", json.dumps(LIMIT))
    scene.report.saw(f"PUT {scene.system.consul}/v1/kv/pillion/gateway = {json.dumps(LIMIT)}")
    try:
        await until(lambda: _status(scene, 429), f"429 for {PATH}")
        if not await _status(scene, 200, "/shop"):
            raise NotSeenError("the limit of one path holds up another")
        scene.report.saw(f"GET {PATH}: 429 after three requests; GET /shop: 200")
    finally:
        await kv.delete(scene, "pillion/gateway")
    await until(lambda: _status(scene, 200), f"{PATH} without the limit")
    return "a page of another origin may not call; a rate limit came and went with a key in Consul"


async def _pages(scene: Scene) -> None:
    for origin, wanted in ((ORIGIN, ORIGIN), ("https://elsewhere.example", None)):
        asking = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answer = await scene.client.send("OPTIONS", "/shop", headers=asking)
        allowed = answer.headers.get("Access-Control-Allow-Origin")
        scene.report.saw(f"a page of {origin} asks whether it may call: {'yes' if allowed else 'no'}")
        if allowed != wanted:
            raise NotSeenError(f"pages of {origin} were told {allowed}, not {wanted}")


async def _status(scene: Scene, wanted: int, path: str = PATH) -> bool:
    return (await scene.client.get(path)).status == wanted
