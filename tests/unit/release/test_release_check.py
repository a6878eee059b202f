"""The checklist of a release: each item is ok on a repository that is ready, and NO once it is broken."""

from collections.abc import Callable

import pytest

from tests.unit.release.conftest import PAGE, VERSION, Repository, changelog

Break = Callable[[Repository], object]


def edited(name: str, old: str, new: str) -> Break:
    """Change a file and push it."""

    def change(repository: Repository) -> None:
        repository.change(name, old, new)
        repository.push()

    return change


def written(name: str, text: str) -> Break:
    """Write a file and push it."""

    def write(repository: Repository) -> None:
        repository.write(name, text)
        repository.push()

    return write


def commit_only(repository: Repository) -> None:
    repository.git("commit", "-q", "--allow-empty", "-m", "Not pushed")


def elsewhere(repository: Repository) -> None:
    repository.git("tag", f"v{VERSION}")
    repository.git("push", "-q", "origin", f"v{VERSION}")
    repository.git("tag", "--delete", f"v{VERSION}")


BROKEN: dict[str, tuple[Break, str]] = {
    "branch": (lambda one: one.git("checkout", "-q", "-b", "topic"), "on main: it is on topic"),
    "untracked": (lambda one: one.write("left", ""), "uncommitted: commit or remove left"),
    "changed": (lambda one: one.write("Makefile", "lock:\n"), "uncommitted: commit or remove Makefile"),
    "not pushed": (commit_only, "origin's main is this commit: push or pull"),
    "no origin": (lambda one: one.git("remote", "remove", "origin"), "origin gave no answer"),
    "setup.cfg": (edited("setup.cfg", VERSION, "1.1.0"), "setup.cfg says 1.2.0: it says 1.1.0"),
    "image": (
        edited("Dockerfile", VERSION, "1.1.0"),
        "the image's VERSION is 1.2.0: the Dockerfile says 1.1.0",
    ),
    "chart": (
        edited("charts/one/Chart.yaml", f"\nversion: {VERSION}", "\nversion: 1.1.0"),
        "version in charts/one/Chart.yaml is 1.2.0: it is 1.1.0",
    ),
    "chart's software": (
        edited("charts/one/Chart.yaml", f'appVersion: "{VERSION}"', "appVersion: 1.1.0"),
        "appVersion in charts/one/Chart.yaml is 1.2.0: it is 1.1.0",
    ),
    "older": (lambda one: one.git("tag", "v1.10.0"), "newer than all that were released: 1.10.0"),
    "day": (written("CHANGELOG.md", changelog("2026-01-02")), "it has 2026-01-02"),
    "no section": (edited("CHANGELOG.md", f"[{VERSION}]", "[1.1.9]"), "of today: write"),
    "empty section": (edited("CHANGELOG.md", "### Added\n- A thing.\n", ""), "brings: it says nothing"),
    "unreleased": (
        edited("CHANGELOG.md", "# Changelog\n", "# Changelog\n\n## [Unreleased]\n"),
        "nothing unreleased: make [Unreleased] the section of 1.2.0",
    ),
    "tag here": (lambda one: one.git("tag", f"v{VERSION}"), "v1.2.0 is not taken: the tag is there here"),
    "tag at origin": (elsewhere, "v1.2.0 is not taken: the tag is there at origin"),
    "no key": (lambda one: one.git("config", "--unset", "user.signingkey"), "signed with an SSH key"),
    "key of another kind": (lambda one: one.git("config", "gpg.format", "openpgp"), "signed with an SSH key"),
    "page": (
        written("docs/settings.md", PAGE + "By hand.\n"),
        "docs/settings.md is old; run python -m maker docs/settings.md",
    ),
    "page that can't be made": (written("maker.py", "raise SystemExit('no maker')\n"), "failed: no maker"),
    "lock file": (written("requirements/in", "a==2\n"), "requirements/image.txt is old; run make lock"),
}


def test_a_repository_that_is_ready_is_ok_in_all_and_left_as_it_was(repository: Repository) -> None:
    assert repository.check() == (0, [])
    assert repository.git("status", "--porcelain") == ""


@pytest.mark.parametrize(("breaking", "said"), BROKEN.values(), ids=list(BROKEN))
def test_what_is_missing_is_said_with_what_to_do(repository: Repository, breaking: Break, said: str) -> None:
    breaking(repository)
    code, lines = repository.check()
    assert code == 1
    assert any(said in line for line in lines), lines


@pytest.mark.parametrize("words", [("v1.2.0",), ("1.2",), ("1.2.0", "now"), ("",)])
def test_what_is_no_version_is_refused(repository: Repository, words: tuple[str, ...]) -> None:
    assert repository.check(*words) == (2, [])


def test_the_checklist_says_what_it_can_not_know(repository: Repository) -> None:
    done = repository.run(".ci/release-check", VERSION)
    assert done.stdout.splitlines()[-1].startswith("look  whether all checks of this commit are green")


def test_the_text_of_a_release_is_its_section_and_no_other(repository: Repository) -> None:
    assert repository.run(".ci/changelog", VERSION).stdout == "### Added\n- A thing.\n"
    assert repository.run(".ci/changelog", "1.1.0").stdout == "- Another.\n"
    done = repository.run(".ci/changelog", "1.1")
    assert (done.returncode, done.stdout) == (1, "")
