"""Runs checks at once, each within its time."""

import asyncio
from collections.abc import Sequence

from agent.doctor.finding import Check, Finding, problem
from agent.runtime.errors import PillionError

WITHIN = 15.0
"""Seconds that one check may take."""


async def examine(checks: Sequence[Check], within: float = WITHIN) -> tuple[Finding, ...]:
    """All findings, in the order of the checks; a check that fails or takes too long is itself a problem."""
    found = await asyncio.gather(*(_look(check, within) for check in checks))
    return tuple(finding for findings in found for finding in findings)


async def _look(check: Check, within: float) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(within):
            return await check.look()
    except TimeoutError:
        found = f"it could not be looked at within {within:g} s"
        return [problem(check.id, check.subject, found, "See whether it answers at all, and try again.")]
    except PillionError as error:
        todo = "Mend what keeps it from being looked at, and try again."
        return [problem(check.id, check.subject, f"it could not be looked at: {error}", todo)]
    except Exception as error:  # one check's defect must not keep the others' findings back
        found = f"it could not be looked at: {type(error).__name__} in Pillion itself, a defect"
        return [problem(check.id, check.subject, found, "Please report it.")]
