"""What answers: nginx and gunicorn, and the collector that takes spans."""

import shutil
import sys
from pathlib import Path

from agent.demo import backing
from agent.demo.process import Process
from tests.bench.proxy import cores

NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 3600s;
  client_body_temp_path {folder};
  proxy_temp_path {folder};
  fastcgi_temp_path {folder};
  uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  default_type text/plain;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "hello\\n"; }} }}
  server {{ listen 127.0.0.1:{spans}; client_max_body_size 64m; location / {{ return 200 ""; }} }}
}}
"""


def program(name: str, package: str) -> str:
    """A program on PATH or in sbin; ends the run with what to install where there is none."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise SystemExit(f"bench-proxy needs {name}, which is not on PATH: apt-get install {package}")
    return found


class Nginx(Process):
    """A fast upstream at ``port``, and at ``spans`` one that takes everything and keeps nothing."""

    def __init__(self, folder: Path, core: int) -> None:
        folder.mkdir()
        self.port, self.spans = backing.free_port(), backing.free_port()
        file = folder / "nginx.conf"
        file.write_text(NGINX.format(folder=folder, port=self.port, spans=self.spans))
        argv = [
            program("nginx", "nginx-light"),
            "-p",
            str(folder),
            "-e",
            str(folder / "error.log"),
            "-c",
            str(file),
        ]
        super().__init__(
            "nginx", cores.pinned(core, argv), folder / "log", answers=lambda: backing.tcp_ok(self.port)
        )


class Gunicorn(Process):
    """Flask under one worker with threads, which keeps connections."""

    def __init__(self, folder: Path, core: int) -> None:
        folder.mkdir()
        self.port = backing.free_port()
        argv = [
            sys.executable, "-m", "gunicorn", "--chdir", str(Path(__file__).parent), "--bind", f"127.0.0.1:{self.port}",
            "--worker-class", "gthread", "--threads", "8", "--keep-alive", "60", "--log-level", "warning", "hello:app",
        ]  # fmt: skip
        super().__init__(
            "gunicorn", cores.pinned(core, argv), folder / "log",
            answers=lambda: backing.http_ok(f"http://127.0.0.1:{self.port}/"),
        )  # fmt: skip
