"""The walk on this machine: the steps that every system can show, and those that need one's own processes."""

from functools import partial

from agent.demo.door import door
from agent.demo.explained import explained
from agent.demo.heard import heard
from agent.demo.leaving import leaving
from agent.demo.stage import Stage
from agent.demo.steps import STEPS
from agent.demo.walk import Step


def steps(stage: Stage) -> tuple[tuple[str, Step], ...]:
    """All of them, in order."""
    gateway, storefront = stage.sidecars["gateway"], stage.sidecars["storefront"]
    agents = (f"127.0.0.1:{gateway.admin}", f"127.0.0.1:{storefront.admin}")
    asking = partial(explained, gateway=agents[0], storefront=agents[1])
    going = partial(leaving, proxy=f"http://127.0.0.1:{storefront.outbound}")
    after: dict[str, tuple[tuple[str, Step], ...]] = {
        "API versions": (
            ("Why a request goes where it goes", asking),
            ("The gateway's door", door),
            ("What leaves the mesh", going),
        ),
        "A model change as an event": (("The event in a second service's inbox", heard),),
    }
    return tuple(step for one in STEPS for step in (one, *after.get(one[0], ())))
