"""The parts of the official images' interfaces that the Compose system relies on, whoever made the images."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import CommandError, run
from tests.compose.standins import engine
from tests.compose.standins.table import IMAGES, Image
from tests.record import Record
from tests.waiting import until

TAGS = {image.folder: image.tag for image in IMAGES}
HEALTH = {
    "prometheus": (9090, "/-/ready"),
    "alertmanager": (9093, "/-/ready"),
    "grafana": (3000, "/api/health"),
}
CONFINED = ("--cap-drop", "ALL", "--security-opt", "no-new-privileges")

Starter = Callable[..., str]


@pytest.fixture
def start() -> Iterator[Starter]:
    """Starts a container of an image, confined, and returns its id; it is gone afterwards."""
    started: list[str] = []

    def start(name: str, *command: str, options: tuple[str, ...] = ()) -> str:
        argv = ("docker", "create", *CONFINED, *options, TAGS[name], *command)
        started.append(run(*argv).strip())
        run("docker", "start", started[-1])
        return started[-1]

    yield start
    for container in started:
        run("docker", "rm", "--force", "--volumes", container)


def said(name: str, *argv: str, options: tuple[str, ...] = ()) -> str:
    """The output of one command in an image, in place of its entrypoint."""
    chosen = ("--rm", "--network", "none", *options, "--entrypoint", argv[0])
    return run("docker", "run", *chosen, TAGS[name], *argv[1:], both=True).strip()


def configured(name: str) -> dict[str, Any]:
    """What an image's configuration says."""
    (found,) = json.loads(run("docker", "image", "inspect", TAGS[name]))
    config: dict[str, Any] = found["Config"]
    return config


def address(container: str) -> str:
    """Where this machine reaches a container."""
    return run("docker", "inspect", "-f", "{{.NetworkSettings.IPAddress}}", container).strip()


async def answers(container: str, port: int, path: str) -> str:
    """What a container's HTTP server says once it answers with success."""
    body: list[str] = []

    def asked() -> bool:
        try:
            with urllib.request.urlopen(f"http://{address(container)}:{port}{path}", timeout=3) as answer:
                body.append(answer.read().decode())
        except OSError:
            return False
        return True

    try:
        await until(asked, 60, every=0.2)
    except AssertionError as error:
        logs = run("docker", "logs", container, both=True)
        raise AssertionError(f"{error}; it said:\n{logs[-2000:]}") from None
    return body[0]


def test_every_image_is_there_and_the_report_says_which_are_stand_ins(record: Record) -> None:
    kinds = {image.tag: engine.kind(image.tag) for image in IMAGES}
    assert [tag for tag, kind in kinds.items() if kind is None] == []
    words = {"": "as pulled", "true": "a stand-in", "placeholder": "a placeholder for the program"}
    record.section("Images", [f"{tag}: {words[kind or '']}" for tag, kind in kinds.items()])


@pytest.mark.parametrize(
    ("name", "user", "entrypoint"),
    [
        ("postgres", "", ["docker-entrypoint.sh"]),
        ("consul", "", ["docker-entrypoint.sh"]),
        ("nats", "", ["docker-entrypoint.sh"]),
        ("jaeger", "10001", ["/cmd/jaeger/jaeger-linux"]),
        ("prometheus", "nobody", ["/bin/prometheus"]),
        ("alertmanager", "nobody", ["/bin/alertmanager"]),
    ],
)
def test_an_image_starts_as_the_user_and_by_the_entrypoint_of_the_official_one(
    name: str, user: str, entrypoint: list[str]
) -> None:
    config = configured(name)
    assert (config["User"], config["Entrypoint"]) == (user, entrypoint)


@pytest.mark.parametrize(
    ("name", "command", "version"),
    [
        ("python", "python --version", r"Python 3.13."),
        ("postgres", "postgres --version", "(PostgreSQL) 17."),
        ("postgres", "pg_dump --version", "(PostgreSQL) 17."),
        ("postgres", "pg_restore --version", "(PostgreSQL) 17."),
        ("postgres", "psql --version", "(PostgreSQL) 17."),
        ("postgres", "pg_isready --version", "(PostgreSQL) 17."),
        ("consul", "consul version", "Consul v1.20."),
        ("nats", "nats-server --version", "nats-server: v2."),
        ("jaeger", "/cmd/jaeger/jaeger-linux version", '"gitVersion"'),
        ("prometheus", "promtool --version", "promtool, version"),
    ],
)
def test_a_program_is_on_the_path_and_says_its_version(name: str, command: str, version: str) -> None:
    assert version in said(name, *command.split())


