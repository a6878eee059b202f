"""What a gateway's files hold at its start; apart from what follows them, so that a launcher can look first."""

from agent.config.settings import Settings
from agent.proxy import certificates, keyset
from agent.proxy.certificates import Certificates
from agent.runtime.errors import Misconfigured, Problem
from agent.runtime.words import named


def check(settings: Settings) -> None:
    """Read what is named, for nothing. Raises Misconfigured for what can't be used; blocks."""
    with_keys(settings)
    if settings.gateway.tls.certificate:
        certificates_of(settings)


def with_keys(settings: Settings) -> Settings:
    """The settings with the keys of ``gateway.jwt.jwks_file``, where one is named; blocks.

    Raises Misconfigured for a file that can't be used.
    """
    file = settings.gateway.jwt.jwks_file
    if not file:
        return settings
    try:
        keys = keyset.read(file)
        keyset.judge(file, keys)
    except (OSError, ValueError) as error:
        raise Misconfigured([Problem("gateway.jwt.jwks_file", f"can't be used: {named(error)}")]) from error
    return keyset.given(settings, keys)


def certificates_of(settings: Settings) -> Certificates:
    """The certificate, its key and its clients' authorities. Raises Misconfigured for what can't be used; blocks."""
    try:
        found = certificates.read(settings.gateway.tls)
        certificates.judge(settings.gateway.tls, found)
    except (OSError, ValueError) as error:
        raise Misconfigured([Problem("gateway.tls", f"can't be used: {named(error)}")]) from error
    return found
