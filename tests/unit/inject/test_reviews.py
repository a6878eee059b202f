"""What is no review of a pod gets a clear answer, and never an exception."""

import base64
import contextlib
import gc
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from agent.inject import reviews
from agent.inject.injection import Namespace, Outcome, Verdict
from agent.inject.metrics import Metrics
from agent.inject.reviews import UnanswerableError
from agent.inject.webhook import Webhook
from agent.runtime.errors import Problem, Transient

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "shop-"}, "spec": {"containers": []}}
ON = Namespace("shop", {"pillion.dev/inject": "enabled"}, {})


def review(**changes: Any) -> dict[str, Any]:
    """A review as an API server sends it; a change to None takes a field out."""
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "operation": "CREATE",
        "namespace": "shop",
        "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
        "object": POD,
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    }
    request |= changes
    request = {key: value for key, value in request.items() if value is not None or key == "object"}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


class Known:
    """Namespaces: what is known, what the API server says when asked, or its failure."""

    def __init__(
        self, known: Namespace | None, fresh: Namespace | None = None, error: Exception | None = None
    ) -> None:
        self.seen, self.fresh, self.error = known, fresh or known, error
        self.asked = 0

    def known(self, _name: str) -> Namespace | None:
        return self.seen

    async def now(self, _name: str) -> Namespace:
        self.asked += 1
        if self.error:
            raise self.error
        assert self.fresh is not None
        return self.fresh


def injected(pod: Any, namespace: Namespace) -> Outcome:
    """A stand-in of the injection: adds a label where the namespace asks for it."""
    if not namespace.labels:
        return Outcome(Verdict.SKIPPED, "the namespace did not ask for it", pod)
    made = {**pod, "metadata": {**pod["metadata"], "labels": {"seen": "yes"}}}
    return Outcome(Verdict.INJECTED, "", made, warnings=("the image's PYTHONPATH is replaced",))


