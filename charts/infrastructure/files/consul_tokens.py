"""Make Consul's policies and tokens what a release needs: ``python consul_tokens.py PLAN.json``, again is no change.

The plan names Consul's address, the files of the management token and of each token's secret, and each token's rules.
The files come from the release's generated Secret. A token travels in a header or a body only.
"""

import http.client
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PATIENCE = 240.0
"""Seconds to wait for Consul to have a leader and to take the management token."""

Call = Callable[[str, str, object], Any]
"""Method, path and body (None: none) of a request to Consul; the answer's JSON. Raises OSError."""


def ensure(plan: Mapping[str, Any], call: Call, secret: Callable[[str], str]) -> str:
    """Make what is missing and say what that was. Raises OSError with Consul's words."""
    policies = {policy["Name"]: policy for policy in call("GET", "/v1/acl/policies", None)}
    tokens = {token["Description"]: token for token in call("GET", "/v1/acl/tokens", None)}
    made = []
    for name, wanted in plan["tokens"].items():
        body = {"Name": name, "Rules": wanted["rules"]}
        if name in policies:
            call("PUT", f"/v1/acl/policy/{policies[name]['ID']}", body)
        else:
            call("PUT", "/v1/acl/policy", body)
        if name not in tokens:
            value = secret(wanted["file"])
            call(
                "PUT", "/v1/acl/token", {"SecretID": value, "Description": name, "Policies": [{"Name": name}]}
            )
            made.append(name)
    return f"tokens made: {', '.join(made)}" if made else "every token was there"


def consul(host: str, port: int, token: str) -> Call:
    """Requests to Consul as the holder of the token."""

    def call(method: str, path: str, body: object) -> Any:
        connection = http.client.HTTPConnection(host, port, timeout=10)
        try:
            connection.request(
                method, path, None if body is None else json.dumps(body), {"X-Consul-Token": token}
            )
            answer = connection.getresponse()
            text = answer.read()
        except http.client.HTTPException as error:
            raise OSError(f"Consul's answer to {method} {path} is not HTTP: {error!r}") from None
        finally:
            connection.close()
        if answer.status != 200:
            said = text.decode(errors="replace").strip()
            raise OSError(f"Consul answered {method} {path} with {answer.status}: {said}")
        return json.loads(text)

    return call


def led(call: Call, patience: float = PATIENCE) -> None:
    """Wait until the management token is taken. Raises OSError when that takes too long."""
    ends = time.monotonic() + patience
    while True:
        try:
            call("GET", "/v1/acl/token/self", None)
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(1)
        else:
            return


def main(arguments: list[str]) -> int:
    """Run; the exit code."""
    plan = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))

    def secret(file: str) -> str:
        return Path(file).read_text(encoding="utf-8").strip()

    try:
        call = consul(plan["host"], plan["port"], secret(plan["management"]))
        led(call)
        print(ensure(plan, call, secret))
    except OSError as error:
        print(f"making Consul's tokens: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