@pytest.mark.parametrize(
    "name", ["python", "postgres", "consul", "nats", "prometheus", "alertmanager", "grafana"]
)
def test_a_shell_is_there(name: str) -> None:
    assert said(name, "sh", "-c", "echo $((40 + 2))") == "42"


@pytest.mark.parametrize("name", ["nats", "prometheus", "alertmanager", "grafana"])
def test_wget_is_there_for_the_health_check(name: str) -> None:
    assert said(name, "sh", "-c", "command -v wget").endswith("wget")


@pytest.mark.parametrize(
    ("name", "user", "number"), [("postgres", "postgres", "999"), ("consul", "consul", "100")]
)
def test_a_server_has_the_user_number_that_the_compose_file_names(name: str, user: str, number: str) -> None:
    assert said(name, "id", "-u", user) == number


def test_an_environment_of_python_keeps_its_interpreter_in_another_stage() -> None:
    made = "python -m venv /tmp/e && readlink /tmp/e/bin/python && /tmp/e/bin/python -c 'import sys; print(sys.prefix)'"
    assert said("python", "sh", "-c", made).splitlines() == ["/usr/local/bin/python", "/tmp/e"]


@pytest.fixture(params=["0:0", "999:999"], ids=["as root", "as its own user"])
def postgres(request: pytest.FixtureRequest, start: Starter, tmp_path: Path) -> str:
    """A first start of PostgreSQL with a password in a file and two scripts; the container's id."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (tmp_path / "password").write_text("a'b c\n")
    (scripts / "1.sh").write_text(
        "psql -U shop -d goods -c 'CREATE TABLE t (n int)' && echo told:$POSTGRES_USER\n"
    )
    (scripts / "2.sql").write_text("INSERT INTO t VALUES (7);\n")
    for path in (tmp_path, scripts, *tmp_path.glob("*/*"), tmp_path / "password"):
        path.chmod(0o755)
    root = ("--cap-add", "CHOWN", "--cap-add", "DAC_OVERRIDE", "--cap-add", "FOWNER", "--cap-add", "SETUID")
    options = (
        "--user", request.param, *(root if request.param == "0:0" else ()), "--cap-add", "SETGID",
        "-v", f"{tmp_path / 'password'}:/password:ro", "-v", f"{scripts}:/docker-entrypoint-initdb.d:ro",
        "-e", "POSTGRES_PASSWORD_FILE=/password", "-e", "POSTGRES_USER=shop", "-e", "POSTGRES_DB=goods",
        "-e", "POSTGRES_INITDB_ARGS=--data-checksums --encoding=UTF8",
    )  # fmt: skip
    return start("postgres", "postgres", "-c", "max_connections=23", options=options)


def asked(container: str, question: str, password: str = "a'b c") -> str:
    """What PostgreSQL answers somebody who comes over the network."""
    argv = ("psql", "-h", address(container), "-U", "shop", "-d", "goods", "-Atc", question)
    return run("docker", "exec", "-e", f"PGPASSWORD={password}", container, *argv).strip()


async def test_postgres_is_prepared_once_and_serves_as_its_own_user(postgres: str) -> None:
    await until(lambda: _ready(postgres), 90, every=0.3)
    assert asked(postgres, "SELECT n FROM t") == "7"
    assert asked(postgres, "SHOW max_connections") == "23"
    assert asked(postgres, "SHOW data_checksums") == "on"
    with pytest.raises(CommandError, match="password authentication failed"):
        asked(postgres, "SELECT 1", password="wrong")
    assert run("docker", "exec", postgres, "stat", "-c", "%u", "/proc/1").strip() == "999"
    assert run("docker", "logs", postgres, both=True).count("told:shop") == 1
    began = time.monotonic()
    run("docker", "stop", "--time", "30", postgres)
    assert time.monotonic() - began < 25
    run("docker", "start", postgres)
    await until(lambda: _ready(postgres), 60, every=0.3)
    assert asked(postgres, "SELECT count(*) FROM t") == "1"


def test_postgres_does_not_start_without_a_password() -> None:
    with pytest.raises(CommandError, match="POSTGRES_PASSWORD"):
        run("docker", "run", "--rm", "--user", "999:999", "--network", "none", TAGS["postgres"], both=True)


def _ready(container: str) -> bool:
    try:
        run("docker", "exec", container, "pg_isready", "-h", address(container), "-U", "shop", within=20)
    except CommandError:
        return False
    return True


@pytest.mark.parametrize("user", ["0:0", "100:1000"], ids=["as root", "as its own user"])
async def test_consul_runs_as_its_own_user_with_its_folders(user: str, start: Starter) -> None:
    caps = ("SETUID", "SETGID", "CHOWN", "DAC_OVERRIDE") if user == "0:0" else ()
    options = ("--user", user, *(part for cap in caps for part in ("--cap-add", cap)))
    agent = ("agent", "-server", "-bootstrap-expect=1", "-client=0.0.0.0", "-bind=127.0.0.1")
    container = start("consul", *agent, options=options)
    await answers(container, 8500, "/v1/status/leader")
    assert run("docker", "exec", container, "stat", "-c", "%u", "/proc/1").strip() == "100"
    assert "raft" in run("docker", "exec", container, "ls", "/consul/data")
    assert "alive" in run("docker", "exec", container, "consul", "members", "-http-addr=127.0.0.1:8500")


async def test_nats_takes_options_alone_and_as_another_user(start: Starter) -> None:
    plain = start("nats")
    await answers(plain, 8222, "/healthz")
    jetstream = start("nats", "-js", "-m", "8222", "-sd", "/tmp", options=("--user", "1000:1000"))
    assert json.loads(await answers(jetstream, 8222, "/jsz"))["config"]["store_dir"].startswith("/tmp")


async def test_jaeger_takes_spans_and_answers_from_outside(start: Starter) -> None:
    container = start("jaeger")
    assert "data" in json.loads(await answers(container, 16686, "/api/services"))
    assert sent(f"http://{address(container)}:4318/v1/traces", b'{"resourceSpans":[]}') == 200


def sent(url: str, body: bytes) -> int:
    """The status of the answer to a JSON body."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return int(answer.status)


