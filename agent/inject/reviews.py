"""Admission reviews: what is asked, what is answered. Pure.

Source: Kubernetes, "Dynamic Admission Control", and the API reference of admission.k8s.io/v1.
"""

import base64
from collections.abc import Sequence
from typing import Any

import msgspec

from agent.inject.injection import Outcome, Verdict

VERSION = "admission.k8s.io/v1"
LONGEST = 256
"""Characters of a warning: more than 4096 in all, or 120 each on old clients, are cut off by those who show them."""
MOST = 16
"""Warnings in one answer."""
TOLD = 4096
"""Characters of a refusal's message, and of a reason in the log."""
NESTED, VALUES = 20_000, 100_000
"""Mappings and lists, and commas, in a pod as JSON: 3 MiB of the smallest of them would take 100 MB as objects."""


class UnanswerableError(ValueError):
    """What came is no review that could be answered by its uid; the message is a sentence that quotes nothing."""


class _Kind(msgspec.Struct):
    group: str = ""
    version: str = ""
    kind: str = ""


class Request(msgspec.Struct):
    """The question: what is done to which object."""

    uid: str
    kind: _Kind
    operation: str = ""
    sub_resource: str = msgspec.field(name="subResource", default="")
    namespace: str = ""
    name: str = ""
    object: msgspec.Raw = msgspec.Raw(b"null")
    """What is created, as it came; see ``pod``."""
    dry_run: bool | None = msgspec.field(name="dryRun", default=None)

    @property
    def other(self) -> str:
        """Why this is nothing to inject, such as an update; empty for a pod that is created."""
        kind = self.kind.kind[:80] or "nameless kind"
        if (self.kind.group, self.kind.version, kind) != ("", "v1", "Pod"):
            return f"a {kind} is no Pod of the core API; take it out of the webhook's rules"
        if self.sub_resource:
            return "a pod's subresource is not injected; take it out of the webhook's rules"
        if self.operation != "CREATE":
            return (
                "a pod is injected only when it is created; take other operations out of the webhook's rules"
            )
        return ""


class _Review(msgspec.Struct):
    api_version: str = msgspec.field(name="apiVersion", default="")
    kind: str = ""
    request: Request | None = None


def read(body: bytes | bytearray) -> Request:
    """The request in a review; raises UnanswerableError."""
    try:
        review = msgspec.json.decode(body, type=_Review)
    except RecursionError:
        raise UnanswerableError("the body is nested too deeply") from None
    except UnicodeDecodeError:
        raise UnanswerableError("the body is not UTF-8") from None
    except msgspec.ValidationError as error:
        raise UnanswerableError(f"the body is no AdmissionReview: {error}") from None
    except msgspec.DecodeError:
        raise UnanswerableError("the body is not JSON") from None
    if review.kind != "AdmissionReview" or review.api_version != VERSION:
        raise UnanswerableError(
            f"the body is no AdmissionReview of {VERSION}; this webhook answers no other version"
        )
    if review.request is None:
        raise UnanswerableError("the AdmissionReview has no request")
    if not review.request.uid:
        raise UnanswerableError("the AdmissionReview's request has no uid, by which it could be answered")
    return review.request


class PodError(ValueError):
    """What a review holds can't be taken for a pod; the message is a sentence that quotes nothing."""

    def __init__(self, code: int, message: str) -> None:
        """``code`` as ``refused`` takes it."""
        super().__init__(message)
        self.code = code


def pod(request: Request) -> dict[str, Any]:
    """The pod in a review, made anew at each call: as objects it takes many times its size. Raises PodError."""
    raw = memoryview(request.object).tobytes()
    if raw.count(b"{") + raw.count(b"[") > NESTED or raw.count(b",") > VALUES:
        wanted = f"at most {NESTED} mappings and lists and {VALUES} values; put data into a ConfigMap"
        raise PodError(422, f"it holds more than any pod needs; allowed: {wanted}")
    try:
        found = msgspec.json.decode(raw)
    except RecursionError:
        raise PodError(400, "it is nested too deeply") from None
    except (UnicodeDecodeError, msgspec.DecodeError):
        raise PodError(400, "it is not JSON") from None
    if not isinstance(found, dict):
        raise PodError(400, "the review holds no object")
    return found


def unchanged(uid: str, warnings: Sequence[str] = ()) -> dict[str, Any]:
    """Allowed as it is."""
    return _review({"uid": uid, "allowed": True}, warnings)


def patched(uid: str, operations: Sequence[dict[str, Any]], warnings: Sequence[str]) -> dict[str, Any]:
    """Allowed with a change."""
    response: dict[str, Any] = {"uid": uid, "allowed": True}
    if operations:
        patch = base64.b64encode(msgspec.json.encode(operations)).decode()
        response |= {"patchType": "JSONPatch", "patch": patch}
    return _review(response, warnings)


def refused(uid: str, message: str, code: int, warnings: Sequence[str] = ()) -> dict[str, Any]:
    """Not allowed; ``message`` is what the person or the controller that made the pod reads."""
    reasons = {400: "BadRequest", 422: "Invalid", 500: "InternalError", 503: "ServiceUnavailable"}
    status = {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "message": message if len(message) <= TOLD else f"{message[:TOLD]}...",
        "reason": reasons[code],
        "code": code,
    }
    return _review({"uid": uid, "allowed": False, "status": status}, warnings)


def told(outcome: Outcome) -> str:
    """What a refusal says: each problem, or the reason where there are none."""
    problems = "; ".join(str(problem) for problem in outcome.problems)
    return f"Pillion can't inject this pod: {problems or outcome.reason or 'it is not allowed'}"


def counted(verdict: Verdict | None) -> str:
    """The word for the metric; None: there was no pod to judge."""
    return verdict.value if verdict else "malformed"


def _review(response: dict[str, Any], warnings: Sequence[str]) -> dict[str, Any]:
    if warnings:
        response["warnings"] = [warning[:LONGEST] for warning in warnings[:MOST]]
    return {"apiVersion": VERSION, "kind": "AdmissionReview", "response": response}
