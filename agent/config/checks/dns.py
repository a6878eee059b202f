"""Where the DNS listener sends what it does not know itself."""

from collections.abc import Iterator

from agent.config.checks.finding import Finding
from agent.config.resolvers import resolver, resolvers_of
from agent.config.settings import Settings
from agent.model.address import Address

KEY = "outbound.dns_resolvers"
FORM = "IP addresses with or without a port, such as 10.0.0.2 or 127.0.0.1:8600"


def resolvers(settings: Settings) -> Iterator[Finding]:
    """Each resolver is an address, there is one where they are needed, and none is the listener itself."""
    for index, text in enumerate(settings.outbound.dns_resolvers):
        try:
            resolver(text)
        except ValueError as error:
            yield Finding(f"{KEY}[{index}]", str(error), FORM)
            return
    if not settings.outbound.dns:
        return
    found = resolvers_of(settings)
    if not found:
        wrong = "is empty, and registry.address has a name where DNS needs an IP address"
        yield Finding(KEY, wrong, FORM)
    try:
        own = Address.parse(settings.outbound.dns)
    except ValueError:
        return
    if own in found:
        yield Finding(KEY, f"has {own}, which is outbound.dns itself", "other resolvers")
