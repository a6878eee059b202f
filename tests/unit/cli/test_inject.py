"""pillion inject and pillion uninject."""

import pytest
from click.testing import CliRunner

from agent.cli import inject, uninject
from agent.runtime.errors import Misconfigured

POD = """\
# a pod
apiVersion: v1
kind: Pod
metadata: {name: a, labels: {app: a, pillion.dev/inject: "true"}%s}
spec: {containers: [{name: app, image: a, ports: [{containerPort: 80}]}]}
"""
FOREIGN = "apiVersion: v1\nkind: ConfigMap   # foreign\nmetadata: {name:   c}\r\ndata: {a: !x b}\n"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = CliRunner(env={"PILLION_CONFIG": None})

    def run(command, *arguments, **more):
        return runner.invoke(command, list(arguments), standalone_mode=False, **more)

    return run


def test_a_file_is_printed_and_what_became_of_it_is_told_apart(run, tmp_path):
    (tmp_path / "a.yaml").write_bytes((POD % "" + "---\n" + FOREIGN).encode())
    result = run(inject.command, "a.yaml")
    assert result.return_value == 0
    assert result.stdout_bytes.endswith(f"---\n{FOREIGN}".encode())
    assert "restartPolicy: Always" in result.stdout
    assert "pod/a injected" in result.stderr
    assert "configmap/c skipped: its kind" in result.stderr
    assert "  warning: container app is given PYTHONPATH" in result.stderr


def test_standard_input_goes_in_and_comes_back(run):
    once = run(inject.command, "-", input=POD % "")
    back = run(uninject.command, "-", input=once.stdout)
    assert back.return_value == 0
    assert "pod/a uninjected" in back.stderr
    assert "pillion.dev/injected" not in back.stdout
    assert back.stdout.startswith("# a pod\n")


def test_a_wrong_annotation_ends_with_2_and_prints_nothing(run):
    result = run(inject.command, "-", input=POD % ', annotations: {pillion.dev/port: "x"}')
    assert (result.return_value, result.stdout) == (2, "")
    assert "  error: pillion.dev/port is 'x'; allowed: a whole number from 0 to 65535" in result.stderr
    assert "nothing is printed" in result.stderr


def test_an_invalid_document_ends_with_2_and_names_its_place(run):
    result = run(inject.command, "-", input="a: 1\n---\n{: x: [\n")
    assert (result.return_value, result.stdout) == (2, "")
    assert "standard input: document 2" in result.stderr


def test_a_folder_is_one_stream_in_the_order_of_its_names(run, tmp_path):
    (tmp_path / "m" / "sub").mkdir(parents=True)
    (tmp_path / "m" / "b.yml").write_text("b: 1")
    (tmp_path / "m" / "a.json").write_text('{"a": 1}')
    (tmp_path / "m" / "sub" / "c.yaml").write_text("c: 1\n")
    (tmp_path / "m" / "notes.txt").write_text("no manifest")
    result = run(inject.command, "m")
    assert result.stdout == '{"a": 1}\n---\nb: 1\n---\nc: 1\n'


def test_a_namespace_opts_in_and_a_setting_has_a_flag(run, tmp_path):
    (tmp_path / "n.yaml").write_text(
        "kind: Namespace\nmetadata: {name: default, labels: {pillion.dev/inject: enabled}}\n"
    )
    plain = POD.replace(', pillion.dev/inject: "true"', "") % ""
    assert (
        "image: mine:2"
        in run(
            inject.command, "-", "--namespace-manifest", "n.yaml", "--injector-image", "mine:2", input=plain
        ).stdout
    )
    assert run(inject.command, "-", input=plain).stdout == plain


def test_manifests_of_namespaces_without_any_are_refused(run, tmp_path):
    (tmp_path / "n.yaml").write_text(FOREIGN)
    result = run(inject.command, "-", "--namespace-manifest", "n.yaml", input=POD % "")
    assert isinstance(result.exception, Misconfigured)
    assert "n.yaml holds no Namespace" in str(result.exception)


def test_a_folder_of_which_one_file_describes_a_namespace_will_do(run, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a.yaml").write_text(FOREIGN)
    (tmp_path / "m" / "b.yaml").write_text("kind: Namespace\nmetadata: {name: shop}\n")
    assert run(inject.command, "-", "--namespace-manifest", "m", input=POD % "").return_value == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [("missing.yaml", "can't be read"), ("latin.yaml", "is not UTF-8"), ("empty", "holds no manifest")],
)
def test_what_can_not_be_read_is_named(run, tmp_path, name, said):
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    (tmp_path / "empty").mkdir()
    result = run(inject.command, name)
    assert isinstance(result.exception, Misconfigured)
    assert said in str(result.exception)


def test_what_a_manifest_says_does_not_rule_a_terminal(run):
    result = run(inject.command, "-", input='kind: "\\e[2J"\nmetadata: {name: "a\\nb"}\n')
    assert "\x1b" not in result.stderr
    assert "?[2j/a?b skipped" in result.stderr
