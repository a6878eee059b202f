"""The way to Consul."""

from collections.abc import Iterator

from agent.config.checks.finding import Finding
from agent.config.settings import Settings


def login(settings: Settings) -> Iterator[Finding]:
    """There is one token: the given one, or that of a login."""
    registry = settings.registry
    if registry.login_method and (registry.token or registry.token_file):
        yield Finding("registry.login_method", "is given, and registry.token(_file) too", "one of the two")
    if registry.login_method and not registry.login_token_file:
        yield Finding(
            "registry.login_token_file", "is empty", "the file with the token for registry.login_method"
        )
    if settings.injector.consul_login_method and settings.injector.consul_token_secret:
        yield Finding(
            "injector.consul_login_method", "is given, and injector.consul_token_secret too", "one of the two"
        )
