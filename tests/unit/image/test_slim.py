"""What the image leaves out is nothing that the agent loads."""

import json
import subprocess
import sys
from pathlib import Path, PurePath

import pytest

from requirements import slim
from tests.unit.image.locks import ROOT


@pytest.fixture(scope="module")
def loaded() -> list[str]:
    """What is loaded with the whole agent, in a process of its own: this one has loaded the tests' libraries."""
    code = "import json; from requirements import slim; print(json.dumps(sorted(map(str, slim.loaded()))))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    files: list[str] = json.loads(done.stdout)
    return files


def test_the_agent_loads_nothing_of_grpcio(loaded: list[str]) -> None:
    """The image is without it, although xds-protos asks for it."""
    assert [file for file in loaded if "/grpc/" in file or file.endswith("_pb2_grpc.py")] == []


def test_all_of_the_agent_is_loaded_but_what_does_not_run_in_the_image(loaded: list[str]) -> None:
    for part in ("cli/run.py", "wiring/gateway.py", "outbox/brokers/nats.py", "proxy/xds/server.py"):
        assert str(ROOT / "agent" / part) in loaded
    assert not any("/carry/site/" in file or file.endswith("agent/demo/stage.py") for file in loaded)


def test_messages_are_loaded_that_only_a_text_names(loaded: list[str]) -> None:
    """Envoy's router is in no import statement; the agent finds it by its type's name."""
    assert any(file.endswith("envoy/extensions/filters/http/router/v3/router_pb2.py") for file in loaded)


def test_a_type_is_found_in_code_and_in_yaml() -> None:
    code = 'TYPE = "type.googleapis.com/envoy.config.core.v3.Node"'
    yaml = "'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router\n"
    other = 'f"type.googleapis.com/envoy.extensions.{name}" "type.googleapis.com/google.protobuf.Any"'
    assert slim.types([code, yaml, other]) == {
        "type.googleapis.com/envoy.config.core.v3.Node",
        "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
    }


@pytest.mark.parametrize(
    ("file", "needed", "dead"),
    [
        ("asyncpg/protocol/protocol.pyx", False, True),
        ("yarl/__init__.pyi", False, True),
        ("pygments/lexers/python.py", False, True),
        ("pygments/token.py", True, False),
        ("confluent_kafka/schema_registry/avro.py", False, True),
        ("confluent_kafka/cimpl.cpython-313-x86_64-linux-gnu.so", False, False),
        ("confluent_kafka.libs/librdkafka-0cb94173.so.1", False, False),
        ("envoy/config/tap/v3/common_pb2.py", False, False),
        ("uvloop/loop.cpython-313-x86_64-linux-gnu.so", False, False),
        ("certifi/cacert.pem", False, False),
        ("aiohttp-3.14.5.dist-info/licenses/LICENSE.txt", False, False),
    ],
)
def test_only_what_can_not_be_loaded_is_taken_away(file: str, needed: bool, dead: bool) -> None:
    assert slim.dead(PurePath(file), needed=needed) is dead


def test_bytecode_of_the_standard_library_goes_below_the_folder(tmp_path: Path) -> None:
    site = Path("/opt/pillion/lib/site-packages")
    beside = slim.bytecode(site / "agent" / "cli.py", site, tmp_path)
    assert beside.parent == site / "agent" / "__pycache__"
    elsewhere = slim.bytecode(Path("/usr/lib/python/json/decoder.py"), site, tmp_path)
    assert elsewhere.parent == tmp_path / "usr/lib/python/json/__pycache__"


def test_bytecode_is_used_without_a_look_at_its_source(tmp_path: Path) -> None:
    """Copying into an image changes times, and there the source never changes."""
    source = tmp_path / "module.py"
    source.write_text("print('compiled')")
    assert slim.compiled(source, slim.bytecode(source, tmp_path, tmp_path / "other")) > 0
    source.write_text("print('read')")
    said = subprocess.run(
        [sys.executable, "-c", "import module"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert said.stdout == "compiled\n"
