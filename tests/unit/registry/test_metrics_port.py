"""Where an agent tells whom its service calls, as its registration says it."""

import pytest

from agent.registry import advertise


@pytest.mark.parametrize(
    ("listen", "inbound", "port"),
    [
        ("", "0.0.0.0:15006", 0),
        ("0.0.0.0:15090", "0.0.0.0:15006", 15090),
        ("0.0.0.0:15090", "10.0.0.1:15006", 15090),
        ("[::]:15090", "[::]:15006", 15090),
        ("10.0.0.1:15090", "10.0.0.1:15006", 15090),
        ("127.0.0.1:15090", "0.0.0.0:15006", 0),
        ("127.0.0.1:15090", "127.0.0.1:15006", 15090),
    ],
)
def test_the_port_is_published_where_callers_of_the_service_reach_it(
    listen: str, inbound: str, port: int
) -> None:
    assert advertise.metrics_port(listen, inbound) == port


@pytest.mark.parametrize("said", ["", "0", "-1", "65536", "99999", "1e3", " 80", "80\n", "\uff18"])
def test_what_is_no_port_is_none(said: str) -> None:
    assert advertise.metrics({advertise.METRICS: said}) == 0
    assert advertise.metrics({advertise.METRICS: "15090"}) == 15090
