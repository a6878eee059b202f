"""Outbox tables that are partitioned: their indexes are built on each partition beside the service's work, for on the
table itself that is not possible, and then joined. Pure.

Source: PostgreSQL's documentation of CREATE INDEX, "Building Indexes Concurrently", and of ALTER INDEX.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.outbox.names import Name, identifier
from agent.outbox.sql.facts import Index, TableFacts
from agent.outbox.sql.steps import Step, made


@dataclass(frozen=True)
class _Node:
    """The table or a partition of it, with its index as it is called or will be."""

    table: Name
    parent: Name | None
    leaf: bool
    index: str
    there: Index | None

    @property
    def sql(self) -> str:
        return f"{identifier(self.table.schema)}.{identifier(self.index)}"


def index_steps(root: Name, table: TableFacts, columns: tuple[str, ...], suffix: str) -> list[Step]:
    """What an index on those columns of a partitioned table still needs; it has no valid one."""
    nodes = [_Node(root, None, False, *_index(root, table.indexes, columns, suffix))]
    nodes += [
        _Node(each.name, each.parent, each.leaf, *_index(each.name, each.indexes, columns, suffix))
        for each in table.partitions
    ]
    listed = ", ".join(map(identifier, columns))
    steps = [step for node in nodes for step in _building(node, listed)]
    indexes = {node.table: node for node in nodes}
    # From the leaves up: an index becomes valid when it has one of each partition.
    joins = [
        f"ALTER INDEX {indexes[node.parent].sql} ATTACH PARTITION {node.sql};"
        for node in reversed(nodes)
        if node.parent is not None and not (node.there is not None and node.there.attached)
    ]
    if joins:
        steps.append(Step(f"join the indexes of {root} by {listed}", "\n".join(joins), locks=root))
    return steps


def _index(
    table: Name, indexes: Sequence[Index], columns: tuple[str, ...], suffix: str
) -> tuple[str, Index | None]:
    """How the index of a table or partition is called, and what there is of it."""
    # A partition that came after the table's index has one already, by a name that PostgreSQL gave it.
    for each in indexes:
        if each.attached and each.plain and each.columns == columns:
            return each.name, each
    name = made(table.table, suffix)
    return name, next((each for each in indexes if each.name == name), None)


def _building(node: _Node, listed: str) -> list[Step]:
    if node.there is not None and (node.there.valid or not node.leaf):
        return []
    name = identifier(node.index)
    if not node.leaf:
        sql = f"CREATE INDEX {name} ON ONLY {node.table.sql} ({listed});"
        return [Step(f"note an index of {node.table} by {listed}", sql, locks=node.table)]
    sql = f"CREATE INDEX CONCURRENTLY {name} ON {node.table.sql} ({listed});"
    building = Step(f"index {node.table} by {listed}", sql, alone=True)
    if node.there is None:
        return [building]
    left = f"DROP INDEX CONCURRENTLY {node.sql};"
    return [Step(f"drop what a failed build left of the index {node.index}", left, alone=True), building]
