"""What `pillion doctor` asks Consul, and nobody else: who leads, its clock, what the token allows."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from agent.registry.client import Client
from agent.registry.pyconsul import Response
from agent.registry.rights import Rule
from agent.registry.transport import encode
from agent.runtime.errors import Permanent, Transient

AUTHORIZE = "/v1/internal/acl/authorize"
"""What Consul's own page asks to know what it may show; any token may ask it about itself."""


@dataclass(frozen=True)
class Answer:
    """What Consul's status said."""

    leader: str
    """Empty while nobody leads."""
    apart: float
    """Seconds by which this host's clock is surely ahead of Consul's, negative: behind; 0 where that can't be told."""


@dataclass(frozen=True)
class Allowed:
    """Of the asked rules, those that the token has not; None: ACLs are off."""

    missing: tuple[Rule, ...] | None


async def status(client: Client, now: Callable[[], float]) -> Answer:
    """Who leads, and how late it is there; ``now`` is the wall clock in seconds. Raises Transient or Permanent."""
    before = now()
    response: Response = await client.plain("/v1/status/leader")
    after = now()
    try:
        leader = json.loads(response.body or "") if response.code == 200 else None
    except ValueError:
        leader = None
    if not isinstance(leader, str):
        raise Transient(f"what answers at {client.where} is not Consul (it says {response.code})")
    return Answer(leader, _apart(response.headers.get("Date", ""), before, after))


async def allowed(client: Client, rules: Sequence[Rule], agent: str = "") -> Allowed:
    """What of it the token allows; ``agent`` is the name of Consul's agent, where it is known.

    Raises Transient, and Permanent for a token that Consul does not know.
    """
    asked = encode([dict(rule.question(agent)) for rule in rules])
    try:
        found = await client.sent(AUTHORIZE, asked)
    except Permanent as error:
        if "ACL support disabled" in str(error):
            return Allowed(None)
        raise
    if not isinstance(found, list) or len(found) != len(rules):
        raise Transient(f"Consul {client.where} did not tell what the token allows: is it older than 1.10?")
    says = [isinstance(one, dict) and one.get("Allow") is True for one in found]
    return Allowed(tuple(rule for rule, yes in zip(rules, says, strict=True) if not yes))


def _apart(date: str, before: float, after: float) -> float:
    try:
        there = parsedate_to_datetime(date).timestamp()
    except ValueError:
        return 0.0
    # A date has whole seconds, and what the way took is no difference.
    if before > there + 1:
        return before - there - 1
    return min(after - there, 0.0)
