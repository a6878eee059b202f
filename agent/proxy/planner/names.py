"""Which names, addresses and paths of the catalogue are used at all."""

from agent.model.catalog import Catalog


def problems(catalog: Catalog) -> tuple[str, ...]:
    """A sentence for each thing of the catalogue that is left out of the plan."""
    raise NotImplementedError
