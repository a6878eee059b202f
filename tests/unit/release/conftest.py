"""A small repository that is ready to be released as 1.2.0, with a bare one as its origin."""

import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

CI = Path(__file__).parents[3] / ".ci"
VERSION = "1.2.0"
PAGE = "# Settings\n\nMade by `python -m maker docs/settings.md`; not to be edited.\n"
FILES = {
    "setup.cfg": f"[metadata]\nname = example\nversion = {VERSION}\n",
    "charts/one/Chart.yaml": f'apiVersion: v2\nname: one\nversion: {VERSION}\nappVersion: "{VERSION}"\n',
    "Dockerfile": f"FROM scratch\nARG VERSION={VERSION}\n",
    "maker.py": f"import pathlib, sys\npathlib.Path(sys.argv[1]).write_text({PAGE!r})\n",
    "docs/settings.md": PAGE,
    "requirements/in": "a==1\n",
    "requirements/image.txt": "a==1\n",
    "Makefile": "lock:\n\tcp requirements/in requirements/image.txt\n",
}


def today() -> str:
    """The day; in its last minute the next one is waited for: a check after midnight would look for another."""
    while True:
        now = datetime.now(UTC)
        if (now + timedelta(minutes=1)).date() == now.date():
            return str(now.date())
        time.sleep(1)


def changelog(day: str) -> str:
    """A changelog whose newest section is 1.2.0 of that day."""
    sections = (
        f"## [{VERSION}] - {day}\n\n### Added\n- A thing.\n",
        "## [1.1.0] - 2026-01-01\n\n- Another.\n",
    )
    return "# Changelog\n\n" + "\n".join(sections)


class Repository:
    """A checkout on main that was pushed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.key = folder / "key"
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        subprocess.run(["git", "init", "-q", "--bare", folder / "origin.git"], check=True)
        self.run("git", "init", "-q", "-b", "main", self.folder, where=folder)
        for name, value in (("user.name", "A"), ("user.email", "a@example.com"), ("gpg.format", "ssh")):
            self.git("config", name, value)
        self.git("config", "user.signingkey", str(self.key))
        self.git("remote", "add", "origin", str(folder / "origin.git"))
        shutil.copytree(CI, self.folder / ".ci")
        for name, text in {**FILES, "CHANGELOG.md": changelog(today())}.items():
            self.write(name, text)
        self.push()

    def run(
        self, *words: object, where: Path | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """A command in the checkout, with nothing of this machine's Git configuration."""
        return subprocess.run(
            list(map(str, words)), cwd=where or self.folder, env={**self._environ, **environ},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def git(self, *words: str) -> str:
        """A Git command that has to succeed."""
        done = self.run("git", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def write(self, name: str, text: str) -> None:
        """Write a file of the checkout."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def change(self, name: str, old: str, new: str) -> None:
        """Replace a text that has to be there."""
        text = (self.folder / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def push(self) -> None:
        """Commit all that there is and push it."""
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", "Change")
        self.git("push", "-q", "origin", "main")

    def check(self, *words: str) -> tuple[int, list[str]]:
        """What the release check ends with, and the lines that are not ok."""
        done = self.run(sys.executable, ".ci/release-check", *(words or (VERSION,)))
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, [line for line in done.stdout.splitlines() if line.startswith("NO")]

    def new_key(self, path: Path) -> str:
        """Make an SSH key and return its line of an allowed signers file."""
        self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path)
        return "release@example.com " + path.with_suffix(".pub").read_text().strip()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)
