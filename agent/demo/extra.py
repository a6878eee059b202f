"""Whether the extra ``demo`` is installed; imports nothing of it."""

import importlib.util

from agent.runtime.errors import Permanent

MODULES = ("asyncpg", "dns", "flask", "gunicorn", "nats", "psycopg", "requests", "sqlalchemy")
"""What the demo and its services import."""


def require() -> None:
    """Raise Permanent that names what is missing."""
    missing = [name for name in MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise Permanent(f"the demo needs {', '.join(missing)}: install them with pip install 'pillion[demo]'")
