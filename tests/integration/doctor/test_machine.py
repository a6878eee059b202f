"""What is wrong with this machine is found on it: settings, Envoy's binary, ports, the disk, limits."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agent.demo import backing
from agent.doctor.looks import ports
from tests.integration.doctor.conftest import Doctor


def script(folder: Path, text: str, mode: int = 0o755) -> str:
    """An executable of that text."""
    path = folder / "envoy"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


@pytest.mark.provokes("settings.valid", "problem")
def test_settings_that_are_wrong_are_findings_and_nothing_else_is_looked_at(doctor: Doctor) -> None:
    (doctor.folder / "pillion.yaml").write_text("service: {prot: 80}\nregistry: {token_file: /no/token}\n")
    found = doctor(SERVICE_PORT="many")
    assert doctor.code == 1
    assert [one["id"] for one in found] == ["settings.valid"] * 3
    said = " ".join(one["found"] for one in found)
    assert "service.prot is not a setting; did you mean port?" in said
    assert "service.port is 'many' (from PILLION_SERVICE_PORT)" in said
    assert "/no/token, which can't be read" in said


@pytest.mark.provokes("settings.valid", "warning")
def test_what_is_odd_in_the_settings_is_a_warning(doctor: Doctor) -> None:
    doctor(SERVICE_NMAE="orders", PROXY_ENVOY="/no/envoy")
    assert "did you mean PILLION_SERVICE_NAME?" in doctor.one("settings.valid")["found"]
    assert ("envoy.binary", "problem") in doctor.wrong()


@pytest.mark.provokes("envoy.binary", "problem")
def test_an_envoy_that_is_not_there_or_may_not_be_executed(doctor: Doctor) -> None:
    doctor(PROXY_ENVOY="/no/envoy")
    assert "which is no file" in doctor.one("envoy.binary")["found"]
    doctor(PROXY_ENVOY=script(doctor.folder, "#!/bin/sh\n", 0o644))
    assert "which may not be executed" in doctor.one("envoy.binary")["found"]
    assert "proxy.envoy" in doctor.one("envoy.binary")["todo"]


@pytest.mark.provokes("envoy.version", "problem")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("#!/bin/sh\nexit 3\n", "it ended with 3"),
        ("#!/bin/sh\necho hello\n", "does not tell an Envoy's version"),
        ("#!/no/such/interpreter\n", "No such file or directory"),
        ("\x7fELF of another machine\n", "Exec format error"),
    ],
)
def test_a_program_that_is_no_envoy_of_this_machine(doctor: Doctor, text: str, said: str) -> None:
    doctor(PROXY_ENVOY=script(doctor.folder, text))
    assert said in doctor.one("envoy.version")["found"]


@pytest.mark.provokes("envoy.version", "warning")
@pytest.mark.parametrize(
    ("version", "said"),
    [("1.28.3", "1.28.3 is older than what is tested, 1.40"), ("1.99.0-dev", "1.99.0 is newer than what")],
)
def test_an_envoy_of_another_version_than_the_tested(doctor: Doctor, version: str, said: str) -> None:
    words = f"envoy  version: abc/{version}/Clean/RELEASE/BoringSSL"
    doctor(PROXY_ENVOY=script(doctor.folder, f"#!/bin/sh\necho '{words}'\n"))
    assert said in doctor.one("envoy.version")["found"]
    assert "pillion envoy validate" in doctor.one("envoy.version")["todo"]


@pytest.mark.provokes("ports.free", "problem")
def test_a_port_that_another_process_has_is_told_with_its_setting_and_the_process(doctor: Doctor) -> None:
    listens = "import socket, sys, time; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); "
    says = "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", listens + says], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        doctor(PROXY_INBOUND=f"127.0.0.1:{port}")
        other.communicate()
    found = doctor.one("ports.free")
    assert found["subject"] == f"127.0.0.1:{port} (proxy.inbound)"
    assert f"(pid {other.pid}) has it" in found["found"]
    assert "set proxy.inbound to another port" in found["todo"]


@pytest.mark.provokes("ports.free", "problem")
def test_an_upstreams_own_port_and_one_of_udp_are_looked_at_too(doctor: Doctor) -> None:
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        udp.bind(("127.0.0.1", backing.free_port()))  # the kernel could choose the number of the other
        port = tcp.getsockname()[1]
        doctor(
            UPSTREAMS=f"{{orders: {{port: {port}}}}}",
            OUTBOUND_DNS=f"127.0.0.1:{udp.getsockname()[1]}",
        )
        subjects = {one["subject"] for one in doctor.findings if one["id"] == "ports.free"}
        assert subjects == {
            f"127.0.0.1:{port} (upstreams.orders.port)",
            f"127.0.0.1:{udp.getsockname()[1]} (outbound.dns)",
        }
        assert all(
            f"(pid {os.getpid()})" in one["found"] for one in doctor.findings if one["id"] == "ports.free"
        )


@pytest.mark.provokes("ports.free", "problem")
def test_an_address_that_no_interface_has(doctor: Doctor) -> None:
    doctor(PROXY_INBOUND="203.0.113.9:15006")
    assert doctor.one("ports.free")["found"] == "no interface of this machine has this address"


@pytest.mark.provokes("ports.free", "problem")
def test_a_gateways_ports_are_looked_at_with_gateway(doctor: Doctor) -> None:
    with socket.socket() as tcp:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        listen = f"127.0.0.1:{tcp.getsockname()[1]}"
        doctor(GATEWAY_LISTEN=listen)
        assert doctor.one("ports.free")["level"] == "ok"
        doctor("--gateway", GATEWAY_LISTEN=listen)
        assert "(gateway.listen)" in doctor.one("ports.free")["subject"]


def test_who_has_a_port_is_found_at_every_address_that_stands_in_the_way() -> None:
    with socket.socket() as every, socket.socket(socket.AF_INET6) as six:
        every.bind(("0.0.0.0", 0))
        every.listen()
        port = every.getsockname()[1]
        held = ports.holder("127.0.0.1", port)
        assert held is not None
        assert held.pid == os.getpid()
        assert ports.error("127.0.0.1", port) != 0
        six.bind(("::", 0))
        six.listen()
        there = ports.holder("0.0.0.0", six.getsockname()[1])
        assert there is not None
        assert there.pid == os.getpid()
    free = backing.free_port()
    assert ports.holder("127.0.0.1", free) is None
    assert ports.error("127.0.0.1", free) == 0


def test_whose_process_may_not_be_seen_is_told_by_its_user(tmp_path: Path) -> None:
    """The table of sockets tells the user of each, also where no process's files may be looked at."""
    (tmp_path / "net").mkdir()
    row = "   0: 0100007F:3A9E 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1"
    (tmp_path / "net" / "tcp").write_text(f"  sl  local_address …\n{row}\n")
    held = ports.holder("127.0.0.1", 0x3A9E, proc=tmp_path)
    assert str(held) == "a process of the user root"


