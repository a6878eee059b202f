"""Owners that ended without a word at one place: perhaps a row there ends the process. Pure.

After three of them the rows there are sent one at a time, each noted durably before. A row at which two in a row ended
then is not sent any more. One would not do: who is killed for another reason, as for the memory that it takes, has some
row on its way too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

DEATHS = 3
"""After so many in a row at one place its rows are sent one at a time, each noted durably before."""


@dataclass(frozen=True)
class Suspicion:
    """What is known of former owners."""

    unclean: Mapping[int, int] = field(default_factory=dict)
    """How many in a row ended at the place where the bucket is, by bucket."""
    attempting: Mapping[int, int] = field(default_factory=dict)
    """The row at which two in a row of them ended, by bucket."""

    @property
    def careful(self) -> set[int]:
        """Buckets whose rows are sent one at a time."""
        return {bucket for bucket, count in self.unclean.items() if count >= DEATHS}

    @property
    def rows(self) -> dict[int, int]:
        """The row of each bucket that is not sent: the process ended at it."""
        careful = self.careful
        return {bucket: row for bucket, row in self.attempting.items() if bucket in careful}


TRUSTING = Suspicion()
"""Nothing is known."""
