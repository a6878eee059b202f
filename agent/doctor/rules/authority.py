"""The CA by which the API server knows the injector."""

import base64
import binascii
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

from agent.doctor.finding import Finding, absent, ok, problem, warning
from agent.doctor.rules import objects
from agent.doctor.rules.objects import Object

SOON = 7 * 86400.0
"""Seconds before its end when the last CA of a bundle should have been replaced."""

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")


@dataclass(frozen=True)
class Authority:
    """One CA certificate."""

    der: bytes
    begins: float
    """Seconds since the epoch."""
    ends: float


def authorities(encoded: str) -> tuple[Authority, ...]:
    """The CAs of a text of Kubernetes (base64 of PEM); what is none is left out."""
    try:
        pem = base64.b64decode(encoded, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ()
    return tuple(one for block in _BLOCK.findall(pem) for one in _read(block))


def _read(block: str) -> Iterator[Authority]:
    # The interpreter's own reader of certificates tells of CAs only; a CA is what is asked for.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=block)
        described, raw = context.get_ca_certs(), context.get_ca_certs(binary_form=True)
        for one, der in zip(described, raw, strict=True):
            begins, ends = str(one["notBefore"]), str(one["notAfter"])
            yield Authority(der, ssl.cert_time_to_seconds(begins), ssl.cert_time_to_seconds(ends))
    except (ssl.SSLError, ValueError, KeyError):
        return


def bundle(configuration: Object, now: float) -> list[Finding]:
    """``webhook.ca``: the bundle of one webhook configuration at ``now`` (seconds since the epoch)."""
    name = objects.name(configuration)
    subject = f"the CA in the webhook configuration {name}"
    findings = [_of(subject, text, now) for text in _bundles(configuration)]
    return [max(findings, key=lambda one: one.level == "problem")] if findings else []


def _bundles(configuration: Object) -> list[str]:
    """The bundles of its webhooks, each different one once."""
    every = [
        found if isinstance(found := objects.part(webhook, "clientConfig", "caBundle"), str) else ""
        for webhook in objects.rows(configuration, "webhooks")
    ]
    return sorted(set(every))


def _of(subject: str, text: str, now: float) -> Finding:
    mend = "See the log of the injector (or of cert-manager), which writes it; its RBAC must allow that."
    if not text:
        return problem(
            "webhook.ca", subject, "there is none: the API server refuses every pod that opted in", mend
        )
    found = authorities(text)
    if not found:
        return problem("webhook.ca", subject, "it holds no CA certificate", mend)
    valid = [one for one in found if one.begins <= now < one.ends]
    if not valid:
        return problem("webhook.ca", subject, "none of its certificates is valid now", mend)
    days = (max(one.ends for one in valid) - now) / 86400
    if days * 86400 < SOON:
        return warning("webhook.ca", subject, f"it ends in {days:.1f} days and was not replaced", mend)
    return ok("webhook.ca", subject, f"valid for {days:.0f} days")


def matching(configuration: Object, secret: Object | None) -> Finding:
    """``webhook.ca-secret``: the bundle against the Secret from which the injectors sign."""
    name = objects.name(configuration)
    subject = f"the CA in the webhook configuration {name} and that in the Secret"
    if secret is None:
        return absent(
            "webhook.ca-secret", subject, "there is no such Secret: somebody else makes the certificate"
        )
    held = {one.der for text in objects.mapping(secret, "data").values() for one in authorities(str(text))}
    if not held:
        todo = f"Delete the Secret {objects.full(secret)}: the injector makes a new one."
        return problem("webhook.ca-secret", subject, f"the Secret {objects.full(secret)} holds no CA", todo)
    trusted = {one.der for text in _bundles(configuration) for one in authorities(text)}
    if held & trusted:
        return ok("webhook.ca-secret", subject, "they match")
    found = "they differ: the API server does not trust the injector, and refuses every pod that opted in"
    todo = "See who else writes the caBundle (a GitOps tool must leave that field alone), and the injector's log."
    return problem("webhook.ca-secret", subject, found, todo)
