"""What keeps the outbox from working, or will: what `pillion doctor` tells of the service's database.

Each module looks at one thing over a connection and returns remarks; nothing is changed, and no row of the service is
read. ``checkup.run`` asks them all with the relay's own role, for what that one may not do matters. The settings come
in, remarks go out to ``wiring``, which makes findings of them.
"""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "problem", "not applicable"]


@dataclass(frozen=True)
class Remark:
    """One thing that was looked at; its parts are those of a finding of ``pillion doctor``."""

    id: str
    level: Level
    subject: str
    found: str
    todo: str = ""
    """There is one for each warning and problem."""


INIT = "Run `pillion outbox init`."
