"""Which commands start a Python that never finds the hook."""

from pathlib import Path

import pytest

from agent.carry import isolated

SCRIPTS = {
    "gunicorn": b"#!/srv/venv/bin/python3\nimport sys\n",
    "hardened": b"#!/usr/bin/python3 -I\n",
    "split": b"#!/usr/bin/env -S python3 -sE -u\n",
    "shell": b"#!/bin/sh\nexec gunicorn app:app\n",
    "binary": b"\x7fELF\x02",
    "loop": b"#!loop\n",
    "broken": b"#!\xff\xfe -I",
}


def first(program: str) -> bytes:
    """The first lines of the scripts above."""
    try:
        return SCRIPTS[program]
    except KeyError:
        raise FileNotFoundError(program) from None


def why(command: str) -> str:
    return isolated.why(command.split(), first)


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("python -I app.py", "-I"),
        ("python3.12 -Im gunicorn app:app", "-I"),
        ("/usr/bin/python3 -sE -m flask run", "-E"),
        ("python -W error -S app.py", "-S"),
        ("python -Werror -X dev -S app.py", "-S"),
        ("python --check-hash-based-pycs always -E app.py", "-E"),
        ("pypy3 -S app.py", "-S"),
        ("env -i python app.py", "env -i"),
        ("env - python app.py", "env -"),
        ("env -u PYTHONPATH python app.py", "env -u PYTHONPATH"),
        ("env --unset=PYTHONPATH python app.py", "env --unset=PYTHONPATH"),
        ("env A=1 PYTHONPATH=/x python app.py", "env PYTHONPATH"),
        ("/usr/bin/env A=1 python -I app.py", "-I"),
        ("hardened app:app", "-I"),
        ("split app:app", "-E"),
    ],
)
def test_a_python_that_ignores_our_path_is_told(command: str, word: str) -> None:
    assert word in why(command)


@pytest.mark.parametrize(
    "command",
    [
        "",
        "python app.py -I",
        "python -m gunicorn -I app:app",
        "python -c pass -S",
        "python -u -s -P -B -O app.py",
        "python -W I app.py",
        "python -",
        "gunicorn -I app:app",
        "env A=1 python app.py",
        "env",
        "env -u",
        "env -u OTHER python app.py",
        "shell",
        "binary -I",
        "absent -I",
        "loop",
        "broken",
    ],
)
def test_nothing_is_said_of_any_other_command(command: str) -> None:
    assert why(command) == ""


def test_a_program_is_read_where_path_finds_it(tmp_path: Path) -> None:
    script = tmp_path / "served"
    script.write_text("#!/usr/bin/python3 -S\n")
    script.chmod(0o755)
    found = isolated.beginning({"PATH": str(tmp_path)})
    assert "-S" in isolated.why(["served"], found)
    assert isolated.why(["elsewhere"], found) == ""
