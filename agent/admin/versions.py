"""API versions in the status: of this instance and of each service that it may call."""

from agent.model.catalog import Catalog
from agent.model.version import Offer
from agent.versions import resolve
from agent.versions.words import words

OWN = "this instance"


def versions(own: Offer | None, catalog: Catalog) -> dict[str, str]:
    """In a few words by service; services without versions are left out."""
    tables = {OWN: resolve.table([own] if own else [])}
    for name, service in sorted(catalog.services.items()):
        tables[name] = resolve.table(one.offer for one in service.instances)
    return {name: words(table) for name, table in tables.items() if table is not None}
