"""What a rule finds wrong."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing wrong; where the setting came from is added later."""

    key: str
    """The setting, or a place inside it: ``upstreams.orders.traffic.timeout``."""
    wrong: str
    allowed: str = ""

    @property
    def setting(self) -> str:
        """The setting that the place belongs to."""
        parts = re.split(r"[.\[]", self.key)
        collections = {
            ("upstreams",),
            ("versions", "deprecated"),
            ("service", "meta"),
            ("gateway", "routes"),
            ("gateway", "jwt", "claims"),
            ("outbox", "tables"),
            ("outbox", "changes"),
        }
        for length in (1, 2, 3):
            if tuple(parts[:length]) in collections:
                return ".".join(parts[:length])
        return self.key.partition("[")[0]
