"""The command on this machine's real Consul and Envoy, and on a kubectl that a test wrote."""

import json
import os
import socket
import sys
from pathlib import Path

import pytest

from agent.demo import backing
from agent.doctor.kubectl import Kubectl
from agent.runtime.errors import Misconfigured, Permanent, Transient
from tests.integration.doctor.conftest import Doctor

KUBECTL = """#!{python}
import json, pathlib, sys
folder = pathlib.Path(__file__).parent
with (folder / "asked").open("a") as asked:
    asked.write(json.dumps(sys.argv[1:]) + "\\n")
answers = json.loads((folder / "answers").read_text())
path = sys.argv[sys.argv.index("--raw") + 1].partition("?")[0]
absent = "Error from server (NotFound): the server could not find the requested resource"
status, out, said = answers.get(path, [1, "", absent])
sys.stdout.write(out); sys.stderr.write(said); sys.exit(status)
"""


class Program:
    """A kubectl that answers what the test says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "kubectl"
        self.path.write_text(KUBECTL.format(python=sys.executable))
        self.path.chmod(0o755)
        self.answer()

    def answer(self, **answers: tuple[int, str, str]) -> None:
        (self.folder / "answers").write_text(json.dumps({path: list(one) for path, one in answers.items()}))

    @property
    def asked(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.folder / "asked").read_text().splitlines()]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


async def test_kubectl_is_asked_in_the_context_that_was_given(program: Program) -> None:
    program.answer(**{"/version": (0, '{"gitVersion": "v1.37.2"}', "")})
    found = await Kubectl("staging", str(program.path)).get("/version")
    assert found == {"gitVersion": "v1.37.2"}
    assert program.asked == [["--context", "staging", "get", "--raw", "/version", "--request-timeout=10s"]]


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ('Error from server (NotFound): secrets "x" not found', None),
        ("Error from server (Forbidden): secrets is forbidden", Permanent),
        ("error: You must be logged in to the server (Unauthorized)", Permanent),
        ("The connection to the server 10.0.0.1:6443 was refused", Transient),
        ("", Transient),
    ],
)
async def test_what_kubectl_says_is_told_apart(
    program: Program, said: str, error: type[Exception] | None
) -> None:
    program.answer(**{"/x": (1, "", said)})
    kubectl = Kubectl(program=str(program.path))
    if error is None:
        assert await kubectl.get("/x") is None
    else:
        with pytest.raises(error, match="kubectl get --raw /x"):
            await kubectl.get("/x")


async def test_an_answer_that_is_no_json_is_said_and_not_shown(program: Program) -> None:
    program.answer(**{"/x": (0, "secret-text", "")})
    with pytest.raises(Transient, match="not JSON") as raised:
        await Kubectl(program=str(program.path)).get("/x")
    assert "secret-text" not in str(raised.value)


def test_without_kubectl_it_says_what_is_needed() -> None:
    with pytest.raises(Misconfigured, match="kubectl"):
        Kubectl(program="no-such-kubectl")


def test_a_machine_in_order_is_well(doctor: Doctor, shared_consul: backing.Consul) -> None:
    doctor(REGISTRY_ADDRESS=shared_consul.url)
    assert (doctor.code, doctor.wrong()) == (0, set())
    assert doctor.one("consul.version")["found"] == "1.20.0"
    assert doctor.one("envoy.version")["found"] == "1.40.0"


def test_what_is_wrong_makes_it_end_with_1_and_is_told_at_once(doctor: Doctor) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        doctor(PROXY_INBOUND=f"127.0.0.1:{taken.getsockname()[1]}", PROXY_ENVOY="/bin/false")
    assert doctor.code == 1
    assert {id_ for id_, level in doctor.wrong() if level == "problem"} == {
        "consul.reachable",
        "envoy.version",
        "ports.free",
    }


def test_a_cluster_is_looked_at_by_kubectl(
    doctor: Doctor, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.answer(**{"/version": (0, '{"gitVersion": "v1.28.0"}', "")})
    monkeypatch.setenv("PATH", f"{program.folder}:{os.environ['PATH']}")
    doctor("--kubernetes", "--context", "old")
    assert (doctor.code, doctor.one("kubernetes.version")["level"]) == (1, "problem")
    assert doctor.one("webhook.present")["level"] == "problem"
    assert all(asked[:2] == ["--context", "old"] for asked in program.asked)
