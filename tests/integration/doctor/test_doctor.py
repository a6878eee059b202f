"""The command on this machine's real Consul and Envoy, and on a kubectl that a test wrote."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.demo import backing
from agent.doctor.kubectl import Kubectl
from agent.runtime.errors import Misconfigured, Permanent, Transient
from tests.acl import AclConsul

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


def doctor(*arguments: str, folder: Path, **variables: str) -> tuple[int, Any]:
    """Exit code and the findings by id."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "XDG_STATE_HOME": str(folder),
        **variables,
    }
    argv = [sys.executable, "-m", "agent", "doctor", "--json", *arguments]
    done = subprocess.run(
        argv, env=environ, capture_output=True, text=True, check=False, timeout=60, cwd=folder
    )
    assert done.stdout, done.stderr
    return done.returncode, {one["id"]: one for one in json.loads(done.stdout)["findings"]}


def local(consul: str) -> dict[str, str]:
    """Settings with free ports."""
    listen = {
        name: f"127.0.0.1:{backing.free_port()}"
        for name in ("PROXY_INBOUND", "PROXY_OUTBOUND", "ADMIN_LISTEN", "ADMIN_HEALTH")
    }
    return {"PILLION_REGISTRY_ADDRESS": consul, **{f"PILLION_{name}": text for name, text in listen.items()}}


def test_a_machine_in_order_is_well(shared_consul: backing.Consul, tmp_path: Path) -> None:
    code, found = doctor(folder=tmp_path, **local(shared_consul.url))
    assert (code, {one["level"] for one in found.values()}) == (0, {"ok"})
    assert found["consul.version"]["found"] == "1.20.0"
    assert found["envoy.version"]["found"] == "1.40.0"


def test_each_thing_that_is_wrong_is_a_problem(tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{backing.free_port()}"
    variables = local(nowhere) | {"PILLION_PROXY_ENVOY": "/bin/false"}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        variables["PILLION_PROXY_INBOUND"] = f"127.0.0.1:{taken.getsockname()[1]}"
        code, found = doctor(folder=tmp_path, **variables)
    assert code == 1
    wrong = {id_ for id_, one in found.items() if one["level"] == "problem"}
    assert wrong == {"consul.reachable", "envoy.version", "ports.free"}
    assert "proxy.inbound" in found["ports.free"]["found"]


def test_an_envoy_that_is_not_there_is_a_problem(shared_consul: backing.Consul, tmp_path: Path) -> None:
    variables = local(shared_consul.url) | {"PILLION_PROXY_ENVOY": "/no/envoy"}
    code, found = doctor(folder=tmp_path, **variables)
    assert (code, found["envoy.binary"]["level"]) == (1, "problem")


def test_a_jaeger_that_does_not_answer_is_a_warning(
    shared_consul: backing.Consul, shared_jaeger: backing.Jaeger, tmp_path: Path
) -> None:
    """It is looked at where spans are made; the commands on traces need it and nothing else does."""
    variables = local(shared_consul.url) | {"PILLION_TRACING_ENDPOINT": shared_jaeger.endpoint}
    code, found = doctor(folder=tmp_path, **variables, PILLION_TRACING_QUERY=shared_jaeger.url)
    assert (code, found["jaeger.reachable"]["level"]) == (0, "ok")
    code, found = doctor(
        folder=tmp_path, **variables, PILLION_TRACING_QUERY=f"http://127.0.0.1:{backing.free_port()}"
    )
    assert (code, found["jaeger.reachable"]["level"]) == (0, "warning")
    assert "tracing.query" in found["jaeger.reachable"]["todo"]


def test_settings_that_are_wrong_are_findings_and_no_bad_usage(tmp_path: Path) -> None:
    code, found = doctor(folder=tmp_path, PILLION_SERVICE_PORT="many")
    assert (code, found["settings.valid"]["level"]) == (1, "problem")
    assert "service.port" in found["settings.valid"]["found"]


def test_a_token_without_rights_is_a_warning_with_what_to_do(server_folder: Path, tmp_path: Path) -> None:
    server = AclConsul(server_folder / "doctor-consul")
    server.start()
    try:
        code, found = doctor(folder=tmp_path, **local(server.url))
    finally:
        server.stop()
    assert (code, found["consul.version"]["level"]) == (0, "warning")
    assert "agent:read" in found["consul.version"]["todo"]


def test_a_cluster_is_looked_at_by_kubectl(program: Program, tmp_path: Path) -> None:
    program.answer(**{"/version": (0, '{"gitVersion": "v1.28.0"}', "")})
    code, found = doctor(
        "--kubernetes", "--context", "old", folder=tmp_path, PATH=f"{tmp_path}:{os.environ['PATH']}"
    )
    assert (code, found["kubernetes.version"]["level"]) == (1, "problem")
    assert found["webhook.present"]["level"] == "problem"
    assert all(asked[:2] == ["--context", "old"] for asked in program.asked)
