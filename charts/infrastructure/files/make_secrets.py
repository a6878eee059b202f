"""Make the Secrets that a release needs and that are not there yet; a value that exists is never replaced.

``python make_secrets.py PLAN.json`` runs before a release is installed or upgraded. The plan names one Secret of random
values and how each is made, and Secrets whose keys are texts with ``[[name]]`` for such a value. The first is the
truth: a text follows when it, or the plan, was changed. Values go into the API's requests only, never into a log.
"""

import base64
import http.client
import json
import os
import re
import secrets
import ssl
import sys
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
OWNER = {"app.kubernetes.io/managed-by": "pillion-secrets"}
"""Label of the Secrets made here: no other one is touched."""
TRIES = 5
"""How often a write is tried when somebody else wrote at the same time."""

Call = Callable[[str, str, object], tuple[int, Any]]
"""Method, path and body (None: none) of a request to the API; the answer's status and JSON."""


class RefusedError(Exception):
    """The API did not do what was asked, or a Secret belongs to somebody else."""


def password() -> str:
    """192 bits in letters that neither a URL nor a password file has to escape."""
    return secrets.token_urlsafe(24).replace("-", "A").replace("_", "B")


def key() -> str:
    """256 bits as base64: what Consul takes for its gossip."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


KINDS: Mapping[str, Callable[[], str]] = {
    "password": password,
    "key": key,
    "uuid": lambda: str(uuid.uuid4()),
}


def ensure(plan: Mapping[str, Any], call: Call) -> list[str]:
    """Make what is missing; what was done, a line each. Raises RefusedError."""
    said: list[str] = []
    values = _values(plan, call, said)
    for wanted in plan.get("secrets", ()):
        data = {name: _filled(text, values) for name, text in wanted["data"].items()}
        _derived(_place(wanted), data, plan.get("labels", {}), call, said)
    return said or ["every secret was there"]


def _values(plan: Mapping[str, Any], call: Call, said: list[str]) -> Mapping[str, str]:
    place, kinds = _place(plan["values"]), plan["values"]["kinds"]
    for _ in range(TRIES):
        found = _get(place, call)
        known = _data(found) if found else {}
        missing = [name for name in kinds if name not in known]
        if not missing:
            return known
        made = {name: KINDS[kinds[name]]() for name in missing}
        if _write(place, found, made, plan.get("labels", {}), call):
            said.append(f"{place[1]} in {place[0]}: made {', '.join(missing)}")
            return {**known, **made}
    raise RefusedError(
        f"Secret {place[1]} in {place[0]} was written by others {TRIES} times meanwhile: try again"
    )


def _derived(
    place: tuple[str, str], data: Mapping[str, str], labels: Mapping[str, str], call: Call, said: list[str]
) -> None:
    for _ in range(TRIES):
        found = _get(place, call)
        known = _data(found) if found else {}
        changed = {name: value for name, value in data.items() if known.get(name) != value}
        if found and not changed:
            return
        if _write(place, found, changed, labels, call):
            said.append(f"{place[1]} in {place[0]}: wrote {', '.join(changed)}")
            return
    raise RefusedError(
        f"Secret {place[1]} in {place[0]} was written by others {TRIES} times meanwhile: try again"
    )


def _place(wanted: Mapping[str, Any]) -> tuple[str, str]:
    return wanted["namespace"], wanted["name"]


def _filled(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\[\[([a-z0-9-]+)\]\]", lambda found: values[found[1]], text)


def _data(secret: Mapping[str, Any]) -> dict[str, str]:
    return {name: base64.b64decode(value).decode() for name, value in (secret.get("data") or {}).items()}


def _get(place: tuple[str, str], call: Call) -> dict[str, Any] | None:
    status, answer = call("GET", f"/api/v1/namespaces/{place[0]}/secrets/{place[1]}", None)
    if status == 404:
        return None
    if status != 200:
        raise RefusedError(_refusal("reading", place, status, answer))
    labels = answer["metadata"].get("labels") or {}
    if not OWNER.items() <= labels.items():
        raise RefusedError(
            f"Secret {place[1]} in {place[0]} exists and was not made by this chart: delete or rename it, "
            "or name it as existingSecret"
        )
    found: dict[str, Any] = answer
    return found


def _write(
    place: tuple[str, str],
    found: Mapping[str, Any] | None,
    data: Mapping[str, str],
    labels: Mapping[str, str],
    call: Call,
) -> bool:
    """Whether it was written; False when another was quicker."""
    encoded = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
    path = f"/api/v1/namespaces/{place[0]}/secrets"
    if found is None:
        metadata = {"name": place[1], "labels": {**labels, **OWNER}}
        body = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": encoded}
        status, answer = call("POST", path, body)
    else:
        metadata = {"resourceVersion": found["metadata"]["resourceVersion"]}
        status, answer = call("PATCH", f"{path}/{place[1]}", {"metadata": metadata, "data": encoded})
    if status in (200, 201):
        return True
    if status == 409:
        return False
    raise RefusedError(_refusal("writing", place, status, answer))


def _refusal(verb: str, place: tuple[str, str], status: int, answer: Any) -> str:
    said = answer.get("message", "") if isinstance(answer, dict) else ""
    return f"{verb} Secret {place[1]} in {place[0]} failed: the API answered {status} {said}".rstrip()


def cluster() -> Call:
    """The API of the cluster that this pod runs in, as the pod's service account."""
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    # Python 3.13 and later ask of a CA what many clusters' own lack, such as the extension for key usage.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])

    def call(method: str, path: str, body: object) -> tuple[int, Any]:
        headers = {
            "Authorization": f"Bearer {(ACCOUNT / 'token').read_text().strip()}",
            "Accept": "application/json",
        }
        if body is not None:
            merge = "application/merge-patch+json"
            headers["Content-Type"] = merge if method == "PATCH" else "application/json"
        connection = http.client.HTTPSConnection(host, port, timeout=10, context=context)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, {}

    return call


def main(arguments: list[str]) -> int:
    """Run; the exit code."""
    plan = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    try:
        print("\n".join(ensure(plan, cluster())))
    except (RefusedError, OSError) as error:
        print(f"making secrets: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
