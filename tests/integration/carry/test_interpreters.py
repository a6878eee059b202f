"""The hook at the start of each Python at hand, and beside other people's start-up code."""

import functools
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import carry
from agent.carry import isolated
from tests.integration.carry.recorder import Recorder, recording

HERE = Path(__file__).parent
PATCHING_THREADS = ("context", "headers", "threads", "wrapping")
NEXT = "import os\nos.environ['NEXT'] = 'ran'\nVALUE = 7\n"


@functools.cache
def interpreters() -> tuple[str, ...]:
    """Every Python from 3.8 on that is at hand, by path: on PATH, pyenv's, the system's, the tests' own."""
    named = [shutil.which(f"python3.{minor}") for minor in range(8, 15)]
    debian = [path for path in ("/usr/bin/python3",) if Path(path).exists()]
    managed = [str(path) for path in Path("~/.pyenv/versions").expanduser().glob("3.*/bin/python")]
    named = [path for path in named if path and ".pyenv" not in path]
    found = {}
    for path in [*managed, *named, sys.executable, *debian]:
        asked = [path, "-c", "import sys; print(*sys.version_info[:2])"]
        answer = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()
        if answer and (int(answer[0]), int(answer[1])) >= (3, 8):
            found[path] = (int(answer[0]), int(answer[1]))
    return tuple(sorted(found, key=lambda path: (found[path], path)))


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    """The service that the program calls."""
    with recording() as running:
        yield running


