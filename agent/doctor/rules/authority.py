"""The certificates by which the API server knows the injector."""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from agent.doctor.finding import Finding, absent, ok, problem, warning
from agent.doctor.rules import objects
from agent.doctor.rules.objects import Object

SOON = 7 * 86400.0
"""Seconds before its end when a certificate should have been replaced."""

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
_MEND = "See the log of the injector (or of cert-manager), which writes it; its RBAC must allow that."


@dataclass(frozen=True)
class Certificate:
    """One certificate."""

    der: bytes
    begins: float
    """Seconds since the epoch."""
    ends: float


def certificates(encoded: str) -> tuple[Certificate, ...]:
    """The certificates of a text of Kubernetes (base64 of PEM); what is none is left out."""
    try:
        pem = base64.b64decode(encoded, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ()
    return tuple(one for block in _BLOCK.findall(pem) for one in _read(block))


def _read(block: str) -> Iterator[Certificate]:
    try:
        found = x509.load_pem_x509_certificate(block.encode())
        begins, ends = found.not_valid_before_utc, found.not_valid_after_utc
        yield Certificate(found.public_bytes(Encoding.DER), begins.timestamp(), ends.timestamp())
    except (ValueError, OverflowError):
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
    if not text:
        found = "there is none: the API server refuses every pod that opted in"
        return problem("webhook.ca", subject, found, _MEND)
    return _valid("webhook.ca", subject, certificates(text), now)


def _valid(id_: str, subject: str, found: tuple[Certificate, ...], now: float) -> Finding:
    """Whether one of the certificates is valid, and for how long."""
    if not found:
        return problem(id_, subject, "it holds no certificate", _MEND)
    valid = [one for one in found if one.begins <= now < one.ends]
    if not valid:
        return problem(id_, subject, "none of its certificates is valid now", _MEND)
    left = max(one.ends for one in valid) - now
    if left < SOON:
        return warning(id_, subject, f"it ends in {left / 86400:.1f} days and was not replaced", _MEND)
    return ok(id_, subject, f"valid for {left / 86400:.0f} days")


def matching(configuration: Object, secret: Object | None) -> Finding:
    """``webhook.ca-secret``: the bundle against the Secret from which the injectors sign, or serve."""
    name = objects.name(configuration)
    subject = f"the CA in the webhook configuration {name} and that in the Secret"
    if secret is None:
        return absent(
            "webhook.ca-secret", subject, "there is no such Secret: somebody else makes the certificate"
        )
    held = {one.der for text in objects.mapping(secret, "data").values() for one in certificates(str(text))}
    if not held:
        todo = f"Delete the Secret {objects.full(secret)}: the injector (or cert-manager) makes a new one."
        return problem("webhook.ca-secret", subject, f"the Secret {objects.full(secret)} holds none", todo)
    trusted = {one.der for text in _bundles(configuration) for one in certificates(text)}
    if held & trusted:
        return ok("webhook.ca-secret", subject, "they match")
    found = "they differ: the API server does not trust the injector, and refuses every pod that opted in"
    todo = "See who else writes the caBundle (a GitOps tool must leave that field alone), and the injector's log."
    return problem("webhook.ca-secret", subject, found, todo)


def serving(secret: Object | None, now: float) -> Finding:
    """``webhook.certificate``: what the injector serves with, where somebody else puts it into a Secret."""
    subject = "the injector's own certificate"
    text = objects.part(secret, "data", "tls.crt")
    if not isinstance(text, str):
        found = "each injector makes its own, and is not ready without a valid one"
        return absent("webhook.certificate", subject, found)
    return _valid("webhook.certificate", subject, certificates(text)[:1], now)
