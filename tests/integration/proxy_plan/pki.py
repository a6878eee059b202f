"""Certificates of an authority of one's own, and signed tokens with the keys to check them."""

import base64
import ipaddress
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.x509.oid import NameOID


class Authority:
    """Issues certificates."""

    def __init__(self, name: str = "authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._signed(self._name, self._key.public_key(), ca=True)

    @property
    def pem(self) -> bytes:
        """Its own certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, folder: Path, name: str = "gateway") -> tuple[Path, Path]:
        """A certificate for this machine under a name, and its key, as files that are replaced at once."""
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signed = self._signed(subject, key.public_key(), ca=False)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        chain, secret = folder / f"{name}.crt", folder / f"{name}.key"
        put(secret, private)
        put(chain, signed.public_bytes(serialization.Encoding.PEM))
        return chain, secret

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, ca: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return (
            x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def put(path: Path, content: bytes) -> None:
    """Replace a file at once."""
    beside = path.with_suffix(".new")
    beside.write_bytes(content)
    beside.replace(path)


def coded(data: bytes) -> str:
    """base64url without padding (RFC 7515)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int, length: int = 0) -> str:
    return coded(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


@dataclass
class Issuer:
    """Signs tokens with a key of one kind: RS256 or ES256."""

    kind: str = "RS256"
    kid: str = "k1"

    def __post_init__(self) -> None:
        rsa_key = rsa.generate_private_key(65537, 2048) if self.kind == "RS256" else None
        self._key: Any = rsa_key or ec.generate_private_key(ec.SECP256R1())

    @property
    def public(self) -> dict[str, str]:
        """The key to check with, as JWK."""
        numbers = self._key.public_key().public_numbers()
        common = {"kid": self.kid, "use": "sig", "alg": self.kind}
        if self.kind == "RS256":
            return {**common, "kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
        return {
            **common,
            "kty": "EC",
            "crv": "P-256",
            "x": _number(numbers.x, 32),
            "y": _number(numbers.y, 32),
        }

    def token(self, head: dict[str, Any] | None = None, **claims: Any) -> str:
        """A good token, but for what is said otherwise; a claim that is None is left out."""
        now = int(time.time())
        body = {
            "iss": "https://login.example",
            "aud": "shop",
            "sub": "u-1",
            "iat": now,
            "exp": now + 600,
            **claims,
        }
        header = {"alg": self.kind, "typ": "JWT", "kid": self.kid, **(head or {})}
        given = {name: value for name, value in body.items() if value is not None}
        signed = ".".join(coded(json.dumps(part).encode()) for part in (header, given))
        return f"{signed}.{coded(self._sign(signed.encode()))}"

    def _sign(self, data: bytes) -> bytes:
        if self.kind == "RS256":
            return bytes(self._key.sign(data, padding.PKCS1v15(), hashes.SHA256()))
        r, s = utils.decode_dss_signature(self._key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def key_set(*issuers: Issuer) -> str:
    """What the issuers publish."""
    return json.dumps({"keys": [one.public for one in issuers]})
