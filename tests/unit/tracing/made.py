"""Spans for tests: times in milliseconds after some second."""

from agent.tracing.traces import Span, Value

BEGAN = 1_700_000_000.0


def span(
    name: str,
    parent: str | None,
    start: float,
    duration: float,
    service: str = "orders",
    kind: str = "internal",
    *,
    operation: str = "work",
    instance: str = "",
    trace: str = "t",
    **tags: Value,
) -> Span:
    """One span; ``tags`` have ``__`` for a dot."""
    given = {"span.kind": kind, **{name.replace("__", "."): value for name, value in tags.items()}}
    return Span(
        name,
        parent,
        service,
        operation,
        BEGAN + start / 1000,
        duration / 1000,
        tuple(sorted(given.items())),
        trace=trace,
        instance=instance,
    )


def call(
    caller: str, callee: str, ids: str, parent: str | None, start: float, duration: float, way: float = 1.0
) -> list[Span]:
    """A call as two sidecars measure it: ``ids`` of the client's and the server's span, ``way`` there and back each."""
    client = span(
        ids[0], parent, start, duration, caller, "client", operation=caller,
        http__method="GET", http__url=f"http://{callee}/{callee}/7?token=secret", http__status_code="200",
        upstream_cluster=f"upstream_{callee}",
    )  # fmt: skip
    server = span(
        ids[1], ids[0], start + way, duration - 2 * way, callee, "server", operation=callee,
        http__method="GET", http__url=f"http://{callee}/{callee}/7?token=secret", http__status_code="200",
    )  # fmt: skip
    return [client, server]
