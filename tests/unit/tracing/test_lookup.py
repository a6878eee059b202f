"""Finding a request, with patience."""

import pytest

from agent.config.sections.mesh import Tracing
from agent.config.settings import Settings
from agent.runtime.errors import Permanent
from agent.tracing import lookup
from agent.tracing.jaeger import Window
from agent.tracing.lookup import Clock, Wanted
from agent.tracing.traces import Span
from tests.unit.tracing.made import BEGAN, span

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Time:
    """Time that passes only while somebody sleeps."""

    def __init__(self, at: float = BEGAN) -> None:
        self.at = at

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.at

    async def sleep(self, seconds: float) -> None:
        """Let it pass."""
        self.at += seconds

    @property
    def clock(self) -> Clock:
        """As the search takes it."""
        return Clock(self.now, self.sleep)


class Store:
    """A Jaeger whose spans arrive at their time: (when, span)."""

    def __init__(self, time: Time, *arriving: tuple[float, Span]) -> None:
        self._time = time
        self._arriving = arriving
        self.asked: list[tuple[str, dict[str, str]]] = []

    def there(self) -> list[Span]:
        """What has arrived."""
        return [one for at, one in self._arriving if at <= self._time.at]

    async def trace(self, trace_id: str) -> tuple[Span, ...]:
        """The spans of one trace."""
        return tuple(one for one in self.there() if one.trace == trace_id)

    async def services(self) -> tuple[str, ...]:
        """All services."""
        return tuple(sorted({one.service for one in self.there()}))

    async def find(
        self, service: str, window: Window, tags: dict[str, str] | None = None
    ) -> tuple[tuple[Span, ...], ...]:
        """The whole traces in which the service has a span with these tags."""
        self.asked.append((service, dict(tags or {})))
        hits = [
            one.trace
            for one in self.there()
            if one.service == service
            and window.start <= one.start <= window.end
            and dict(one.tags).items() >= (tags or {}).items()
        ]
        return tuple([tuple(x for x in self.there() if x.trace == trace) for trace in dict.fromkeys(hits)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TRACE, Wanted(TRACE, TRACE)),
        (TRACE.upper(), Wanted(TRACE, TRACE.upper())),
        (f"00-{TRACE}-b7ad6b7169203331-01", Wanted(TRACE, "")),
        (f"00-{TRACE}-b7ad6b7169203331-00", Wanted(TRACE, "", sampled=False)),
        (" order-17\n", Wanted("", "order-17")),
        ("550e8400-e29b-41d4-a716-446655440000", Wanted("", "550e8400-e29b-41d4-a716-446655440000")),
    ],
)
def test_an_id_may_be_a_trace_s_a_traceparent_or_a_request_s(text: str, expected: Wanted) -> None:
    assert lookup.wanted(text) == expected


@pytest.mark.parametrize("text", ["", "  ", "a\x1b[2Jb", "x" * 300])
def test_what_can_be_no_id_is_refused(text: str) -> None:
    with pytest.raises(Permanent, match="neither"):
        lookup.wanted(text)


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        (Tracing(), "http://127.0.0.1:16686"),
        (Tracing(endpoint="http://jaeger.traces:4318"), "http://jaeger.traces:16686"),
        (Tracing(endpoint="https://[::1]:4318/otlp"), "http://[::1]:16686"),
        (
            Tracing(endpoint="http://collector:4318", query="https://jaeger.example/ui/"),
            "https://jaeger.example/ui",
        ),
    ],
)
def test_jaeger_is_asked_where_it_is_set_else_beside_the_collector(settings: Tracing, url: str) -> None:
    assert lookup.query_url(Settings(tracing=settings)) == url


async def test_a_trace_that_ended_long_ago_is_shown_at_once() -> None:
    time = Time(BEGAN + 60)
    store = Store(time, (0, span("a", None, 0, 10, trace=TRACE)))
    found = await lookup.request(store, lookup.wanted(TRACE), wait=8, since=60, clock=time.clock)
    assert found is not None
    assert (found.settled, len(found.spans), time.at) == (True, 1, BEGAN + 60)


async def test_late_spans_are_waited_for_and_that_is_said_once() -> None:
    time = Time()
    late = span("b", "a", 2, 5, trace=TRACE)
    store = Store(time, (BEGAN + 1, span("a", None, 0, 10, trace=TRACE)), (BEGAN + 5, late))
    said: list[str] = []
    found = await lookup.request(
        store, lookup.wanted(TRACE), wait=20, since=60, clock=time.clock, say=said.append
    )
    assert found is not None
    assert late in found.spans
    assert found.settled
    assert time.at - BEGAN == pytest.approx(lookup.LATE, abs=1)
    assert len(said) == 1
    assert "5 s" in said[0]


async def test_whoever_does_not_wait_is_told_that_it_may_be_incomplete() -> None:
    time = Time()
    store = Store(time, (0, span("a", None, 0, 10, trace=TRACE)))
    found = await lookup.request(store, lookup.wanted(TRACE), wait=0, since=60, clock=time.clock)
    assert found is not None
    assert (found.settled, time.at) == (False, BEGAN)


async def test_a_trace_that_never_comes_is_waited_for_no_longer_than_asked() -> None:
    time = Time()
    assert await lookup.request(Store(time), lookup.wanted(TRACE), wait=8, since=60, clock=time.clock) is None
    assert time.at - BEGAN == pytest.approx(8, abs=0.6)


async def test_a_request_s_id_finds_its_trace_in_whatever_service_saw_it() -> None:
    time = Time(BEGAN + 60)
    tags = {"guid:x-request-id": "order-17"}
    mine = Span("a", None, "orders", "orders", BEGAN, 0.1, tuple(tags.items()), trace="t1")
    store = Store(
        time,
        (0, mine),
        (0, span("b", "a", 1, 5, "stock", trace="t1")),
        (0, span("x", None, 0, 1, trace="t2")),
    )
    found = await lookup.request(store, lookup.wanted("order-17"), wait=8, since=3600, clock=time.clock)
    assert found is not None
    assert (found.trace, len(found.spans)) == ("t1", 2)
    assert {asked for _, given in store.asked for asked in given.items()} == set(tags.items())


async def test_of_several_traces_with_one_request_id_the_newest_is_shown_and_the_others_named() -> None:
    time = Time(BEGAN + 600)
    tags = (("guid:x-request-id", "r"),)
    spans = [Span("a", None, "orders", "o", BEGAN + at, 0.1, tags, trace=f"t{at}") for at in (1, 300, 2)]
    store = Store(time, *((0, one) for one in spans))
    found = await lookup.request(store, lookup.wanted("r"), wait=0, since=3600, clock=time.clock)
    assert found is not None
    assert (found.trace, found.others) == ("t300", ("t2", "t1"))


async def test_recent_traces_come_once_though_several_services_are_in_them() -> None:
    time = Time(BEGAN + 60)
    store = Store(
        time,
        (0, span("a", None, 0, 1, "front", trace="t1")),
        (0, span("b", "a", 0, 1, "orders", trace="t1")),
        (0, span("c", None, 0, 1, "orders", trace="t2")),
        (0, span("d", None, -90_000, 1, "orders", trace="old")),
    )
    found = await lookup.recent(store, 120, 100, clock=time.clock)
    assert sorted(spans[0].trace for spans in found) == ["t1", "t2"]
    of_front = await lookup.recent(store, 120, 100, "front", clock=time.clock)
    assert [spans[0].trace for spans in of_front] == ["t1"]
