"""Who runs Envoy."""

from collections.abc import Iterator

from agent.config.checks.finding import Finding
from agent.config.settings import Settings
from agent.model.address import Address


def external(settings: Settings) -> Iterator[Finding]:
    """What only an Envoy of someone else has is said of such a one only."""
    proxy = settings.proxy
    if proxy.mode != "external":
        for key, value in (("proxy.admin", proxy.admin), ("proxy.xds_group", proxy.xds_group)):
            if value:
                yield Finding(key, "is given, but proxy.mode is managed", "nothing, or proxy.mode external")
    if proxy.admin and not proxy.admin.startswith("/"):
        try:
            port = Address.parse(proxy.admin).port
        except ValueError as error:
            yield Finding("proxy.admin", str(error), "a socket's absolute path or ADDRESS:PORT")
        else:
            if port == 0:
                yield Finding("proxy.admin", "has the port 0", "the port on which that Envoy's admin listens")
