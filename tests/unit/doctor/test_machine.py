"""What is decided about a machine where the real thing can't be had in a test, or not everywhere."""

import errno

import pytest

from agent.doctor.finding import Level
from agent.doctor.looks import ports as looks
from agent.doctor.machine import agent, collector, consul, envoy, hook, ports, state
from agent.doctor.machine.hook import Process
from agent.doctor.machine.ports import Taken
from agent.doctor.machine.state import Disk


def test_a_port_that_only_root_may_take_is_told_as_such() -> None:
    (found,) = ports.findings([Taken("gateway.listen", "0.0.0.0:80", errno.EACCES)], ours=False)
    assert "may not take a port below 1024" in found.found
    assert "gateway.listen" in found.todo


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EADDRNOTAVAIL, "no interface of this machine has this address"),
        (errno.EAFNOSUPPORT, "no interface of this machine has this address"),
        (errno.EINVAL, "Invalid argument"),
    ],
)
def test_an_address_that_nobody_has_and_that_can_t_be_had(number: int, said: str) -> None:
    (found,) = ports.findings([Taken("proxy.inbound", "[::]:15006", number)], ours=False)
    assert said in found.found
    assert "Set proxy.inbound to" in found.todo


def test_a_machine_without_ipv6_has_no_address_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(looks.socket, "socket", refused)
    assert looks.error("::", 15006) == errno.EAFNOSUPPORT


def test_whose_holder_is_not_seen_is_told_how_to_see_it() -> None:
    (found,) = ports.findings([Taken("admin.listen", "127.0.0.1:15020", errno.EADDRINUSE)], ours=False)
    assert found.todo.startswith("`ss -tulnp` as root")


def test_ports_of_the_own_agent_are_in_order() -> None:
    taken = [Taken("admin.listen", "127.0.0.1:15020", errno.EADDRINUSE, "pillion (pid 7)")]
    (found,) = ports.findings(taken, ours=True)
    assert found.level is Level.OK


@pytest.mark.parametrize(
    ("disk", "level"),
    [
        (Disk(0, 9), Level.PROBLEM),
        (Disk(1 << 40, 0), Level.PROBLEM),
        (Disk(2 << 20, -1), Level.WARNING),
        (Disk(1 << 40, -1), Level.OK),
    ],
)
def test_room_is_bytes_and_files(disk: Disk, level: Level) -> None:
    assert state.space("/x", disk).level is level


def test_no_bound_on_open_files_is_well() -> None:
    assert state.files(-1, "Envoy").found == "without bound"


@pytest.mark.parametrize(
    ("said", "todo"),
    [
        ("certificate verify failed: self-signed certificate", "registry.ca_cert"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "write http://"),
        ("certificate verify failed: certificate has expired", "valid now"),
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required", "verify_incoming"),
        ("was refused: too many connections from this address (429)", "http_max_conns_per_client"),
        ("Name or service not known", "No such host"),
        ("Temporary failure in name resolution", "No such host"),
        ("Connection refused (127.0.0.1:8500)", "Start Consul"),
    ],
)
def test_what_comes_back_from_the_way_to_consul_says_what_to_do(said: str, todo: str) -> None:
    assert todo in consul.away("Consul at x", said).todo


def test_consul_that_knows_no_servers_has_no_leader() -> None:
    found = consul.away("Consul at x", "failed with 500: No known Consul servers")
    assert (found.id, found.level) == ("consul.leader", Level.PROBLEM)


@pytest.mark.parametrize(("status", "todo"), [(401, "credentials"), (415, "OTLP/HTTP"), (500, "See its log")])
def test_what_a_collector_refuses_with_says_what_to_do(status: int, todo: str) -> None:
    assert todo in collector.answered("http://x", status).todo


def test_a_debug_build_of_the_tested_envoy_is_well() -> None:
    said = "envoy  version: abc/1.40.1-dev/Modified/DEBUG/BoringSSL"
    assert envoy.version("/envoy", said).level is Level.OK


def _never(_argv: object) -> str:
    return ""


def test_before_the_first_answer_nothing_is_said_of_a_hook_that_nothing_speaks_against() -> None:
    python = Process(7, ("python3", "app.py"), {"PYTHONPATH": "/site"}, ("/site/sitecustomize.py",))
    (found,) = hook.finding({"active": "unknown"}, "", [python], "/site", _never)
    assert found.level is Level.NOT_APPLICABLE
    (found,) = hook.finding({"active": "unknown"}, "it is started by -S", [], "/site", _never)
    assert "it is started by -S" in found.found


def test_without_a_reason_that_can_be_seen_the_usual_ones_are_told() -> None:
    hidden = Process(7, ("python3", "app.py"), None)
    (found,) = hook.finding({"active": "no", "answers": 3}, "", [hidden], "/site", _never)
    assert (found.found, found.todo) == ("it is in none of 3 answers: traces end there", hook.GENERAL)
    assert hook.finding({}, "", [], "/site", _never) == []


@pytest.mark.parametrize(
    "status", [{}, {"agent": 3, "reasons": 3, "components": [], "envoy": "x", "ready": 1}]
)
def test_a_status_of_any_shape_is_looked_at(status: dict[str, object]) -> None:
    found = agent.findings("127.0.0.1:1", status, "orders", "1")
    assert {one.id for one in found} == {"agent.running", "agent.ready", "envoy.accepted"}