def run(python: str, *argv: str, behind: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """Run a program with the hook in front of the folder ``behind``, faults printed."""
    before = {"PATH": os.environ["PATH"], "PYTHONPATH": behind, "PYTHONDONTWRITEBYTECODE": "1"}
    given = {**before, **carry.environment(before), "PILLION_CARRY": "debug", **env}
    return subprocess.run([python, *argv], env=given, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("inherit", [0, 1], ids=["threads apart", "threads inherit"])
@pytest.mark.parametrize("python", interpreters(), ids=lambda path: path.strip("/").replace("/", "-"))
def test_requests_threads_and_streams_carry_on_each_python(
    python: str, inherit: int, recorder: Recorder
) -> None:
    """From 3.14 on a thread may begin with its starter's whole context; older ones ignore the option."""
    done = run(
        python,
        "-W",
        "error",
        "-X",
        f"thread_inherit_context={inherit}",
        str(HERE / "standard.py"),
        PILLION_CARRY_PORTS=str(recorder.server_port),
        URL=recorder.url,
    )
    assert done.stderr == ""
    answer = json.loads(done.stdout)
    assert answer.pop("presence") == "1"
    assert answer.pop("nothing") == {}
    assert set(answer) == {"urllib", "thread", "executor", "stream"}
    for name, carried in answer.items():
        assert carried["x-request-id"] == "id-1", name
        assert carried["traceparent"].startswith("00-0af7651916cd43dd8448eb211c80319c"), name


@pytest.mark.parametrize("python", interpreters(), ids=lambda path: path.strip("/").replace("/", "-"))
def test_a_start_costs_no_more_modules_than_our_own_few(python: str) -> None:
    """What a process without any request pays; ``site`` loads other things by itself, which are not ours."""
    show = "import sys; print(*sorted(sys.modules))"
    with_hook = set(run(python, "-c", show).stdout.split())
    without = set(run(python, "-c", show, PILLION_CARRY="off").stdout.split())
    ours = {"pillion_carry", "pillion_carry.hook", "pillion_carry.faults"}
    if "threading" in without:  # some package's .pth file loaded it already, so it is patched at once
        ours |= {"contextvars", "_contextvars"} | {f"pillion_carry.{name}" for name in PATCHING_THREADS}
    assert with_hook - without <= {*ours, "__future__"}


def test_the_next_sitecustomize_runs_and_is_what_is_imported(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NEXT)
    done = run(
        sys.executable,
        "-c",
        "import os, sitecustomize as s; print(os.environ['NEXT'], s.VALUE, s.__file__)",
        behind=str(tmp_path),
    )
    assert done.stdout.split() == ["ran", "7", str(tmp_path / "sitecustomize.py")]


def test_the_next_sitecustomize_runs_when_the_hook_is_off(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NEXT)
    done = run(
        sys.executable,
        "-c",
        "import os; print(os.environ['NEXT'])",
        behind=str(tmp_path),
        PILLION_CARRY="off",
    )
    assert done.stdout.split() == ["ran"]


def test_a_next_sitecustomize_that_fails_is_reported_by_python_as_without_us(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise ValueError('theirs')\n")
    done = run(sys.executable, "-c", "print('up')", behind=str(tmp_path))
    assert done.stdout.split() == ["up"]
    assert "ValueError: theirs" in done.stderr


def test_without_a_next_sitecustomize_nothing_is_said() -> None:
    done = run(sys.executable, "-c", "print('up')")
    assert (done.stdout.split(), done.stderr) == (["up"], "")


def test_a_usercustomize_still_runs(tmp_path: Path) -> None:
    (tmp_path / "usercustomize.py").write_text("import os\nos.environ['USERS'] = 'ran'\n")
    python = str(Path(sys.base_prefix) / "bin" / "python3")  # in a virtual environment there is none
    done = run(python, "-c", "import os; print(os.environ['USERS'])", behind=str(tmp_path))
    assert done.stdout.split() == ["ran"]


def test_a_hook_that_can_not_be_loaded_does_not_stop_the_service(tmp_path: Path) -> None:
    shutil.copy(carry.SITE / "sitecustomize.py", tmp_path)
    (tmp_path / "pillion_carry").mkdir()
    (tmp_path / "pillion_carry" / "hook.py").write_text("raise OSError('broken')\n")
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", "print('up')"], env=given, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("up\n", "")


def test_a_patched_module_keeps_its_own_loader_and_source() -> None:
    show = (
        "import http.client as h, inspect;"
        "print(type(h.__loader__).__name__, type(h.__spec__.loader).__name__);"
        "print('def request' in inspect.getsource(h)); print(h.HTTPConnection.endheaders.__name__)"
    )
    expected = ["SourceFileLoader", "SourceFileLoader", "True", "endheaders"]
    assert run(sys.executable, "-c", show).stdout.split() == expected


@functools.cache
def older() -> tuple[str, ...]:
    """Pythons at hand that are too old for the hook, by path."""
    managed = [str(path) for path in Path("~/.pyenv/versions").expanduser().glob("*/bin/python")]
    shown = "import sys; sys.stdout.write(str(sys.version_info[:2] < (3, 8)))"
    asked = {
        path: subprocess.run([path, "-c", shown], capture_output=True, text=True, check=False)
        for path in managed
    }
    return tuple(path for path, answer in sorted(asked.items()) if answer.stdout == "True")


@pytest.mark.parametrize(
    "python", older() or ("none at hand",), ids=lambda path: path.strip("/").replace("/", "-")
)
def test_an_older_python_runs_as_without_the_hook(python: str, tmp_path: Path) -> None:
    """It runs the next sitecustomize, says nothing and loads nothing of ours."""
    if not older():
        pytest.skip("no Python below 3.8 is at hand")
    (tmp_path / "sitecustomize.py").write_text(NEXT)
    show = (
        "import os, sys, sitecustomize, threading; assert not [n for n in sys.modules if 'pillion' in n];"
        "sys.stdout.write(os.environ['NEXT'] + str(sitecustomize.VALUE))"
    )
    done = run(python, "-c", show, behind=str(tmp_path))
    assert (done.stdout, done.stderr) == ("ran7", "")
    alone = run(python, "-c", "import sys; sys.stdout.write('up')")
    assert (alone.stdout, alone.stderr) == ("up", "")
    (tmp_path / "sitecustomize.py").write_text("raise ValueError('theirs')\n")
    failing = run(python, "-c", "import sys; sys.stdout.write('up')", behind=str(tmp_path))
    assert failing.stdout == "up"
    assert "theirs" in failing.stderr or "sitecustomize" in failing.stderr


@pytest.mark.parametrize("option", ["-S", "-I", "-E"])
def test_an_isolated_python_has_no_hook_as_its_agent_says(option: str) -> None:
    assert isolated.why(["python", option, "app.py"], lambda _: b"")
    done = run(sys.executable, option, "-c", "import sys; print('pillion_carry.hook' in sys.modules)")
    assert (done.stdout, done.stderr) == ("False\n", "")


@pytest.mark.parametrize("option", ["-s", "-P", "-u", "-B", "-O"])
def test_other_options_leave_the_hook_in_place(option: str) -> None:
    if option == "-P" and sys.version_info < (3, 11):
        pytest.skip("-P came with 3.11")
    assert not isolated.why(["python", option, "app.py"], lambda _: b"")
    done = run(sys.executable, option, "-c", "import sys; print('pillion_carry.hook' in sys.modules)")
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_a_missing_module_of_the_next_sitecustomize_is_its_own_error(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sitecustomize_of_theirs\n")
    done = run(sys.executable, "-c", "print('up')", behind=str(tmp_path))
    assert done.stdout == "up\n"
    assert "sitecustomize_of_theirs" in done.stderr


def test_our_folder_may_stand_behind_another_sitecustomize_that_runs_the_next(tmp_path: Path) -> None:
    """As ddtrace's and New Relic's launchers do: theirs first, then what they hide, which is ours."""
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "sitecustomize.py").write_text(
        "import os, sys\nhere = os.path.dirname(__file__)\nsys.path.remove(here)\n"
        "del sys.modules['sitecustomize']\nimport sitecustomize as theirs\nsys.path.insert(0, here)\n"
    )
    (tmp_path / "sitecustomize.py").write_text(NEXT)
    path = os.pathsep.join([str(tmp_path / "first"), str(carry.SITE), str(tmp_path)])
    show = "import os, sys; print(os.environ['NEXT'], 'pillion_carry.hook' in sys.modules)"
    done = run(sys.executable, "-c", show, PYTHONPATH=path)
    assert (done.stdout.split(), done.stderr) == (["ran", "True"], "")


def test_a_venv_s_pth_files_and_an_interactive_start_up_file_run_as_without_us(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "own.pth").write_text("import os, threading; os.environ['PTH'] = 'ran'\n")
    (site / "sitecustomize.py").write_text(NEXT)
    start = tmp_path / "start.py"
    start.write_text("STARTED = 'started'\n")
    show = "import os, sys; print(os.environ['PTH'], os.environ['NEXT'], STARTED, threading.Thread.start.pillion_carry)"
    env = {"PATH": os.environ["PATH"], **carry.environment({}), "PYTHONSTARTUP": str(start)}
    done = subprocess.run(
        [str(python), "-q", "-i"],
        input=f"import threading\n{show}\n",
        env={**env, "PILLION_CARRY": "debug"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "ran ran started True" in done.stdout
    assert "Traceback" not in done.stderr
