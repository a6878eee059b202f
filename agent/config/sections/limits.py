"""Limits of what callers may ask, for the inbound and the gateway."""

from typing import Annotated, Literal

from agent.config.declare import Section, about

PREFIX = r"^/[A-Za-z0-9._~!$&'()*+,;=:@/-]*$"
"""A path prefix that is matched as it stands; no query, no percent sign."""
PREFIX_FORM = "a path that starts with /, without %, ?, # or space"

MaxBody = Annotated[
    int,
    about(
        "Bytes that the body of a request may have; more is answered 413. A body whose length is not told is held "
        "until it is whole. 0: no limit.",
        unit="B",
        ge=0,
        le=2**32 - 1,
        live=True,
    ),
]


class Limit(Section, frozen=True):
    """A rate limit, counted by each process for itself; beyond it requests are answered 429."""

    requests: Annotated[int, about("Requests in `per`, in the long run.", ge=1, le=10**9)]
    per: Annotated[float, about("Time in which so many requests may come.", unit="s", ge=0.05, le=86400)] = (
        1.0
    )
    burst: Annotated[
        int,
        about("Requests that may come at once after a quiet time. 0: as many as `requests`.", ge=0, le=10**9),
    ] = 0
    prefix: Annotated[
        str,
        about("Path prefix, as whole segments, whose requests count.", pattern=PREFIX, form=PREFIX_FORM),
    ] = "/"
    by: Annotated[
        Literal["all", "client"],
        about("One count for all clients, or one for each client address (IPv6: for each /64)."),
    ] = "all"
