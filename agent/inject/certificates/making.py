"""Keys and certificates: a CA, and what it signs. Pure but for randomness.

Source: RFC 5280, and Go's verification (crypto/x509), which is the API server's.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SKEW = timedelta(minutes=5)
"""A certificate is valid this long before it was made: clocks of machines differ."""


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, in PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Span:
    """From when to when a certificate is valid; aware times."""

    begins: datetime
    ends: datetime

    def holds(self, now: datetime) -> bool:
        """Whether it is valid now."""
        return self.begins <= now < self.ends

    def half_gone(self, now: datetime) -> bool:
        """Whether half of the life of one that was made here is over: it began when it was made."""
        made = self.begins + SKEW
        return now >= made + (self.ends - made) / 2


def span(certificate: bytes) -> Span:
    """When the first certificate of a PEM text is valid; raises ValueError where it holds none."""
    found = x509.load_pem_x509_certificate(certificate)
    return Span(found.not_valid_before_utc, found.not_valid_after_utc)


def authority(now: datetime, life: timedelta) -> Pair:
    """A new CA; its name tells it apart from others in a bundle."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"pillion-injector-ca-{serial % 16**8:08x}")])
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    made = (
        _begun(name, name, key.public_key(), serial, (now, now + life))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return _pair(made, key)


def serving(by: Pair, names: Sequence[str], now: datetime, life: timedelta) -> Pair:
    """A new key with a certificate for ``names`` (host names and IP addresses), signed by the CA ``by``.

    It ends with the CA at the latest. Raises ValueError for a CA that can't be read.
    """
    ca = x509.load_pem_x509_certificate(by.certificate)
    ca_key = serialization.load_pem_private_key(by.key, None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise ValueError("the CA's key is of another kind than those that are made here")  # noqa: TRY004 - as above
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pillion-injector")])
    ends = min(now + life, ca.not_valid_after_utc)
    made = (
        _begun(name, ca.subject, key.public_key(), x509.random_serial_number(), (now, ends))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_general(one) for one in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    return _pair(made, key)


def belongs(pair: Pair) -> bool:
    """Whether certificate and key are of one another; raises ValueError where one of them can't be read."""
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    try:
        key = serialization.load_pem_private_key(pair.key, None)
    except TypeError as error:
        raise ValueError("the key is encrypted") from error
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return certificate.public_key().public_bytes(*form) == key.public_key().public_bytes(*form)


def signed(certificate: bytes, by: bytes) -> bool:
    """Whether the CA ``by`` signed the certificate."""
    one, ca = x509.load_pem_x509_certificate(certificate), x509.load_pem_x509_certificate(by)
    try:
        one.verify_directly_issued_by(ca)
    except Exception:
        return False
    return True


def _begun(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    serial: int,
    life: tuple[datetime, datetime],
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(life[0] - SKEW)
        .not_valid_after(life[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(certificate.public_bytes(serialization.Encoding.PEM), private)
