"""Files of manifests as one stream."""

import yaml

from agent.config.settings import Settings
from agent.inject.injection import Verdict
from agent.inject.manifests.offline import File, injected, uninjected

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: %s, %slabels: {app: a}}
spec: {containers: [{name: app, image: a, ports: [{containerPort: 80}]}]}
"""
SPACE = """\
apiVersion: v1
kind: Namespace
metadata: {name: %s, labels: {pillion.dev/inject: enabled}, annotations: {pillion.dev/log-level: %s}}
"""


def verdicts(done):
    return [(one.title, one.verdict) for one in done.entries]


def test_a_pod_is_judged_by_the_namespace_that_it_names():
    files = [File("a", POD % ("in", "namespace: shop, ")), File("b", POD % ("out", "namespace: other, "))]
    done = injected(files, [File("n", SPACE % ("shop", "debug"))], Settings())
    assert verdicts(done) == [("pod/in", Verdict.INJECTED), ("pod/out", Verdict.SKIPPED)]
    assert "PILLION_LOG_LEVEL" in done.text


def test_what_names_no_namespace_goes_to_the_only_one_that_is_described():
    done = injected([File("a", POD % ("a", ""))], [File("n", SPACE % ("shop", "debug"))], Settings())
    assert done.entries[0].verdict is Verdict.INJECTED


def test_of_several_namespaces_default_is_meant_by_none():
    described = [File("n", SPACE % ("shop", "debug")), File("m", SPACE % ("other", "debug"))]
    assert injected([File("a", POD % ("a", ""))], described, Settings()).entries[0].verdict is Verdict.SKIPPED
    described = [*described, File("d", SPACE % ("default", "debug"))]
    assert (
        injected([File("a", POD % ("a", ""))], described, Settings()).entries[0].verdict is Verdict.INJECTED
    )


def test_a_namespace_among_the_manifests_counts():
    files = [File("a", SPACE % ("shop", "debug") + "---\n" + POD % ("a", "namespace: shop, "))]
    assert injected(files, [], Settings()).entries[1].verdict is Verdict.INJECTED


def test_a_wrong_default_is_refused_and_names_the_namespace():
    done = injected([File("a", POD % ("a", ""))], [File("n", SPACE % ("shop", "loud"))], Settings())
    assert done.wrong
    said = str(done.entries[0].problems[0])
    assert "pillion.dev/log-level" in said
    assert "(from namespace shop)" in said
    assert "debug, info, warning, error" in said


def test_manifests_of_namespaces_that_are_invalid_are_refused():
    done = injected([File("a", POD % ("a", ""))], [File("n", "kind: Namespace\nmetadata: [")], Settings())
    assert done.wrong
    assert "n " in str(done.entries[0].problems[0])


SPACES = """\
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}
- apiVersion: v1
  kind: Namespace
  metadata: {name: shop, labels: {pillion.dev/inject: enabled}}
"""


def test_a_namespace_in_a_list_counts_wherever_the_list_is():
    one = File("a", POD % ("a", "namespace: shop, "))
    assert injected([one], [File("n", SPACES)], Settings()).entries[0].verdict is Verdict.INJECTED
    among = injected([File("b", SPACES), one], [], Settings())
    assert among.entries[-1].verdict is Verdict.INJECTED
    in_json = '{"kind": "List",\n\t"items": [{"kind": "Namespace", "metadata": {"name": "shop", "labels":\n\t{%s}}}]}'
    found = File("n", in_json % '"pillion.dev/inject": "enabled"')
    assert injected([one], [found], Settings()).entries[0].verdict is Verdict.INJECTED


def test_a_namespace_among_the_manifests_that_is_wrong_is_refused_and_named():
    wrong = (
        "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {pillion.dev/inject: true}}\n"
    )
    done = injected([File("a", POD % ("a", "") + wrong)], [], Settings())
    (entry,) = done.entries
    assert entry.verdict is Verdict.REFUSED
    assert str(entry.problems[0]).startswith(
        "a: document 2 has a Namespace whose metadata.labels is no mapping"
    )


def test_another_groups_namespace_is_none():
    other = SPACE.replace("v1", "cloud.example/v1", 1) % ("default", "debug")
    done = injected([File("a", other + "---\n" + POD % ("a", ""))], [], Settings())
    assert [entry.verdict for entry in done.entries] == [Verdict.SKIPPED] * 2


def test_what_can_not_be_read_among_the_manifests_is_told_once():
    done = injected([File("a", "kind: Namespace\nmetadata: [")], [], Settings())
    assert [entry.verdict for entry in done.entries] == [Verdict.REFUSED]


def test_files_become_one_stream_whatever_their_ends():
    files = [
        File("a", "a: 1"),
        File("b", "---\nb: 2\n"),
        File("c", "c: 3\n"),
        File("d", ""),
        File("e", "# e"),
    ]
    assert injected(files, [], Settings()).text == "a: 1\n---\nb: 2\n---\nc: 3\n---\n# e"


def test_a_file_that_begins_with_a_directive_stays_readable():
    text = injected([File("a", "a: 1\n"), File("b", "%YAML 1.1\n---\nb: 2\n")], [], Settings()).text
    assert list(yaml.safe_load_all(text)) == [{"a": 1}, {"b": 2}]
    assert [entry.verdict for entry in injected([File("c", text)], [], Settings()).entries] == [
        Verdict.SKIPPED
    ] * 2


def test_a_stream_that_is_too_long_is_refused():
    done = injected([File("a", "#" * (64 * 2**20 + 1))], [], Settings())
    assert "longer than 64 MiB" in done.entries[0].reason


def test_taken_out_again_by_files():
    files = [File("a", POD % ("a", ""))]
    once = injected(files, [File("n", SPACE % ("shop", "debug"))], Settings())
    back = uninjected([File("a", once.text)])
    assert verdicts(back) == [("pod/a", Verdict.INJECTED)]
    assert "pillion.dev/injected" not in back.text
