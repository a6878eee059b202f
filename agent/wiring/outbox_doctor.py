"""What `pillion doctor` looks at in the outbox; apart because the database's driver is an extra."""

import time
from collections.abc import Sequence

from agent.config.secret import Secret
from agent.config.sections.outbox import Outbox
from agent.doctor.finding import Finding, Level
from agent.outbox.checkup import Remark
from agent.outbox.checkup.run import examine
from agent.outbox.database import Database
from agent.outbox.reader import PLANNER


async def findings(settings: Outbox) -> Sequence[Finding]:
    """All findings; raises Misconfigured where the settings name no feed that can be."""
    database = Database(Secret.of(settings, "outbox.database").read, timeout=5.0, settings=PLANNER)
    return [finding(each) for each in await examine(database, settings, time.time)]


def finding(remark: Remark) -> Finding:
    """A remark of the outbox as a finding. Pure."""
    return Finding(remark.id, Level(remark.level), remark.subject, remark.found, remark.todo)
