"""The system comes up from nothing by one command."""

from tests.compose import layout
from tests.compose.engine import Project
from tests.compose.start import Start, image_sizes, memory
from tests.record import Record


def test_every_container_becomes_healthy_from_nothing(
    project: Project, started: Start, record: Record
) -> None:
    record.section(
        "Start", [f"build: {started.build:.0f} s", f"`up -d` until all is healthy: {started.healthy:.0f} s"]
    )
    containers = project.containers()
    assert {name for name, one in containers.items() if one.long_running} == set(layout.LONG_RUNNING)
    assert {name for name, one in containers.items() if not one.long_running} == set(layout.ONE_SHOTS)
    assert [name for name, one in containers.items() if not one.well] == []
    unchecked = {name for name, one in containers.items() if one.state == "running"}
    assert unchecked == {"jaeger", *(f"{label}-pod" for label in layout.LABELS)}, "these can't be asked"


def test_starting_again_changes_nothing(project: Project, started: Start) -> None:
    before = {name: (one.id, one.started) for name, one in project.containers().items() if one.long_running}
    project.compose("up", "-d")
    after = {name: (one.id, one.started) for name, one in project.containers().items() if one.long_running}
    assert after == before


def test_memory_stays_within_the_limits(project: Project, started: Start, record: Record) -> None:
    used = memory(project)
    record.table("Memory after the start", ["container", "used / limit"])
    for name, usage in sorted(used.items()):
        record.row([name, usage])
    record.table("Images", ["image", "MB"])
    for name, size in sorted(image_sizes(project).items()):
        record.row([name, f"{size / 1e6:.0f}"])
    killed = [name for name, one in project.containers().items() if one.raw["State"]["OOMKilled"]]
    assert set(used) == set(layout.LONG_RUNNING)
    assert killed == []