@pytest.mark.parametrize("name", ["prometheus", "alertmanager"])
async def test_a_watcher_starts_with_its_own_defaults(name: str, start: Starter) -> None:
    container = start(name)
    await answers(container, *HEALTH[name])
    port, path = HEALTH[name]
    run("docker", "exec", container, "wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{port}{path}")
    assert run("docker", "exec", container, "stat", "-c", "%u", "/proc/1").strip() == "65534"


def test_prometheus_can_check_the_projects_own_configuration() -> None:
    folder = Path(__file__).parents[2] / "compose" / "prometheus"
    mounted = ("-v", f"{folder}:/etc/prometheus:ro")
    assert "SUCCESS" in said(
        "prometheus", "promtool", "check", "config", "/etc/prometheus/prometheus.yml", options=mounted
    )


def placeholder() -> Image:
    """The stand-in for Grafana; skips where there is the real one."""
    (image,) = (image for image in IMAGES if image.folder == "grafana")
    if engine.kind(image.tag) != "placeholder":
        pytest.skip("Grafana's own image is here")
    return image


def provisioned(
    folder: Path, dashboard: str, source: str = "datasources: [{name: a, type: b, url: c}]"
) -> tuple[str, ...]:
    """The options of a container that is given one data source and one dashboard."""
    for name, text in {
        "provisioning/datasources/a.yml": source,
        "provisioning/dashboards/a.yml": "providers: [{name: a, options: {path: /var/lib/grafana/dashboards}}]",
        "dashboards/a.json": dashboard,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    return (
        "-v", f"{folder / 'provisioning'}:/etc/grafana/provisioning:ro",
        "-v", f"{folder / 'dashboards'}:/var/lib/grafana/dashboards:ro",
    )  # fmt: skip


async def test_the_placeholder_for_grafana_says_that_it_is_one(tmp_path: Path, start: Starter) -> None:
    placeholder()
    container = start("grafana", options=provisioned(tmp_path, '{"title": "t", "panels": [1]}'))
    assert json.loads(await answers(container, *HEALTH["grafana"]))["placeholder"] is True
    assert "not Grafana" in await answers(container, 3000, "/")


@pytest.mark.parametrize(
    ("dashboard", "source", "problem"),
    [
        ('{"title": "t", "panels": [', "datasources: [{name: a, type: b, url: c}]", "a.json can't be read"),
        ('{"title": "t"}', "datasources: [{name: a, type: b, url: c}]", "a.json is no dashboard"),
        ('{"title": "t", "panels": [1]}', "datasources: [", "a.yml can't be read"),
        ('{"title": "t", "panels": [1]}', "datasources: [{name: a}]", "a data source lacks type, url"),
    ],
)
def test_the_placeholder_does_not_start_with_what_grafana_could_not_read(
    dashboard: str, source: str, problem: str, tmp_path: Path
) -> None:
    placeholder()
    options = provisioned(tmp_path, dashboard, source)
    with pytest.raises(CommandError, match=problem):
        run("docker", "run", "--rm", "--network", "none", *options, TAGS["grafana"], both=True)
