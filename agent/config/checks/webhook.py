"""The webhook's certificate and times."""

from collections.abc import Iterator

from agent.config.checks.finding import Finding
from agent.config.settings import Settings


def certificate(settings: Settings) -> Iterator[Finding]:
    """Files are named where they are asked for, and only there; a certificate does not outlive its CA."""
    webhook = settings.webhook
    for key, file in (("cert_file", webhook.cert_file), ("key_file", webhook.key_file)):
        if webhook.certificate == "files" and not file:
            yield Finding(f"webhook.{key}", "is missing", "a path, since webhook.certificate is files")
        if webhook.certificate == "made" and file:
            yield Finding(
                f"webhook.{key}", "is set, but webhook.certificate is made", "webhook.certificate: files"
            )
    if webhook.certificate_life > webhook.ca_life / 2:
        yield Finding(
            "webhook.certificate_life", "is longer than half of webhook.ca_life", "at most half of it"
        )


def port(settings: Settings) -> Iterator[Finding]:
    """The webhook's port is one that a Service can name."""
    if settings.webhook.listen.endswith(":0"):
        yield Finding("webhook.listen", "has the port 0", "a port, which the Service's targetPort names")
