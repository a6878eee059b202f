"""Consul's policies and tokens, over its HTTP API."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from access.consumers import POLICIES
from access.values import Values

CONSUL = "http://consul:8500"
GRACE = 15.0
"""Seconds for which a replaced token still works: its holders read the new one at their next request."""
PATIENCE = 60.0
"""Seconds to wait for Consul to have a leader."""


class Consul:
    """The few calls needed. The token travels in a header only."""

    def __init__(self, token: str) -> None:
        self._token = token

    def call(self, method: str, path: str, body: object = None) -> Any:
        """The answer's JSON. Raises OSError with Consul's words."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{CONSUL}{path}", data, {"X-Consul-Token": self._token}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace").strip()
            raise OSError(f"Consul answered {method} {path} with {error.code}: {said}") from None

    def led(self) -> None:
        """Wait until the management token is taken. Raises OSError when that takes too long."""
        ends = time.monotonic() + PATIENCE
        while True:
            try:
                self.call("GET", "/v1/acl/token/self")
            except OSError:
                if time.monotonic() > ends:
                    raise
                time.sleep(0.5)
            else:
                return


def ensure(values: Values) -> str:
    """Make policies and tokens what they are to be; says what was missing."""
    consul = Consul(values.read("consul-management"))
    consul.led()
    policies = {policy["Name"]: policy for policy in consul.call("GET", "/v1/acl/policies")}
    tokens = {token["Description"] for token in consul.call("GET", "/v1/acl/tokens")}
    for name, rules in POLICIES.items():
        if rules:
            _policy(consul, name, rules, policies)
        if name not in tokens:
            _token(consul, name, values.read(name))
    missing = [name for name in POLICIES if name not in tokens]
    return f"tokens made: {', '.join(missing)}" if missing else "every token was there"


def rotate(name: str, values: Values, publish: Callable[[], None]) -> None:
    """Make a second token of the same rights, hand it out by ``publish``, and take the former ones back.

    Cut short, it can be run again: what was made then is used, and every token but the newest goes.
    """
    consul = Consul(values.read("consul-management"))
    successor = values.next(name)
    if successor not in {token["SecretID"] for token in _tokens(consul, name)}:
        _token(consul, name, successor)
    publish()
    time.sleep(GRACE)
    for token in _tokens(consul, name):
        if token["SecretID"] != successor:
            consul.call("DELETE", f"/v1/acl/token/{token['AccessorID']}")


def _tokens(consul: Consul, name: str) -> list[dict[str, Any]]:
    return [token for token in consul.call("GET", "/v1/acl/tokens") if token["Description"] == name]


def _policy(consul: Consul, name: str, rules: str, known: dict[str, Any]) -> None:
    body = {"Name": name, "Rules": rules}
    if name in known:
        consul.call("PUT", f"/v1/acl/policy/{known[name]['ID']}", body)
    else:
        consul.call("PUT", "/v1/acl/policy", body)


def _token(consul: Consul, name: str, secret: str) -> None:
    policy = name if POLICIES[name] else "global-management"
    consul.call(
        "PUT", "/v1/acl/token", {"SecretID": secret, "Description": name, "Policies": [{"Name": policy}]}
    )
