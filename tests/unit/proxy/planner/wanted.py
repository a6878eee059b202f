"""API versions once more, plainly: what a request names and what it gets. Random requests to hold the planned routes
against, and what is expected of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from agent.model.version import Version
from tests.unit.proxy.planner.routing import Request

numbers = st.integers(0, 3) | st.sampled_from([9, 10, 11, 99, 100, 9999])
versions = st.builds(Version, st.integers(0, 4) | st.sampled_from([9, 10, 12, 9999]), st.just(-1) | numbers)
weights = st.integers(0, 1000)
others = st.sampled_from(["*/*", "text/html", "application/vnd.v1+json"])


@dataclass(frozen=True)
class Wanted:
    """What a request says of versions; None: nothing."""

    url: Version | None = None
    header: Version | str | None = None
    """A text is one that is no version."""
    accept: tuple[tuple[Version | str, int], ...] = ()
    """Versions, or other media types, with their weight in thousandths."""
    post: bool = False

    def request(self, prefix: str = "") -> Request:
        """The request that says so, below a path prefix."""
        headers = {}
        if self.header is not None:
            headers["x-api-version"] = str(self.header)
        if self.accept:
            headers["accept"] = ", ".join(_member(kind, weight) for kind, weight in self.accept)
        path = f"/api/{self.url}/x?a=/api/v1/" if self.url else "/x/api/v1?v=2"
        return Request(prefix + path, headers, "POST" if self.post else "GET")


wanted = st.builds(
    Wanted,
    st.none() | versions,
    st.none() | st.none() | versions | st.sampled_from(["banana", "1,2", "v", "02", "v1.", "vv1", "12345", "v2.1.0"]),
    st.lists(st.tuples(versions | versions | others, weights | st.just(1000)), max_size=5).map(tuple),
    st.booleans(),
)  # fmt: skip


@dataclass(frozen=True)
class Service:
    """What a service offers, and what the caller's settings say."""

    offered: tuple[Version, ...]
    default: Version | None = None
    pin: Version | None = None
    latest: bool = False
    """The policy."""

    def expected(self, given: Wanted) -> int | Version:
        """The version that a request gets, or the status that it is refused with."""
        if given.url is not None:
            return self._first([given.url])
        if isinstance(given.header, str):
            return 400
        if given.header is not None:
            return self._first([given.header])
        wishes = [
            (-weight, _newest_first(one), one)
            for one, weight in given.accept
            if isinstance(one, Version) and weight
        ]
        if wishes:
            return self._first([one for *_, one in sorted(wishes)])
        if self.pin is not None:
            return self._first([self.pin])
        return self._first([self.default]) if self.default else max(self.offered)

    def _first(self, names: Iterable[Version]) -> int | Version:
        found = (fit for one in names if (fit := fitting(self.offered, one)) is not None)
        return next(found, max(self.offered) if self.latest else 404)


def fitting(offered: Sequence[Version], named: Version) -> Version | None:
    """`v2` is the newest v2.x; `v2.1` itself, else the lowest v2.y with y above 1; a bare `v2` on offer is a v2.0."""
    same = sorted(one for one in offered if one.major == named.major)
    if named.minor < 0:
        return same[-1] if same else None
    if named in same:
        return named
    return next((one for one in same if max(one.minor, 0) >= named.minor), None)


def _newest_first(version: Version) -> tuple[int, int, int]:
    # v2 means the newest v2.x, so it comes before any v2.x.
    return (-version.major, version.minor >= 0, -version.minor)


def _member(kind: Version | str, weight: int) -> str:
    text = f"application/vnd.shop.{kind}+json" if isinstance(kind, Version) else kind
    return text if weight == 1000 else f"{text};q=0.{weight:03}"


services = st.lists(versions, min_size=1, max_size=6, unique=True).flatmap(
    lambda offered: st.builds(
        Service,
        st.just(tuple(offered)),
        st.none() | st.sampled_from(offered),
        st.none() | versions,
        st.booleans(),
    )
)
