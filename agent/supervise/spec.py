"""What the supervisor is to do, read once from an inherited descriptor."""

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Spec:
    """The supervisor's orders. All times are seconds."""

    def __init__(self, fields: "dict[str, Any]") -> None:
        """Take the orders from a JSON object; raises KeyError, TypeError or ValueError if they are none."""
        self.agent: list[str] = [str(word) for word in fields["agent"]]
        """The agent's command; ``--supervisor-fd N`` is appended."""
        self.directory = str(fields["dir"])
        """The state folder; made if it is not there, locked while the supervisor runs."""
        self.deadline = float(fields.get("deadline", 60.0))
        """The time that the whole stop may take; what runs then is killed."""
        self.grace = float(fields.get("grace", min(5.0, self.deadline / 4)))
        """The part of ``deadline`` kept for stopping what an agent that does not end has left running."""
        self.children: list[str] = [str(name) for name in fields.get("children", ["envoy", "service"])]
        """Names that the agent may start, in the order of starting; stopped in reverse."""
        self.main = str(fields.get("main", "service"))
        """The child whose end ends everything, with its exit code."""
        self.attempts = int(fields.get("attempts", 5))
        """Failed starts in a row after which an agent that never worked is given up; 0: never."""
        if not self.agent:
            raise ValueError("agent is empty")


def read(descriptor: int) -> Spec:
    """Read the orders until the end of ``descriptor`` and close it; raises ValueError with what is wrong."""
    try:
        with os.fdopen(descriptor, "rb") as file:
            content = file.read()
        return Spec(json.loads(content))
    except (OSError, KeyError, TypeError, ValueError) as error:
        problem = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"the supervisor's orders can't be read: {problem}") from error
