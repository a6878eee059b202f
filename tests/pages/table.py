"""What each page needs beside the system: where it is typed, what its examples are about, how its commands end."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.pages import stands
from tests.pages.stands import Stand

BARE = ""
"""A machine on which nothing of Pillion runs yet."""


@dataclass(frozen=True)
class Section:
    """How what stands below one heading is typed, where that differs from the rest of the page."""

    beside: str = "orders-v2"
    environ: Mapping[str, str] = field(default_factory=dict)
    """Further variables; the ports in them are documented ones. They bring about what the section is about."""
    ends: Mapping[str, int] = field(default_factory=dict)
    """Exit codes of commands that do not end with 0."""


@dataclass(frozen=True)
class Page:
    """How one page is typed."""

    beside: str = "orders-v2"
    """The instance of the demo on whose machine it is typed, or BARE."""
    stand: Stand = stands.nothing
    sections: Mapping[str, Section] = field(default_factory=dict)
    """By heading."""
    ends: Mapping[str, int] = field(default_factory=dict)
    """Exit codes of commands that do not end with 0."""
    patience: float = 0.0
    """Seconds within which a command is to do what the page shows, where what it shows comes about by itself."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Documented texts and what is typed instead; ports need no line here."""
    varies: Mapping[str, str] = field(default_factory=dict)
    """Patterns of what may differ in the lines that are printed, each with what is read in its place."""


ELSEWHERE = {
    "PILLION_CONFIG": "another.yaml",
    "PILLION_PROXY_INBOUND": "127.0.0.1:15006",
    "PILLION_PROXY_OUTBOUND": "127.0.0.1:0",
    "PILLION_ADMIN_LISTEN": "127.0.0.1:0",
    "PILLION_ADMIN_HEALTH": "127.0.0.1:0",
}
"""A second agent that is to have the first one's inbound port."""

HOST = {r"(hello|gateway)-[\w.-]+: ": r"\1-host: "}
"""So has the name of an agent."""
EVENTS = {r"^.*─ (\w+-agent {2}\w+ \S+?)(;.*)?$": r"\1"}
"""Whether an event is on its way while the request that made it still is differs from one time to another."""
SLOWEST = {r"( \d+ +\d+ +[\d.]+ \w+ +[\d.]+ \w+)  .*$": r"\1 an operation"}
"""Which operation takes longest is another each time."""
READYZ = "curl -s --fail-with-body http://127.0.0.1:15021/readyz"
INSTANCE = {r"orders-[\w.-]+-\d+": "orders-1"}
"""An id has the host's name in it."""
RELAY = {r"orders-[\w.-]+/[0-9a-f]+": "orders-1/1"}
"""So has the name of a relay, with a random end."""

PAGES: Mapping[str, Page] = {
    "README.md": Page(beside=BARE, stand=stands.served, patience=30),
    "docs/envoy.md": Page(stand=stands.external),
    "docs/explain.md": Page(beside="storefront", varies=INSTANCE),
    "docs/gateway.md": Page(beside=BARE),
    "docs/getting-started.md": Page(beside=BARE, stand=stands.own_consul, varies=HOST),
    "docs/inbox.md": Page(beside="inventory-a", stand=stands.a_role, patience=15),
    "docs/injection.md": Page(beside=BARE, stand=stands.manifests),
    "docs/operating.md": Page(stand=stands.one_to_drain),
    "docs/outbox-parked.md": Page(stand=stands.parked, patience=30),
    "docs/outbox-relays.md": Page(stand=stands.two_relays, varies=RELAY, patience=30),
    "docs/outbox-restore.md": Page(stand=stands.a_role, ends={"pillion outbox adopt --restored": 1}),
    "docs/tracing.md": Page(
        beside="storefront", stand=stands.traced, varies={**EVENTS, **SLOWEST}, patience=15
    ),
    "docs/troubleshooting.md": Page(
        stand=stands.both(stands.traced, stands.mistaken, stands.sick),
        patience=30,
        varies={r"payments-[\w.-]+-\d+": "payments-1"},
        sections={
            "`pillion run` ends at once with code 2": Section(
                ends={"pillion config check pillion.yaml --for launcher": 2}
            ),
            "No agent answers": Section(
                environ={"PILLION_ADMIN_LISTEN": "127.0.0.1:15999"}, ends={"pillion status": 1}
            ),
            "A port is taken": Section(environ=ELSEWHERE, ends={"pillion doctor": 1}),
            "The instance is not in Consul, or critical": Section(beside="payments", ends={READYZ: 22}),
            "Consul does not answer": Section(
                environ={"PILLION_REGISTRY_ADDRESS": "http://127.0.0.1:8599"}, ends={"pillion doctor": 1}
            ),
            "A caller gets 404, 502, 503 or 504": Section(
                ends={"pillion explain GET http://orders/api/v9/orders": 1}
            ),
            "A value in Consul's KV does not arrive": Section(beside="storefront"),
            "A live setting has no effect": Section(beside="storefront"),
            "Messages do not reach the service": Section(beside="inventory-a"),
        },
    ),
    "docs/versions.md": Page(beside=BARE, stand=stands.served),
}
"""By path from the root of the checkout; a page that is not here is typed beside the orders, as it stands."""

FILE = re.compile(r"^# (?P<path>\S+\.(?:py|yaml))$")
"""The first line of a block that is a file of the page's folder."""


def of(path: str) -> Page:
    """How the page is typed."""
    return PAGES.get(path, Page())
