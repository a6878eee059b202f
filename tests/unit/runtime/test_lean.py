"""What an agent does not load."""

import subprocess
import sys

import pytest

from agent.runtime.lean import without


def test_a_module_that_is_left_out_is_as_good_as_not_installed_and_is_there_again_afterwards() -> None:
    with without("antigravity"), pytest.raises(ModuleNotFoundError, match="antigravity"):
        import antigravity  # noqa: F401
    assert not [one for one in sys.meta_path if type(one).__name__ == "_Refusing"]


def test_the_agent_loads_nothing_that_only_other_programs_need() -> None:
    """Each of these is megabytes beside every service."""
    text = (
        "import sys; import agent.cli as cli; cli._imported('agent.cli.agent');"
        "print(sorted({'requests', 'rich.console', 'pygments', 'cryptography', 'kubernetes'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