async def answered(
    body: Any, inject: Any = injected, namespaces: Any = None, registry: CollectorRegistry | None = None
) -> dict[str, Any]:
    webhook = Webhook(inject, namespaces or Known(ON), Metrics(registry or CollectorRegistry()))
    found = await webhook.answer(reviews.read(json.dumps(body).encode()))
    assert (found["apiVersion"], found["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    response: dict[str, Any] = found["response"]
    assert response["uid"] == body["request"]["uid"]
    return response


async def test_a_pod_gets_a_patch_and_its_warnings() -> None:
    response = await answered(review())
    assert response["allowed"] is True
    assert response["patchType"] == "JSONPatch"
    operations = json.loads(base64.b64decode(response["patch"]))
    assert operations == [{"op": "add", "path": "/metadata/labels", "value": {"seen": "yes"}}]
    assert response["warnings"] == ["the image's PYTHONPATH is replaced"]


async def test_a_dry_run_is_answered_the_same() -> None:
    assert await answered(review(dryRun=True)) == await answered(review(dryRun=False))


async def test_a_skipped_pod_is_allowed_without_a_patch() -> None:
    response = await answered(review(), namespaces=Known(Namespace("shop", {}, {})))
    assert response == {"uid": response["uid"], "allowed": True}


async def test_a_skipped_pod_that_asked_gets_the_reason_as_a_warning() -> None:
    def skip(pod: Any, _: Namespace) -> Outcome:
        return Outcome(Verdict.SKIPPED, "it is a Windows pod", pod, ("a warning",), unmet=("a reason",))

    response = await answered(review(), skip)
    assert response == {"uid": response["uid"], "allowed": True, "warnings": ["a reason", "a warning"]}


async def test_a_refusal_names_each_annotation_and_what_is_allowed() -> None:
    problems = (
        Problem("pillion.dev/port", "is 'http'", "a number from 1 to 65535"),
        Problem("pillion.dev/carry", "is 'maybe'", "true or false"),
    )

    def refuse(pod: Any, _: Namespace) -> Outcome:
        return Outcome(Verdict.REFUSED, "its annotations are wrong", pod, problems=problems)

    response = await answered(review(), refuse)
    assert response["allowed"] is False
    assert response["status"]["code"] == 422
    message = response["status"]["message"]
    assert "pillion.dev/port is 'http'; allowed: a number from 1 to 65535" in message
    assert "pillion.dev/carry is 'maybe'; allowed: true or false" in message
    assert "patch" not in response


async def test_a_refusal_without_problems_gives_its_reason() -> None:
    response = await answered(
        review(), lambda pod, _: Outcome(Verdict.REFUSED, "it has no service name", pod)
    )
    assert response["status"]["message"] == "Pillion can't inject this pod: it has no service name"


async def test_a_namespace_that_was_changed_just_now_is_asked_for_again() -> None:
    """The API server knew its label before our watch did."""
    namespaces = Known(Namespace("shop", {}, {}), fresh=ON)
    response = await answered(review(), namespaces=namespaces)
    assert "patch" in response
    assert namespaces.asked == 1


async def test_an_injected_pod_costs_no_question() -> None:
    namespaces = Known(ON)
    await answered(review(), namespaces=namespaces)
    assert namespaces.asked == 0


@pytest.mark.parametrize("known", [None, Namespace("shop", {}, {})])
async def test_a_namespace_that_can_not_be_read_holds_the_pod_back(known: Namespace | None) -> None:
    """It may ask for the sidecar since a moment, so that a pod without one would be outside the mesh unseen."""
    registry = CollectorRegistry()
    namespaces = Known(known, error=Transient("GET /api/v1/namespaces/shop failed with 500"))
    response = await answered(review(), namespaces=namespaces, registry=registry)
    assert response["allowed"] is False
    assert response["status"]["code"] == 503
    assert "failed with 500" in response["status"]["message"]
    assert registry.get_sample_value("pillion_injector_reviews_total", {"result": "failed"}) == 1


@pytest.mark.parametrize("labels", [{}, {"pillion.dev/inject": "enabled"}, {"pillion.dev/revision": "other"}])
async def test_what_no_namespace_could_change_is_answered_while_the_api_server_is_away(
    labels: dict[str, str],
) -> None:
    def never(pod: Any, _namespace: Namespace) -> Outcome:
        return Outcome(Verdict.SKIPPED, "it uses the network of its node (hostNetwork)", pod)

    namespaces = Known(Namespace("shop", labels, {}), error=Transient("the API server is away"))
    response = await answered(review(), never, namespaces)
    assert response == {"uid": response["uid"], "allowed": True}


async def test_a_namespace_that_asked_for_another_injector_may_ask_for_this_one_since_a_moment() -> None:
    def mine(pod: Any, namespace: Namespace) -> Outcome:
        wanted = namespace.labels.get("pillion.dev/revision", "")
        return Outcome(Verdict.INJECTED if wanted == "canary" else Verdict.SKIPPED, wanted, pod)

    other = Namespace("shop", {"pillion.dev/inject": "enabled", "pillion.dev/revision": "old"})
    namespaces = Known(other, error=Transient("the API server is away"))
    webhook = Webhook(mine, namespaces, Metrics(CollectorRegistry()), revision="canary")  # type: ignore[arg-type]
    response = (await webhook.answer(reviews.read(json.dumps(review()).encode())))["response"]
    assert response["status"]["code"] == 503


async def test_a_namespace_that_was_asked_for_is_not_asked_for_again() -> None:
    namespaces = Known(None, fresh=Namespace("shop", {}, {}))
    await answered(review(), namespaces=namespaces)
    assert namespaces.asked == 1


async def test_a_defect_of_the_injection_refuses_and_is_said_to_be_one() -> None:
    def broken(_pod: Any, _namespace: Namespace) -> Outcome:
        raise KeyError("spec")

    response = await answered(review(), broken)
    assert (response["allowed"], response["status"]["code"]) == (False, 500)
    assert "defect" in response["status"]["message"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": {"group": "apps", "version": "v1", "kind": "Deployment"}}, "a Deployment is no Pod"),
        ({"kind": {"group": "example.com", "version": "v1", "kind": "Pod"}}, "no Pod of the core API"),
        ({"kind": {"group": "", "version": "v2", "kind": "Pod"}}, "no Pod of the core API"),
        ({"operation": "UPDATE"}, "only when it is created"),
        ({"operation": "DELETE", "object": None}, "only when it is created"),
        ({"operation": None}, "only when it is created"),
        ({"subResource": "ephemeralcontainers"}, "subresource"),
    ],
)
async def test_whatever_is_no_new_pod_is_allowed_with_a_warning(changes: dict[str, Any], said: str) -> None:
    response = await answered(review(**changes))
    assert response["allowed"] is True
    assert "patch" not in response
    assert said in response["warnings"][0]


@pytest.mark.parametrize("thing", [None, [], "pod", 7])
async def test_a_pod_that_is_none_is_refused(thing: object) -> None:
    response = await answered(review(object=thing))
    assert (response["allowed"], response["status"]["code"]) == (False, 400)
    assert "no object" in response["status"]["message"]


@pytest.mark.parametrize(
    "spec", [{"x": [{}] * 20_001}, {"x": [1] * 100_002}, {"x": "," * 100_002}, {"x": [[]] * 20_001}]
)
async def test_a_body_that_would_be_many_times_its_size_as_objects_is_refused_unread(spec: Any) -> None:
    def never(_pod: Any, _namespace: Namespace) -> Outcome:
        raise AssertionError("it was made into objects")

    response = await answered(review(object={**POD, "spec": spec}), never)
    assert (response["allowed"], response["status"]["code"]) == (False, 422)
    assert "allowed: at most 20000 mappings and lists and 100000 values" in response["status"]["message"]


@pytest.mark.parametrize("known", [None, Namespace("shop", {}, {})])
async def test_while_a_namespace_is_asked_for_the_pod_is_held_only_as_it_came(
    known: Namespace | None,
) -> None:
    class Watching(Known):
        held: bool | None = None

        async def now(self, name: str) -> Namespace:
            found = [one for one in gc.get_objects() if type(one) is dict and "held-as-an-object" in one]
            self.held = any(isinstance(one["held-as-an-object"], list) for one in found)
            return await super().now(name)

    namespaces = Watching(known, fresh=Namespace("shop", {}, {}))
    body = json.dumps(review(object={**POD, "held-as-an-object": [[]]})).encode()
    webhook = Webhook(injected, namespaces, Metrics(CollectorRegistry()))  # type: ignore[arg-type]
    assert (await webhook.answer(reviews.read(body)))["response"]["allowed"] is True
    assert namespaces.held is False


@pytest.mark.parametrize("text", [b'{"x": 1e999}', b'{"x": "\xff"}'])
async def test_a_pod_that_can_not_be_read_is_refused_by_its_uid(text: bytes) -> None:
    body = json.dumps(review(object="HERE")).encode().replace(b'"HERE"', text)
    webhook = Webhook(injected, Known(ON), Metrics(CollectorRegistry()))  # type: ignore[arg-type]
    assert (await webhook.answer(reviews.read(body)))["response"]["status"]["code"] == 400


WRONG = [
    (b"", "not JSON"),
    (b"{", "not JSON"),
    (b"\xff\xfe", "not JSON"),
    (b'{"kind": "\xff"}', "not UTF-8"),
    (b'{"request": {"uid": "a", "kind": {}, "object": ' + b"[" * 100_000, "nested too deeply"),
    (b"[]", "no AdmissionReview"),
    (b"{}", "no AdmissionReview of admission.k8s.io/v1"),
    (json.dumps({**review(), "apiVersion": "admission.k8s.io/v1beta1"}).encode(), "no other version"),
    (json.dumps({**review(), "kind": "Pod"}).encode(), "no AdmissionReview"),
    (json.dumps({**review(), "request": None}).encode(), "no request"),
    (json.dumps(review(uid="")).encode(), "no uid"),
    (json.dumps(review(uid=None)).encode(), "uid"),
    (json.dumps(review(uid=7)).encode(), "uid"),
    (json.dumps(review(kind="Pod")).encode(), "kind"),
    (json.dumps(review(dryRun="no")).encode(), "dryRun"),
    (json.dumps(review(namespace=["a"])).encode(), "namespace"),
]


@pytest.mark.parametrize(("body", "said"), WRONG)
def test_what_can_not_be_answered_by_its_uid_is_told_as_a_sentence(body: bytes, said: str) -> None:
    with pytest.raises(UnanswerableError, match=said):
        reviews.read(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, st.sampled_from(["uid", "kind", "operation", "subResource", "namespace", "object", "dryRun"]))
def test_any_value_in_any_field_is_read_or_refused(value: Any, field: str) -> None:
    body = review()
    body["request"][field] = value
    with contextlib.suppress(UnanswerableError):
        assert reviews.read(json.dumps(body).encode()).uid


def test_warnings_are_cut_to_what_clients_show() -> None:
    found = reviews.unchanged("a", ["x" * 1000] * 100)["response"]["warnings"]
    assert (len(found), len(found[0])) == (reviews.MOST, reviews.LONGEST)


def test_a_refusal_is_no_longer_than_somebody_would_read() -> None:
    found = reviews.refused("a", "x" * 1_000_000, 422)["response"]["status"]["message"]
    assert len(found) == reviews.TOLD + 3
    assert found.endswith("x...")


def test_no_error_of_a_body_quotes_it() -> None:
    with pytest.raises(UnanswerableError) as caught:
        reviews.read(json.dumps(review(uid={"password": "hunter2"})).encode())
    assert "hunter2" not in str(caught.value)