@pytest.mark.provokes("state.dir", "problem")
def test_a_state_folder_that_can_t_be_written(doctor: Doctor) -> None:
    (doctor.folder / "file").touch()
    doctor(STATE_DIR=str(doctor.folder / "file" / "x"))
    assert "it can't be written: Not a directory" in doctor.one("state.dir")["found"]
    doctor(STATE_DIR="/proc/1/nowhere")
    assert doctor.one("state.dir")["level"] == "problem"
    assert "state.dir" in doctor.one("state.dir")["todo"]


@pytest.mark.provokes("state.dir", "problem")
def test_a_state_folder_below_one_into_which_this_user_may_not_look(doctor: Doctor) -> None:
    closed = doctor.folder / "closed"
    closed.mkdir()
    closed.chmod(0)
    if os.geteuid() == 0:  # as a user whom modes bind
        rights = "-dac_override,-dac_read_search"
        doctor.before = ("setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}")
    try:
        doctor(STATE_DIR=str(closed / "state"))
    finally:
        closed.chmod(0o700)
    assert "it can't be written: Permission denied" in doctor.one("state.dir")["found"]


@pytest.mark.provokes("state.dir", "problem")
def test_a_state_folder_whose_sockets_would_have_too_long_a_path(doctor: Doctor) -> None:
    doctor(STATE_DIR=f"/tmp/{'x' * 100}")
    assert "too long for the sockets" in doctor.one("state.dir")["found"]
    assert not Path(f"/tmp/{'x' * 100}").exists()


def test_looking_leaves_nothing_behind(doctor: Doctor) -> None:
    (doctor.folder / "s").mkdir()
    doctor(STATE_DIR=str(doctor.folder / "s"))
    assert doctor.one("state.dir")["level"] == "ok"
    assert list((doctor.folder / "s").iterdir()) == []


@pytest.mark.provokes("files.limit", "warning")
def test_too_few_files_that_may_be_open(doctor: Doctor) -> None:
    doctor.before = ("sh", "-c", 'ulimit -n 256 && exec "$@"', "sh")
    doctor()
    assert doctor.one("files.limit")["found"] == "256: beyond 128 requests at once callers are refused"
    doctor.before = ("sh", "-c", 'ulimit -Sn 256 && exec "$@"', "sh")
    doctor()
    assert doctor.one("files.limit")["level"] == "ok", "Envoy raises the soft limit itself"


SMALL = """
mount -t tmpfs -o size="$0" small "$1" || exit
dd if=/dev/zero of="$1/full" bs=4k count="$2" 2>/dev/null
shift 2
exec "$@"
"""
"""Runs a program with a small disk of its own, which is gone with it."""


def small(doctor: Doctor, size: str, pages: int) -> str:
    """Have the command see a disk of that size at the folder that is returned, filled with so many pages of 4 KiB."""
    folder = doctor.folder / "disk"
    folder.mkdir()
    own = () if os.geteuid() == 0 else ("--map-root-user",)
    doctor.before = ("unshare", *own, "--mount", "sh", "-c", SMALL, size, str(folder), str(pages))
    return str(folder)


@pytest.mark.provokes("state.space", "problem")
def test_a_disk_that_is_full(doctor: Doctor) -> None:
    doctor(STATE_DIR=small(doctor, "2m", 512))
    assert "it is full (0 KiB free)" in doctor.one("state.space")["found"]
    assert "state.dir" not in {one["id"] for one in doctor.findings}


@pytest.mark.provokes("state.space", "warning")
def test_a_disk_that_is_almost_full(doctor: Doctor) -> None:
    doctor(STATE_DIR=small(doctor, "32m", 512))
    assert re.fullmatch("only (29|30) MiB are free", doctor.one("state.space")["found"])
    assert doctor.one("state.dir")["level"] == "ok"


def test_what_others_wrote_can_t_rule_the_terminal(doctor: Doctor) -> None:
    """A process may call itself as it likes."""
    names = "open('/proc/self/comm', 'w').write('\\x1b[31mred'); "
    listens = "import socket, sys; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); "
    says = "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", names + listens + says],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        environ = {**os.environ, **doctor.variables, "HOME": str(doctor.folder)}
        environ["PILLION_PROXY_INBOUND"] = f"127.0.0.1:{other.stdout.readline().strip()}"
        argv = [sys.executable, "-m", "agent", "doctor"]
        done = subprocess.run(argv, env=environ, capture_output=True, check=False, cwd=doctor.folder)
        other.communicate()
    assert b"\x1b" not in done.stdout
    assert b"?[31mred (pid" in done.stdout
