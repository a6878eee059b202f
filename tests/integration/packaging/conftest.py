"""A copy of the checkout and the wheel built from it, once for all tests here."""

from pathlib import Path

import pytest

from tests.integration.packaging import builds


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a package is built from."""
    return builds.copy(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel."""
    return builds.build(checkout, tmp_path_factory.mktemp("wheel"))
