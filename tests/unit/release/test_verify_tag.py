"""Which tags are released, with real SSH signatures."""

from pathlib import Path

import pytest

from tests.unit.release.conftest import VERSION, Repository

TAG = f"v{VERSION}"


@pytest.fixture
def signers(repository: Repository) -> str:
    """Who may sign a release: the repository's own key."""
    return repository.new_key(repository.key)


def verify(repository: Repository, signers: str, tag: str = TAG) -> tuple[int, str]:
    """What the program ends with and says."""
    done = repository.run(".ci/verify-tag", tag, RELEASE_SIGNERS=signers)
    return done.returncode, done.stderr


def sign(repository: Repository, tag: str = TAG) -> None:
    repository.git("tag", "--sign", "-m", "Release", tag)


def test_a_tag_signed_by_one_of_the_signers_is_a_release(
    repository: Repository, signers: str, tmp_path: Path
) -> None:
    sign(repository)
    code, said = verify(repository, repository.new_key(tmp_path / "other") + "\n" + signers)
    assert code == 0, said


def test_a_tag_signed_by_somebody_else_is_none(repository: Repository, signers: str, tmp_path: Path) -> None:
    sign(repository)
    code, said = verify(repository, repository.new_key(tmp_path / "other"))
    assert code == 1
    assert "not signed with a key of RELEASE_SIGNERS" in said


@pytest.mark.parametrize("words", [("-m", "Release"), ()], ids=["unsigned", "lightweight"])
def test_a_tag_without_a_signature_is_none(
    repository: Repository, signers: str, words: tuple[str, ...]
) -> None:
    repository.git("tag", *words, TAG)
    assert verify(repository, signers)[0] == 1


def test_without_signers_nothing_is_a_release(repository: Repository, signers: str) -> None:
    sign(repository)
    code, said = verify(repository, "")
    assert code == 1
    assert "RELEASE_SIGNERS names nobody" in said


def test_the_signed_tag_of_another_release_is_none_under_a_new_name(
    repository: Repository, signers: str
) -> None:
    sign(repository, "v1.1.0")
    repository.git("update-ref", f"refs/tags/{TAG}", "refs/tags/v1.1.0")
    code, said = verify(repository, signers)
    assert code == 1
    assert "another name" in said


def test_a_signed_tag_of_a_commit_that_is_not_on_main_is_none(repository: Repository, signers: str) -> None:
    repository.git("commit", "-q", "--allow-empty", "-m", "Never reviewed")
    sign(repository)
    code, said = verify(repository, signers)
    assert code == 1
    assert "not on main" in said


def test_a_tag_has_the_version_of_its_commit(repository: Repository, signers: str) -> None:
    sign(repository, "v1.3.0")
    code, said = verify(repository, signers, "v1.3.0")
    assert code == 1
    assert f"says {VERSION}" in said


@pytest.mark.parametrize("name", ["1.2.0", "v1.2", "v1.2.0;id", "v1.2.0\nv1.2.0", "--help"])
def test_a_name_that_is_no_version_is_refused_before_anything_else(
    repository: Repository, signers: str, name: str
) -> None:
    code, said = verify(repository, signers, name)
    assert code == 1
    assert "its name is not v and a version" in said
