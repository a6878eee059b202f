"""PgBouncer before a test's database."""

import os
import pwd
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from agent.demo import backing
from agent.demo.process import Process
from tests.ports import free_port

POOL = """
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
ignore_startup_parameters = {ignored}
"""


class PgBouncer(Process):
    """A pooler of a mode: ``session`` or ``transaction``; ``ignored`` are the settings of clients that it drops."""

    def __init__(self, folder: Path, url: str, mode: str, ignored: str) -> None:
        binary = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
        if binary is None:
            reason = "pgbouncer is not installed; Debian's package pgbouncer brings it"
            pytest.fail(reason) if os.environ.get("PILLION_REQUIRE_ALL") else pytest.skip(reason)
        target, self.port = urlsplit(url), free_port()
        # It lets in whoever comes and is nobody's but the user's that it names to the server.
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}{target.path}"
        file = folder / "pgbouncer.ini"
        file.write_text(
            POOL.format(
                host=f"{target.hostname}", port=f"{target.port} user=postgres", listen=self.port, mode=mode,
                ignored=ignored,
            )
        )  # fmt: skip
        file.chmod(0o644)
        user = pwd.getpwnam("postgres").pw_uid if os.geteuid() == 0 else None
        super().__init__(
            "PgBouncer", [binary, str(file)], folder / "pgbouncer.log", user=user,
            answers=lambda: backing.tcp_ok(self.port),
        )  # fmt: skip
