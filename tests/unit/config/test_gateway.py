"""What the settings of a gateway must fulfil."""

import json
from typing import Any

import msgspec
import pytest

from agent.config import checks
from agent.config.checks.gateway import wrong_jwks
from agent.config.settings import Settings
from agent.runtime.errors import Misconfigured

KEYS = json.dumps({"keys": [{"kty": "RSA", "n": "x", "e": "AQAB"}]})
JWT = {"issuer": "https://login.example", "jwks": KEYS}
TLS = {"certificate": "/tls.crt", "key": "/tls.key"}


def wrong(gateway: dict[str, Any], **more: Any) -> list[str]:
    """The keys at which something is wrong."""
    try:
        checks.check(msgspec.convert({"gateway": gateway, **more}, Settings))
    except Misconfigured as error:
        return [problem.key for problem in error.problems]
    return []


@pytest.mark.parametrize(
    "gateway",
    [
        {},
        {"cors": [{"origins": ["*"]}]},
        {
            "cors": [
                {
                    "origins": [
                        "https://a.example",
                        "https://*.a.example",
                        "http://localhost:*",
                        "http://[::1]:80",
                    ]
                }
            ]
        },
        {
            "cors": [
                {"origins": ["https://a.example"], "credentials": True},
                {"prefix": "/b", "origins": ["*"]},
            ]
        },
        {"limits": [{"requests": 10, "by": "client", "prefix": "/login"}]},
        {"max_body": 1024, "hold_bodies": True},
        {"tls": TLS, "redirect": "127.0.0.1:80"},
        {"jwt": JWT},
        {"jwt": {**JWT, "claims": {"sub": "x-user", "realm.roles": "x-roles"}, "public": ["/health"]}},
        {"jwt": {"issuer": "a", "jwks_url": "https://login.example/keys?p=1"}},
        {"routes": {"orders": ["/orders", "/api/{version}/orders"], "site": ["/"]}},
    ],
)
def test_what_makes_sense_is_taken(gateway: dict[str, Any]) -> None:
    assert wrong(gateway) == []


@pytest.mark.parametrize(
    ("gateway", "keys"),
    [
        ({"cors": [{"origins": ["*"], "credentials": True}]}, ["gateway.cors[0].credentials"]),
        ({"cors": [{"origins": []}]}, ["gateway.cors[0].origins"]),
        ({"cors": [{"origins": ["shop.example"]}]}, ["gateway.cors[0].origins[0]"]),
        ({"cors": [{"origins": ["https://a.example/"]}]}, ["gateway.cors[0].origins[0]"]),
        ({"cors": [{"origins": ["https://a*.example"]}]}, ["gateway.cors[0].origins[0]"]),
        ({"cors": [{"origins": ["null"]}]}, ["gateway.cors[0].origins[0]"]),
        ({"cors": [{"origins": ["*"]}, {"prefix": "/", "origins": ["*"]}]}, ["gateway.cors[1].prefix"]),
        ({"limits": [{"requests": 1}] * 33}, ["gateway.limits"]),
        ({"hold_bodies": True}, ["gateway.hold_bodies"]),
        ({"tls": {"certificate": "/a"}}, ["gateway.tls.key"]),
        ({"tls": {"key": "/a"}}, ["gateway.tls.certificate"]),
        ({"tls": {"client_ca": "/a", "hsts": 1}}, ["gateway.tls.client_ca", "gateway.tls.hsts"]),
        ({"redirect": "127.0.0.1:80"}, ["gateway.redirect"]),
        ({"jwt": {"issuer": "a"}}, ["gateway.jwt.jwks_file"]),
        ({"jwt": {**JWT, "jwks_url": "https://a"}}, ["gateway.jwt.jwks"]),
        ({"jwt": {"jwks": KEYS, "public": ["/a"]}}, ["gateway.jwt.jwks", "gateway.jwt.public"]),
        ({"jwt": {"issuer": "a", "jwks_url": "ftp://a"}}, ["gateway.jwt.jwks_url"]),
        ({"jwt": {"issuer": "a", "jwks_url": "https://u:p@a/x"}}, ["gateway.jwt.jwks_url"]),
        ({"jwt": {**JWT, "claims": {"sub": "x-forwarded-for"}}}, ["gateway.jwt.claims.sub"]),
        ({"jwt": {**JWT, "claims": {"sub": "x-real-ip"}}}, ["gateway.jwt.claims.sub"]),
        (
            {"jwt": {**JWT, "claims": {"a": "x-a", "b": "x-a"}}},
            ["gateway.jwt.claims.a", "gateway.jwt.claims.b"],
        ),
        ({"routes": {"a": ["/x"], "b": ["/x"]}}, ["gateway.routes.b[0]"]),
        ({"routes": {"a": ["x", "/a/", "/%41"]}}, [f"gateway.routes.a[{number}]" for number in range(3)]),
    ],
)
def test_what_makes_none_is_refused(gateway: dict[str, Any], keys: list[str]) -> None:
    assert wrong(gateway) == keys


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "has no keys"),
        ('{"keys": []}', "has no keys"),
        ('{"keys": [{}]}', "has a key without a kind (kty)"),
        ('{"keys": [{"kty": "RSA", "d": "x"}]}', "holds a private key, where only public ones belong"),
        ('{"keys": [{"kty": "oct", "k": "x"}]}', "holds a private key, where only public ones belong"),
        (KEYS, ""),
    ],
)
def test_a_key_set_is_looked_at(text: str, said: str) -> None:
    assert wrong_jwks(text) == said


def test_the_redirecting_listener_has_a_port_of_its_own() -> None:
    found = wrong({"listen": "127.0.0.1:80", "redirect": "127.0.0.1:80", "tls": TLS})
    assert found == ["gateway.redirect"]
    assert wrong({"redirect": "0.0.0.0:15006", "tls": TLS}) == []
