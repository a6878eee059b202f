"""What the checks need of a Kubernetes API server."""

from typing import Any, Protocol


class Api(Protocol):
    """Asks an API server. Two ways: ``kubectl``, and in a pod the injector's own client."""

    async def get(self, path: str) -> Any:
        """The JSON document at a path with its query, such as ``/api/v1/pods?limit=500``; None where there is none.

        Raises Transient when the server is away, Permanent when it refuses: who is asked for what, and why not.
        """
