"""Consul: whether it answers, who leads, its clock, what the token allows."""

from collections.abc import Sequence
from typing import Protocol

from agent.doctor.finding import Finding, absent, ok, problem, warning

APART = 2.0
"""Seconds that the clocks may be apart."""

START = "Start Consul, or say where it is: registry.address, --registry-address, CONSUL_HTTP_ADDR."
LEADERLESS = ("No known Consul servers", "No cluster leader")
"""What Consul says, with 500, while nobody leads."""
HINTS = (
    (
        ("https server",),
        "It speaks TLS there: write https:// in registry.address, and its CA in registry.ca_cert.",
    ),
    (
        ("wrong version number", "record layer failure"),
        "It speaks plain HTTP there: write http:// in registry.address.",
    ),
    (("registry.ca_cert",), "Name a file of PEM certificates that this user may read in registry.ca_cert."),
    (
        ("certificate required", "bad certificate"),
        "It wants its clients' certificates, and Pillion has none: set tls.https.verify_incoming to false in Consul.",
    ),
    (("mismatch",), "Write a name or IP address that its certificate is for in registry.address."),
    (
        ("has expired", "not yet valid"),
        "Give Consul a certificate that is valid now, or set this host's clock.",
    ),
    (("certificate",), "Name the CA that signed Consul's certificate in registry.ca_cert."),
    (
        ("name or service not known", "name resolution", "name does not resolve", "no address associated"),
        "No such host is known here: mend registry.address, or this machine's DNS.",
    ),
    (
        ("is not consul", "not consul's"),
        "Something else answers there: give Consul's HTTP port, usually 8500, in registry.address.",
    ),
    (("(429)",), "End what holds so many connections, or raise limits.http_max_conns_per_client in Consul."),
)
"""By parts of what came back, in small letters: what to do; the first counts."""


class Rule(Protocol):
    """A rule of Consul's ACL; its text is the rule as a policy holds it."""

    @property
    def why(self) -> str:
        """What is lost without it."""

    @property
    def needed(self) -> bool:
        """Whether that is the whole."""


def away(where: str, error: str) -> Finding:
    """``consul.reachable`` or, where Consul itself says so, ``consul.leader``."""
    if any(part in error for part in LEADERLESS):
        return leader(where, "", error)
    said = error.lower()
    todo = next((todo for parts, todo in HINTS if any(part in said for part in parts)), START)
    return problem("consul.reachable", where, error, todo)


def leader(where: str, found: str, said: str = "") -> Finding:
    """``consul.leader``."""
    if found:
        return ok("consul.leader", where, f"{found} leads")
    todo = "See the logs of Consul's servers: more than half of them must be up and see each other."
    wrong = "no server leads: nothing is registered or read until one does"
    return problem("consul.leader", where, f"{wrong} ({said})" if said else wrong, todo)


def clock(where: str, apart: float) -> Finding:
    """``consul.clock``; ``apart`` is how far this host's is ahead, in seconds."""
    subject = f"the clocks of this host and of {where}"
    if abs(apart) <= APART:
        return ok("consul.clock", subject, f"less than {APART:g} s apart")
    which = "ahead of" if apart > 0 else "behind"
    harm = "no check depends on it, but times in logs and traces differ, and a login's token may count as expired"
    found = f"this host's is {abs(apart):.0f} s {which} Consul's; {harm}"
    return warning("consul.clock", subject, found, "Synchronise both, as by NTP.")


def unknown_token(where: str, error: str) -> Finding:
    """``consul.token`` that Consul refuses."""
    subject = f"the ACL token for {where}"
    if "ACL not found" in error and "logging in" not in error:
        found = "Consul does not know it: it was deleted, has expired, or is another cluster's"
        todo = "Write a valid one into registry.token_file, which is read again when it changes."
        return problem("consul.token", subject, found, todo)
    todo = "Check registry.token(_file), or registry.login_method with its token and binding rules."
    return problem("consul.token", subject, error, todo)


def rights(where: str, missing: Sequence[Rule] | None, *, given: bool) -> list[Finding]:
    """``consul.token`` and ``consul.rights``; ``missing`` None: ACLs are off. ``given``: there is a token."""
    subject = f"the ACL token for {where}"
    if missing is None:
        return [
            absent("consul.token", subject, "Consul's ACLs are off: whoever reaches it may do everything")
        ]
    needed = [rule for rule in missing if rule.needed]
    if needed and not given:
        found = "ACLs are on, and no token is given"
        todo = "Give one by registry.token_file, CONSUL_HTTP_TOKEN, or a login by registry.login_method."
        return [problem("consul.token", subject, found, todo), *_narrow(subject, missing)]
    token = ok("consul.token", subject, "Consul knows it" if given else "none is given, and none is needed")
    return [
        token,
        *(_narrow(subject, missing) or [ok("consul.rights", subject, "it has all that is needed")]),
    ]


def _narrow(subject: str, missing: Sequence[Rule]) -> list[Finding]:
    found = []
    for needed, make in ((True, problem), (False, warning)):
        rules = [rule for rule in missing if rule.needed is needed]
        if rules:
            lost = ", and ".join(dict.fromkeys(rule.why for rule in rules))
            lacks = ", ".join(str(rule) for rule in rules)
            todo = f"Add to its policy: {' '.join(str(rule) for rule in rules)}"
            found.append(make("consul.rights", subject, f"it lacks {lacks}: {lost}", todo))
    return found
