"""Nothing stays."""

from tests.compose.engine import Project
from tests.compose.system import ComposeSystem


def test_taking_the_system_down_leaves_nothing(project: Project, system: ComposeSystem) -> None:
    assert project.left() != []
    project.compose("down", "--volumes")
    assert project.left() == []
