"""The hook that carries trace context and request id through a service that does nothing for them.

What lives in ``site`` runs inside the service's own interpreter: standard library only, Python 3.8 to 3.14,
nothing of ``agent``, no thread, never an exception into the service. ``SITE`` alone goes on the service's
``PYTHONPATH``; ``environment`` says how. Data comes in as the service's incoming headers and leaves as its
outgoing ones, as SQL comments and as the response header ``x-pillion-carry``. Nothing in ``site`` may be
imported by the agent.

``isolated`` looks at a command before it runs and says why its Python would never find the hook. How the hook is
built is in ``site/pillion_carry/__init__.py``; what is covered, what is not and what it costs is in docs/carry.md.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

SITE = Path(__file__).resolve().parent / "site"
"""The folder for the service's PYTHONPATH; it holds ``sitecustomize`` and ``pillion_carry``, nothing else."""

OFF = frozenset({"off", "0", "false", "no"})
"""Values of PILLION_CARRY that turn the hook off, in any case."""


def environment(environ: Mapping[str, str], ports: Iterable[int] = (), site: Path = SITE) -> dict[str, str]:
    """The variables that switch the hook on in a service, to be laid over ``environ``, the one it would have
    had.

    ``ports`` are the local ports that lead into the mesh although their address does not say so: the explicit
    upstream ports and the outbound listener's. The operator's own PYTHONPATH stays behind ours. Empty when
    ``PILLION_CARRY`` says off.
    """
    if environ.get("PILLION_CARRY", "").strip().lower() in OFF:
        return {}
    own = str(site)
    theirs = [entry for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry and entry != own]
    return {
        "PYTHONPATH": os.pathsep.join([own, *theirs]),
        "PILLION_CARRY_PORTS": ",".join(str(port) for port in sorted(set(ports))),
    }
